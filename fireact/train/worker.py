"""The training loop, a process of its own: `python -m fireact.train.worker JOB.json`.

For several processes, with a GPU each or all on CPUs:
`accelerate launch --multi_gpu --num_processes N -m fireact.train.worker JOB.json`.

The job's folder gets metrics.jsonl while it runs, `adapter/` (or `model/`), and done.json at last. The same command
goes on after a kill; the result is that of an undisturbed run. Exit codes: 0 done, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

import torch
import transformers
from accelerate.state import AcceleratorState
from peft import PeftModel
from pydantic import ConfigDict
from torch import nn

from fireact.card import recipe
from fireact.errors import ConfigError, DataError, FireActError
from fireact.jsonl import decode, decode_text, open_file, write_atomic
from fireact.process import guard
from fireact.store import CHECKSUMS, checksums
from fireact.train import Train, checkpoint, data, export, faults, head, kernels, layout, lora, memory, sharded
from fireact.train.attention import attend_in_packs, can_pack
from fireact.train.checkpoint import BEST, CHECKPOINTS, Progress
from fireact.train.dpo import refer_to_start
from fireact.train.judge import by_episodes
from fireact.train.log import peak_memory_mb
from fireact.train.loop import Training, warmup_steps
from fireact.train.objective import DpoLoss, SftLoss
from fireact.train.ranks import REFUSED
from fireact.train.reference import reference, save
from fireact.types import Example, Pair


@dataclass(frozen=True)
class Job:
    """One training, as frozen in JOB.json."""

    examples: Path
    """A jsonl of `fireact.types.Example`, of `Pair` for train.dpo."""
    base: Path
    """The folder of a Hugging Face checkpoint."""
    base_identity: str
    """The hash of the base's weights, written into the adapter."""
    base_name: str
    out: Path
    seed: int
    train: Train
    validation: Path | None = None
    judge: Path | None = None
    """Episodes that say how good the weights are: a job of fireact.generate."""

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}

    def hash(self) -> str:
        """Hash whatever can change the result."""
        files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.examples, self.validation) if path]
        parts = json.dumps([files, self.base_identity, self.seed, recipe(self.train)], sort_keys=True)
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


def main(argv: list[str]) -> int:
    """Train, and return an exit code."""

    def work() -> None:
        if len(argv) != 2:
            raise ConfigError(f"got {len(argv) - 1} arguments; expected one: python -m fireact.train.worker JOB.json")
        job = read_job(Path(argv[1]))
        try:
            run(job)
        except FireActError as failure:
            if layout.several():
                with suppress(OSError):
                    write_atomic(job.out / REFUSED, str(failure))
            raise

    return guard(work)


def read_job(path: Path) -> Job:
    """Read JOB.json. Raises DataError, ConfigError."""
    with open_file(path) as file:
        return decode(Job, decode_text(file.read(), str(path)), str(path))


def run(job: Job) -> None:
    """Train as `job` says, unless that is done already. Raises FireActError."""
    job = replace(job, train=lora.as_started(job.train))
    _quiet()
    config = lora.read_config(job.base)
    _quiet()
    window = getattr(config, "max_position_embeddings", None)
    examples, validation = (
        data.read_examples(path, Pair if job.train.dpo else Example, vocabulary=config.vocab_size, window=window)
        if path else [] for path in (job.examples, job.validation))
    if _is_done(job):
        return
    if not validation and (job.train.keep == "best" or job.train.patience is not None):
        raise ConfigError(f"train.keep={job.train.keep} and train.patience={job.train.patience} go by validations, and "
                          "there is nothing to validate on; set curate.validation, or leave both out")
    longest = max(map(data.tokens, [*examples, *validation]))
    while True:
        tokens = faults.allowed_tokens(job.out, job.train.micro_batch_tokens)
        try:
            _train(job, examples, validation, tokens)
            return
        except (RuntimeError, MemoryError) as error:
            if not faults.is_out_of_memory(error):
                raise
        # What failed is no longer held here: its traceback has kept the model and all activations alive.
        with checkpoint.writing(job.out):
            job.out.mkdir(parents=True, exist_ok=True)
            print(faults.halve(job.out, tokens, longest), flush=True)
        if layout.several():
            raise OutOfMemory
        _forget()


class OutOfMemory(FireActError):
    """One of several processes ran out of memory: all are started again, with less at once."""


def _forget() -> None:
    """Free what a training held that failed."""
    AcceleratorState._reset_state(reset_partial_state=True)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _train(job: Job, examples: Sequence[data.Unit], validation: Sequence[data.Unit], tokens: int) -> None:
    """Train from the last checkpoint to the end, with `tokens` tokens a forward pass."""
    training = start(job, examples, validation, tokens)
    if low := _low_rate(training):
        training.log.say(low)
    training.go()
    training.take_best()
    tensors = export.whole_weights(training.bare, job.train, training.accelerator.is_main_process)
    probes = reference(training)
    if training.accelerator.is_main_process:
        with checkpoint.writing(job.out):
            finish(job, training, tensors, probes)
    training.accelerator.wait_for_everyone()
    training.accelerator.end_training()


def _low_rate(training: Training) -> str | None:
    """Say where the schedule is shorter than its warm-up."""
    warmup, highest = warmup_steps(training.total, training.train), training.peak_learning_rate()
    if warmup <= training.total:
        return None
    return (f"the learning rate never reaches {training.train.learning_rate:g}: the warm-up takes {warmup} steps and "
            f"the training ends after {training.total}, at {highest:.2g} (train.warmup_steps, train.epochs)")


def _quiet() -> None:
    """Leave stdout and stderr to progress and failures: the libraries' advice and bars would bury them."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed, where it is installed, would say that it guesses.


def _is_done(job: Job) -> bool:
    path = job.out / "done.json"
    if not path.exists():
        return False
    if json.loads(path.read_text(encoding="utf-8")).get("job") != job.hash():
        raise DataError(f"{path} is the result of another job; train into another folder, or delete this one")
    return True


def start(job: Job, examples: Sequence[data.Unit], validation: Sequence[data.Unit],
          tokens: int | None = None) -> Training:
    """Load the model and the last checkpoint, if there is one; `tokens` bounds a forward pass.

    Raises ConfigError, DataError.
    """
    train = job.train
    if train.threads:
        torch.set_num_threads(train.threads)
    dtype = layout.dtype_of(train)
    accelerator = layout.join(train, dtype)
    tokens = tokens or train.micro_batch_tokens
    if train.check_memory:
        longest = max(data.places(unit, packs=False) for unit in examples)
        largest = min(max(tokens, longest), train.batch_size * longest)
        memory.check(job.base, train, largest, dtype, layout.shards(accelerator),
                     memory.available(accelerator.num_processes))
    torch.manual_seed(job.seed)
    model = _model(job, dtype, sharded.reads_weights(accelerator))
    frozen_linear = not train.compile and sharded.is_whole(accelerator) and head.is_frozen_linear(_bare(model))
    packs = (train.packing and can_pack(_bare(model))
             and attend_in_packs(_bare(model), tries=sharded.is_whole(accelerator)))
    optimizer = _optimizer(model, train)
    if train.compile:
        model.compile(dynamic=True)
    prepared, prepared_optimizer = layout.prepare(accelerator, model, optimizer, dtype)
    judge = by_episodes(job.judge, job.base_identity) if job.judge else None
    training = Training(train, job.seed, job.out, accelerator, prepared, prepared_optimizer, examples, validation,
                        Progress(job.hash()), packs, tokens, judge, DpoLoss(train.dpo) if train.dpo else SftLoss(),
                        frozen_linear)
    if train.dpo:
        refer_to_start(training)
    training.restore()
    return training


def _model(job: Job, dtype: torch.dtype, reads: bool = True) -> Any:
    """Load what is trained; the weights that learn are in float32, for half precision loses small updates."""
    full = job.train.method == "full"
    kind = torch.float32 if full else dtype
    bits = job.train.bits
    folder = job.train.start_from if full and job.train.start_from else job.base
    base = lora.load_base(folder, kind, bits) if reads or bits else lora.empty_base(folder, kind)
    if job.train.gradient_checkpointing:
        base.gradient_checkpointing_enable({"use_reentrant": False})
    kernels.speed_up(base, liger=job.train.liger, compiled=job.train.compile)
    model = base if full else lora.attach(base, job.train, job.base_name)
    return model.train()


def _bare(model: Any) -> Any:
    """The model of transformers, without adapters around it."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _optimizer(model: nn.Module, train: Train) -> torch.optim.AdamW:
    """AdamW over the weights that learn; only matrices decay."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [{"params": [weight for weight in weights if weight.ndim > 1]},
              {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0}]
    filled = [group for group in groups if group["params"]]  # DeepSpeed drops a group without weights.
    return torch.optim.AdamW(filled, weight_decay=train.weight_decay, fused=True)


def finish(job: Job, training: Training, tensors: dict[str, torch.Tensor], probes: list[dict[str, Any]]) -> None:
    """Write what was learnt and its probes, then done.json; drop checkpoints. Raises OSError, SafetensorError."""
    results = {"examples": len(training.examples), "validation_examples": len(training.validation),
               **summary(training)}
    with checkpoint.replacing(job.out / job.train.makes) as part:
        if job.train.method == "full":
            export.save_model(training.bare, tensors, job.base, part, layout.dtype_of(job.train))
        else:
            export.save_adapter(training.bare, tensors, part)
        save(part, probes)
        export.describe(part, job.train, job.base_name, job.base_identity, results)
    done = {**results, "job": training.progress.job, CHECKSUMS: checksums(job.out / job.train.makes)}
    write_atomic(job.out / "done.json", json.dumps(done, indent=1))
    for folder in (CHECKPOINTS, BEST):
        checkpoint.drop(job.out / folder)


def summary(training: Training) -> dict[str, Any]:
    """What came out, for done.json: the training loss is the mean of the last tenth of the steps."""
    progress, train = training.progress, training.train
    last = progress.losses[-max(1, progress.step // 10):]
    return {"steps": progress.step, "epochs": round(progress.step / training.per_epoch, 3),
            "peak_learning_rate": training.peak_learning_rate(), "train_loss": fmean(last),
            "validation_loss": progress.validation_loss,
            **{f"validation_{name}": value for name, value in progress.validation_measures.items()},
            "tokens": progress.tokens, "trained_tokens": progress.trained_tokens, "seconds": round(progress.seconds, 1),
            "tokens_per_second": round(progress.tokens / progress.step_seconds, 1),
            "peak_memory_mb": peak_memory_mb(), "packed": training.packs,
            "micro_batch_tokens": training.micro_batch_tokens,
            "kept_step": progress.best_step if train.keep == "best" and training.validation else progress.step,
            "stopped_early": progress.step < training.total,
            "trainable_parameters": sum(weight.numel() for weight in training.weights.values())}


if __name__ == "__main__":
    sys.exit(main(sys.argv))
