"""The training loop itself: optimizer steps over batches, validation, checkpoints, progress.

The loss is the mean over the trained tokens of a whole optimizer batch, however that is cut into micro-batches and
ranks; logits are computed at trained positions only.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fireact.errors import ConfigError
from fireact.train import Train, checkpoint, data
from fireact.train.checkpoint import Progress
from fireact.types import Example

_SHOW_SECONDS = 3.0


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
    examples: list[Example]
    validation: list[Example]
    progress: Progress
    optimizer: torch.optim.AdamW = field(init=False)
    began: float = field(init=False)
    """When, on the monotonic clock in seconds, the training would have begun had it never been killed."""
    shown: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        """Make the optimizer, over the weights that learn."""
        self.bare: Any = self.accelerator.unwrap_model(self.model)
        self.weights = {name: weight for name, weight in self.bare.named_parameters() if weight.requires_grad}
        self.lengths = [len(example.ids) for example in self.examples]
        self.per_epoch = data.steps_per_epoch(len(self.examples), self.train.batch_size)
        self.total = min(max(1, math.ceil(self.train.epochs * self.per_epoch)), self.train.max_steps or sys.maxsize)
        groups = [{"params": [weight for weight in self.weights.values() if weight.ndim > 1]},
                  {"params": [weight for weight in self.weights.values() if weight.ndim <= 1], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=self.train.weight_decay, fused=True)
        self.began = time.monotonic()

    def restore(self) -> None:
        """Go on from the last checkpoint, if there is one. Raises DataError."""
        with checkpoint.writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            found = checkpoint.load(self.out / "checkpoint", self.progress.job)
            if found:
                self.progress, tensors = found
                self._load(tensors)
            if self.accelerator.is_main_process:
                checkpoint.rewind(self.out / "metrics.jsonl", self.progress.step)
        self.began = time.monotonic() - self.progress.seconds

    def peak_learning_rate(self) -> float:
        """The highest learning rate of any step."""
        return max(learning_rate(step, self.total, self.train) for step in range(self.total))

    def go(self) -> None:
        """Train to the last step. Raises ConfigError where the loss is no number any more."""
        order: list[list[int]] = []
        while self.progress.step < self.total:
            epoch, position = divmod(self.progress.step, self.per_epoch)
            if position == 0 or not order:
                order = data.epoch_batches(self.lengths, self.train.batch_size, self.seed, epoch)
            self.step(order[position])
            last = self.progress.step == self.total
            if self.validation and (last or self._due(self.train.validate_every or self.per_epoch)):
                self.validate()
            if self._due(self.train.checkpoint_every) and self.accelerator.is_main_process:
                self.save()

    def step(self, batch: list[int]) -> None:
        """Take one optimizer step on the examples at the indices `batch`."""
        progress, before = self.progress, self.progress.seconds
        rate = learning_rate(progress.step, self.total, self.train)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._backward(batch)
        norm = nn.utils.clip_grad_norm_(self.weights.values(), self.train.max_grad_norm).item()
        if not math.isfinite(loss + norm):
            raise ConfigError(f"step {progress.step + 1}: the loss is {loss}, its gradient's norm {norm}; lower "
                              f"train.learning_rate, now {self.train.learning_rate}; the last checkpoint is kept")
        self.optimizer.step()
        self.optimizer.zero_grad()
        tokens = sum(self.lengths[i] for i in batch)
        progress.step += 1
        progress.tokens += tokens
        progress.trained_tokens += sum(data.trained(self.examples[i]) for i in batch)
        progress.losses.append(loss)
        progress.seconds = time.monotonic() - self.began
        self._log(rate, tokens / (progress.seconds - before))

    def _backward(self, batch: list[int]) -> float:
        """Accumulate the gradient of the mean loss over all trained tokens of `batch`; return that loss."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        torch.manual_seed(self.seed * 1_000_003 + self.progress.step * world + rank)
        trained = sum(data.trained(self.examples[i]) for i in batch)
        parts = data.micro_batches(batch, self.lengths, self.train.micro_batch_size, rank, world)
        total = torch.zeros((), device=self.accelerator.device)
        for number, part in enumerate(parts, 1):
            with nullcontext() if number == len(parts) else self.accelerator.no_sync(self.model):
                logits, wanted = self._predict(self.model, [self.examples[i] for i in part])
                loss = cross_entropy(logits, wanted, reduction="sum")
                # Data-parallel gradients are averaged over the ranks; `world` makes that the sum.
                self.accelerator.backward(loss * (world / trained))
            total += loss.detach()
        return self._sum(total).item() / trained

    def _predict(self, model: nn.Module, examples: list[Example]) -> tuple[Tensor, Tensor]:
        """Return logits (trained tokens, vocabulary) and the ids (trained tokens,) that were wanted."""
        rows, targets = data.pad(examples)
        ids = torch.tensor(rows, device=self.accelerator.device)
        wanted = torch.tensor(targets, device=self.accelerator.device)
        keep = wanted != data.IGNORE
        gather = self.bare.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: (inputs[0][keep],))
        try:
            return model(input_ids=ids, use_cache=False).logits.float(), wanted[keep]
        finally:
            gather.remove()

    def validate(self) -> None:
        """Measure loss and share of right tokens on the validation examples, and log them."""
        size, rank, world = self.train.micro_batch_size, self.accelerator.process_index, self.accelerator.num_processes
        alike = sorted(self.validation, key=lambda example: len(example.ids))
        parts = [alike[i: i + size] for i in range(0, len(alike), size)][rank::world]
        sums = torch.zeros(2, device=self.accelerator.device)
        self.bare.eval()
        with torch.no_grad():
            for part in parts:
                logits, wanted = self._predict(self.bare, part)
                right = (logits.argmax(-1) == wanted).sum()
                sums += torch.stack([cross_entropy(logits, wanted, reduction="sum"), right])
        self.bare.train()
        loss, accuracy = (self._sum(sums) / sum(map(data.trained, alike))).tolist()
        self.progress.validation_loss = loss
        self._append({"step": self.progress.step, "validation_loss": loss, "validation_token_accuracy": accuracy})
        self.say(f"step {self.progress.step}/{self.total}  validation loss {loss:.3f}  token accuracy {accuracy:.1%}")

    def save(self) -> None:
        """Write a checkpoint. Raises DataError."""
        tensors = {f"weight/{name}": weight.detach() for name, weight in self.weights.items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{name}": moment for name, moment in moments.items()}
        with checkpoint.writing(self.out):
            checkpoint.save(self.out / "checkpoint", self.progress, tensors)

    def _load(self, tensors: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            kind, _, name = key.partition("/")
            if kind == "weight":
                self.weights[name].data.copy_(tensor)
            else:
                number, _, moment = name.partition("/")
                state.setdefault(int(number), {})[moment] = tensor.clone()
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})

    def summary(self) -> dict[str, Any]:
        """What came out, for done.json: the training loss is the mean of the last tenth of the steps."""
        progress = self.progress
        last = progress.losses[-max(1, self.total // 10):]
        return {"steps": progress.step, "epochs": round(progress.step / self.per_epoch, 3),
                "peak_learning_rate": self.peak_learning_rate(), "train_loss": fmean(last),
                "validation_loss": progress.validation_loss, "tokens": progress.tokens,
                "trained_tokens": progress.trained_tokens, "seconds": round(progress.seconds, 1),
                "tokens_per_second": round(progress.tokens / progress.seconds, 1),
                "peak_memory_mb": peak_memory_mb(),
                "trainable_parameters": sum(weight.numel() for weight in self.weights.values())}

    def _due(self, every: int) -> bool:
        return self.progress.step % every == 0

    def _sum(self, tensor: Tensor) -> Tensor:
        """Add up over all ranks."""
        total: Any = self.accelerator.reduce(tensor, reduction="sum")
        return total

    def _log(self, rate: float, tokens_per_second: float) -> None:
        progress, last = self.progress, self.progress.step == self.total
        left = progress.seconds / progress.step * (self.total - progress.step)
        if last or self._due(self.train.log_every):
            self._append({"step": progress.step, "epoch": progress.step / self.per_epoch, "loss": progress.losses[-1],
                          "lr": rate, "tokens": progress.tokens, "trained_tokens": progress.trained_tokens,
                          "tokens_per_second": tokens_per_second, "seconds": progress.seconds, "eta_seconds": left})
        if last or time.monotonic() - self.shown >= _SHOW_SECONDS:
            self.shown = time.monotonic()
            self.say(f"step {progress.step}/{self.total}  loss {progress.losses[-1]:.3f}  lr {rate:.1e}  "
                      f"{tokens_per_second:.0f} tokens/s  {int(left) // 60}:{int(left) % 60:02d} left")

    def _append(self, record: Mapping[str, Any]) -> None:
        if self.accelerator.is_main_process:
            with checkpoint.writing(self.out):
                checkpoint.append(self.out / "metrics.jsonl", record)

    def say(self, line: str) -> None:
        """Print a line, once for all processes."""
        if self.accelerator.is_main_process:
            print(line, flush=True)


def peak_memory_mb() -> int:
    """The most memory this process has used: of the GPU where there is one, else of the machine."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() >> 20
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used >> 20 if sys.platform == "darwin" else used >> 10
