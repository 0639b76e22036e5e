"""The training loop itself: optimizer steps over batches, validation, checkpoints, progress.

What is minimised is an `Objective`: its mean over a whole optimizer batch, however that is cut into forward passes and
ranks. Logits are computed at trained positions only.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fireact.errors import DataError
from fireact.train import Train, checkpoint, data, sharded
from fireact.train.checkpoint import BEST, CHECKPOINTS, Progress
from fireact.train.data import Unit
from fireact.train.faults import not_finite
from fireact.train.head import token_losses
from fireact.train.lanes import Lanes
from fireact.train.log import Log
from fireact.train.objective import Objective, Predicted, SftLoss
from fireact.train.pack import LEAST, Batch, packed, padded
from fireact.types import Example


def learning_rate(step: int, total: int, train: Train) -> float:
    """Return the learning rate of `step`, counted from 0, of `total`."""
    warmup = warmup_steps(total, train)
    if step < warmup:
        return train.learning_rate * (step + 1) / warmup
    left = (total - step) / (total - warmup)
    shape = {"constant": 1.0, "linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2}
    return train.learning_rate * shape[train.schedule]


def warmup_steps(total: int, train: Train) -> int:
    """Return the steps of warm-up; the release's fixed 100 may be more than the `total` of the whole schedule."""
    return math.ceil(train.warmup_ratio * total) if train.warmup_steps is None else train.warmup_steps


@dataclass
class Training:
    """A model being trained, and how far it has come."""

    train: Train
    seed: int
    out: Path
    accelerator: Accelerator
    model: nn.Module
    optimizer: torch.optim.Optimizer
    examples: Sequence[Any]
    """Units of the objective: examples, or pairs of them."""
    validation: Sequence[Any]
    progress: Progress
    packs: bool
    """Whether the examples of a forward pass are packed, else padded."""
    micro_batch_tokens: int
    judge: Callable[[Training], float] | None = None
    """Plays episodes with the model as it is, and returns the share of exact matches."""
    objective: Objective = field(default_factory=SftLoss)
    frozen_linear: bool = False
    """Whether the head is, see fireact/train/head.py."""
    log: Log = field(init=False)

    def __post_init__(self) -> None:
        """Find the weights that learn, and count the steps."""
        self.bare: Any = self.accelerator.unwrap_model(self.model)
        self.weights = {name: weight for name, weight in self.bare.named_parameters() if weight.requires_grad}
        # On a CPU, gradients made anew in each step would lie scattered over the room that activations need.
        # (Of all weights some may have none, and are not to be stepped on.)
        self.in_place = (self.train.method == "lora" and self.accelerator.device.type == "cpu"
                         and self.accelerator.num_processes == 1)
        if self.in_place:
            for weight in self.weights.values():
                weight.grad = torch.zeros_like(weight)
        self.lengths = [data.tokens(unit) for unit in self.examples]
        self.sizes = [data.places(unit, self.packs) for unit in self.examples]
        self.lanes = Lanes(self.model, self._side_by_side() if self.in_place else 1)
        self.per_epoch = data.steps_per_epoch(len(self.examples), self.train.batch_size)
        self.total = min(max(1, math.ceil(self.train.epochs * self.per_epoch)), self.train.max_steps or sys.maxsize)
        self.log = Log(self.out, self.total, self.per_epoch, self.train.log_every,
                       main=self.accelerator.is_main_process)

    def _side_by_side(self) -> int:
        """How many passes can be computed at once, each by cores of its own, of as many tokens as are allowed.

        Dropout draws from one source for all, and accelerate's autocast is not in a copy of a model.
        """
        drops = any(value for name, value in self.bare.config.to_dict().items() if "drop" in name)
        if self.train.compile or self.train.dropout or drops or self.accelerator.mixed_precision != "no":
            return 1
        return max(1, min(torch.get_num_threads(), self.micro_batch_tokens // max(self.sizes)))

    def restore(self) -> None:
        """Go on from the last checkpoint, if there is one. Raises DataError."""
        with checkpoint.writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            found = checkpoint.load(self.out / CHECKPOINTS, self.progress.job, self.log.say)
            if found:
                self.progress, tensors = found
                sharded.load(tensors, self.weights, self.optimizer)
                if self.accelerator.scaler and self.progress.scaler:
                    self.accelerator.scaler.load_state_dict(self.progress.scaler)
            if self.accelerator.is_main_process:
                checkpoint.rewind(self.out / "metrics.jsonl", self.progress.step)
        self.log.begin(self.progress)

    def peak_learning_rate(self) -> float:
        """The highest learning rate of any step."""
        return max(learning_rate(step, self.total, self.train) for step in range(self.total))

    def go(self) -> None:
        """Train to the last step, or until validations get no better. Raises ConfigError; see `not_finite`."""
        order: list[list[int]] = []
        while not self.ended:
            epoch, position = divmod(self.progress.step, self.per_epoch)
            if position == 0 or not order:
                order = data.epoch_batches(len(self.examples), self.train.batch_size, self.seed, epoch)
            self.step(order[position])
            last = self.progress.step == self.total
            if self.validation and (last or self._due(self.train.validate_every or self.per_epoch)):
                self.validate()
            if self._due(self.train.checkpoint_every) or self.ended:
                self.save()

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to train."""
        patience = self.train.patience
        return self.progress.step >= self.total or (patience is not None and self.progress.no_better >= patience)

    def step(self, batch: list[int]) -> None:
        """Take one optimizer step on the examples at the indices `batch`."""
        progress = self.progress
        self.log.start()
        rate = learning_rate(progress.step, self.total, self.train)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, measures = self._backward(batch)
        norm = self._norm()
        if not math.isfinite(loss) or not (math.isfinite(norm) or self.accelerator.scaler is not None):
            raise not_finite(self, batch, loss, norm, rate)
        self.optimizer.step()
        self._forget()
        progress.step += 1
        progress.tokens += sum(self.lengths[i] for i in batch)
        progress.trained_tokens += sum(data.trained(self.examples[i]) for i in batch)
        progress.losses.append(loss)
        self.log.step(progress, rate, norm, sum(self.lengths[i] for i in batch), measures)

    def _forget(self) -> None:
        """Drop the gradient, or set it to zero where it stays in its place."""
        if self.in_place:
            self.optimizer.zero_grad(set_to_none=False)
        else:
            self.optimizer.zero_grad()

    def _norm(self) -> float:
        """Scale the gradient down to its longest, and return the norm that it had."""
        norm: Any = self.accelerator.clip_grad_norm_(list(self.weights.values()), self.train.max_grad_norm)
        return float(sharded.whole(norm))

    def _backward(self, batch: list[int]) -> tuple[float, dict[str, float]]:
        """Accumulate the gradient of the mean loss over `batch`; return that loss, and the measures beside it."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        torch.manual_seed(self.seed * 1_000_003 + self.progress.step * world + rank)
        units = [self.examples[i] for i in batch]
        weight = sum(map(self.objective.weight, units))
        shares = [share for share in data.dealt(batch, self.sizes, len(self.lanes)) if share]
        # Data-parallel gradients are averaged over the ranks; `world` makes that the sum.
        sums = self.lanes.run(lambda model, share: self._accumulate(model, share, world / weight), shares)
        return self._means(torch.stack(sums).sum(0), units)

    def _accumulate(self, model: nn.Module, share: list[int], scale: float) -> Iterator[Tensor]:
        """Accumulate the gradient of the loss, summed up and scaled, pass by pass; yield sums of loss and measures."""
        parts = self.parts(share, self.sizes, self.micro_batch_tokens // len(self.lanes))
        for number, part in enumerate(parts, 1):
            with nullcontext() if number == len(parts) else sharded.accumulating(self.accelerator, model):
                loss, measures = self._loss(model, [self.examples[i] for i in part])
                self.accelerator.backward(loss * scale)
            yield torch.cat([loss.detach()[None], measures])

    def _means(self, sums: Tensor, units: Sequence[Unit]) -> tuple[float, dict[str, float]]:
        """From the sums of all ranks over `units` to the mean loss and measures."""
        loss, *measures = self.sum(sums).tolist()
        count = sum(map(self.objective.count, units))
        return (loss / sum(map(self.objective.weight, units)),
                {name: value / count for name, value in zip(self.objective.measures, measures, strict=True)})

    def parts(self, batch: list[int], sizes: Sequence[int], tokens: int | None = None) -> list[list[int]]:
        """This rank's share of the units `batch`, of such sizes, in the parts of its forward passes."""
        share = data.micro_batches if self.packs else data.padded_batches
        return share(batch, sizes, tokens or self.micro_batch_tokens, self.accelerator.process_index,
                     self.accelerator.num_processes)

    def predict(self, model: nn.Module, units: Sequence[Unit]) -> Predicted:
        """Predict the trained tokens of `units` in one forward pass."""
        examples = [example for unit in units for example in unit.examples]
        batch = self._batch(examples)
        # Of its own, where it is not in a wrapper of accelerate's.
        head = getattr(model, "get_output_embeddings", self.bare.get_output_embeddings)()
        losses, right = token_losses(model, head, batch, self.frozen_linear)
        return Predicted(losses, batch.weights, batch.owners, right)

    def _batch(self, examples: Sequence[Example]) -> Batch:
        if not self.packs:
            return padded(examples, self.accelerator.device)
        # What is compiled would be compiled anew for each way to share.
        return packed(examples, self.accelerator.device, None if self.train.compile else LEAST)

    def _loss(self, model: nn.Module, units: Sequence[Unit]) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses of `units`, and the sums of their measures."""
        return self.objective(self.predict(model, units), units)

    def losses(self, batch: list[int]) -> dict[str, float]:
        """The mean loss of each unit of `batch` by itself, by its name."""
        self.bare.eval()
        with torch.no_grad():
            found = {unit.id: self._loss(self.bare, [unit])[0].item() / self.objective.weight(unit)
                     for unit in (self.examples[i] for i in batch)}
        self.bare.train()
        return found

    def validate(self) -> None:
        """Measure loss and measures on the validation units, log them, and keep the best weights."""
        sizes = [data.places(unit, self.packs) for unit in self.validation]
        sums = torch.zeros(1 + len(self.objective.measures), device=self.accelerator.device)
        self.bare.eval()
        with torch.no_grad():
            for part in self.parts(list(range(len(sizes))), sizes):
                loss, measures = self._loss(self.bare, [self.validation[i] for i in part])
                sums += torch.cat([loss[None], measures])
        self.bare.train()
        progress = self.progress
        progress.validation_loss, progress.validation_measures = self._means(sums, self.validation)
        matches = self.judge(self) if self.judge else None
        self.log.validation(progress, self.objective.describe(progress.validation_measures), matches)
        self._compare([*([] if matches is None else [matches]), -progress.validation_loss])

    def _compare(self, score: list[float]) -> None:
        """Keep the weights where a validation was the best so far."""
        progress = self.progress
        if progress.best_score is not None and score <= progress.best_score:
            progress.no_better += 1
            return
        progress.best_score, progress.best_step, progress.no_better = score, progress.step, 0
        if self.train.keep == "best":
            tensors = sharded.weights(self.weights, self.accelerator.is_main_process)
            if self.accelerator.is_main_process:
                with checkpoint.writing(self.out):
                    checkpoint.save(self.out / BEST, progress, tensors, keep=2)  # A resumed training may know one less.

    def take_best(self) -> None:
        """Go back to the weights of the best validation, where these are to be kept."""
        best = self.progress.best_step
        if self.train.keep == "best" and best not in (None, self.progress.step):
            self.log.say(f"keeping the weights of step {best}, the best validation")
            try:
                sharded.load(checkpoint.read(checkpoint.of_step(self.out / BEST, best))[1], self.weights)
            except DataError as error:
                raise DataError(f"{error}; delete {self.out} to start anew, or set train.keep=last") from None

    def save(self) -> None:
        """Write a checkpoint. Raises DataError."""
        main = self.accelerator.is_main_process
        tensors = sharded.weights(self.weights, main) | sharded.moments(self.optimizer, main)
        scaler = self.accelerator.scaler
        self.progress.scaler = scaler.state_dict() if scaler else {}
        if main:
            with checkpoint.writing(self.out):
                checkpoint.save(self.out / CHECKPOINTS, self.progress, tensors, self.train.keep_checkpoints)

    def _due(self, every: int) -> bool:
        return self.progress.step % every == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up over all ranks."""
        total: Any = self.accelerator.reduce(tensor, reduction="sum")
        return total
