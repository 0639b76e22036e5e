"""The training loop, a process of its own: `python -m fireact.train.worker JOB.json`.

For several processes, with a GPU each or all on CPUs:
`accelerate launch --multi_gpu --num_processes N -m fireact.train.worker JOB.json`.

The job's folder gets metrics.jsonl while it runs, `adapter/` (or `model/`), and done.json at last. The same command
goes on after a kill; the result is that of an undisturbed run. Exit codes: 0 done, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, get_args, get_type_hints

import torch
import transformers
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import DistributedType
from pydantic import ConfigDict
from torch import nn

from fireact.errors import ConfigError, DataError
from fireact.jsonl import decode, decode_text, open_file, write_atomic
from fireact.process import guard
from fireact.train import Train, checkpoint, data, export, lora
from fireact.train.checkpoint import Progress
from fireact.train.loop import Training, warmup_steps
from fireact.types import RUNTIME, Example

_LAYOUTS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


@dataclass(frozen=True)
class Job:
    """One training, as frozen in JOB.json."""

    examples: Path
    """A jsonl of `fireact.types.Example`."""
    base: Path
    """The folder of a Hugging Face checkpoint."""
    base_identity: str
    """The hash of the base's weights, written into the adapter."""
    base_name: str
    out: Path
    seed: int
    train: Train
    validation: Path | None = None

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}

    def hash(self) -> str:
        """Hash whatever can change the result."""
        hints = get_type_hints(Train, include_extras=True)
        options = {name: value for name, value in asdict(self.train).items()
                   if RUNTIME not in get_args(hints[name])[1:]}
        files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.examples, self.validation) if path]
        parts = json.dumps([files, self.base_identity, self.seed, options], sort_keys=True)
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


def main(argv: list[str]) -> int:
    """Train, and return an exit code."""

    def work() -> None:
        if len(argv) != 2:
            raise ConfigError(f"got {len(argv) - 1} arguments; expected one: python -m fireact.train.worker JOB.json")
        run(read_job(Path(argv[1])))

    return guard(work)


def read_job(path: Path) -> Job:
    """Read JOB.json. Raises DataError, ConfigError."""
    with open_file(path) as file:
        return decode(Job, decode_text(file.read(), str(path)), str(path))


def run(job: Job) -> None:
    """Train as `job` says, unless that is done already. Raises FireActError."""
    _quiet()
    config = lora.read_config(job.base)
    _quiet()
    limits = [job.train.max_length, getattr(config, "max_position_embeddings", None)]
    window = min((limit for limit in limits if limit), default=None)
    (examples, cuts), (validation, held_out_cuts) = (
        data.read_examples(path, vocabulary=config.vocab_size, window=window, too_long=job.train.too_long)
        if path else ([], data.Cuts()) for path in (job.examples, job.validation))
    if not examples:
        raise DataError(f"{job.examples}: all {cuts.dropped} examples have more than {window} tokens and "
                        f"train.too_long={job.train.too_long} leaves none; raise train.max_length if the model allows")
    if _is_done(job):
        return
    training = start(job, examples, validation)
    for line in (cuts.sentence("training", window), held_out_cuts.sentence("validation", window), _low_rate(training)):
        if line:
            training.say(line)
    training.go()
    if training.accelerator.is_main_process:
        with checkpoint.writing(job.out):
            finish(job, training, {**cuts.counts(), **held_out_cuts.counts("validation_")})
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


def _is_done(job: Job) -> bool:
    path = job.out / "done.json"
    if not path.exists():
        return False
    if json.loads(path.read_text(encoding="utf-8")).get("job") != job.hash():
        raise DataError(f"{path} is the result of another job; train into another folder, or delete this one")
    return True


def start(job: Job, examples: list[Example], validation: list[Example]) -> Training:
    """Load the model and the last checkpoint, if there is one. Raises ConfigError, DataError."""
    if job.train.threads:
        torch.set_num_threads(job.train.threads)
    dtype = dtype_of(job.train)
    # Accelerate joins processes without a GPU only where it is told that they have none.
    several_cpus = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()
    accelerator = Accelerator(cpu=several_cpus, mixed_precision="bf16" if dtype == torch.bfloat16 else "no",
                              kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)])
    if accelerator.distributed_type not in _LAYOUTS:
        raise ConfigError(f"accelerate was configured for {accelerator.distributed_type.value}; this loop knows one "
                          "process or data-parallel ones (accelerate launch --multi_gpu)")
    torch.manual_seed(job.seed)
    model = accelerator.prepare(_model(job, dtype))
    training = Training(job.train, job.seed, job.out, accelerator, model, examples, validation, Progress(job.hash()))
    training.restore()
    return training


def dtype_of(train: Train) -> torch.dtype:
    """What is computed in."""
    if train.dtype == "auto":
        return torch.bfloat16 if torch.cuda.is_available() else torch.float32
    return torch.bfloat16 if train.dtype == "bfloat16" else torch.float32


def _model(job: Job, dtype: torch.dtype) -> nn.Module:
    """Load what is trained; the weights that learn are in float32, for bfloat16 loses small updates."""
    full = job.train.method == "full"
    base = lora.load_base(job.base, torch.float32 if full else dtype)
    if job.train.gradient_checkpointing:
        base.gradient_checkpointing_enable({"use_reentrant": False})
    model = base if full else lora.attach(base, job.train, job.base_name)
    return model.train()


def finish(job: Job, training: Training, cuts: dict[str, int]) -> None:
    """Write what was learnt, then done.json with `cuts`, and drop the checkpoint. Raises OSError, SafetensorError."""
    results = {"examples": len(training.examples), "validation_examples": len(training.validation), **cuts,
               **training.summary()}
    with checkpoint.replacing(job.out / job.train.makes) as part:
        if job.train.method == "full":
            export.save_model(training.bare, job.base, part, dtype_of(job.train))
        else:
            export.save_adapter(training.bare, part)
        export.describe(part, job.train, job.base_name, job.base_identity, results)
    write_atomic(job.out / "done.json", json.dumps({**results, "job": training.progress.job}, indent=1))
    shutil.rmtree(job.out / "checkpoint", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
