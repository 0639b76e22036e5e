"""What a training leaves on disk while it runs: its metrics, and the checkpoint it goes on from after a kill.

A checkpoint is a folder `step-N` with `state.safetensors` (weights and moments) and `progress.json`. The learning
rate, the data order and the random numbers of a step follow from the seed and the step, so none of them is stored.
It is written beside its place, forced to disk, and renamed: it is there as a whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fireact.errors import DataError
from fireact.jsonl import decode, write_atomic
from fireact.model.local import weights
from fireact.tracking import append_metrics, parse_metrics

if TYPE_CHECKING:
    from torch import Tensor

_STATE, _PROGRESS = "state.safetensors", "progress.json"


@dataclass
class Progress:
    """How far a training has come."""

    job: str
    """The hash of the job: a checkpoint is of no use to another."""
    step: int = 0
    tokens: int = 0
    """Tokens seen, without padding."""
    trained_tokens: int = 0
    seconds: float = 0.0
    """The time spent up to this step, that of processes killed since included up to their last checkpoint."""
    losses: list[float] = field(default_factory=list)
    """The loss of every step."""
    validation_loss: float | None = None


def save(folder: Path, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
    """Write the checkpoint of `progress.step` under `folder` and drop the one before. Raises OSError."""
    from safetensors.torch import save_file

    place = folder / f"step-{progress.step:08d}"
    with replacing(place) as part:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part / _STATE)
        (part / _PROGRESS).write_text(json.dumps(asdict(progress)), encoding="utf-8")
    for old in folder.iterdir():
        if old != place:
            shutil.rmtree(old)


def load(folder: Path, job: str) -> tuple[Progress, dict[str, Tensor]] | None:
    """Return the last checkpoint under `folder`, None where there is none. Raises DataError for another job's."""
    from safetensors.torch import load_file

    places = sorted(folder.glob("step-*"))
    if not places:
        return None
    file = places[-1] / _PROGRESS
    progress = decode(Progress, file.read_text(encoding="utf-8"), str(file))
    if progress.job != job:
        raise DataError(f"{places[-1]} is a checkpoint of another job (hash {progress.job}, this one is {job}); "
                        "train into another folder, or delete this one to start anew")
    return progress, load_file(places[-1] / _STATE)


@contextmanager
def replacing(place: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `place` once the block ends well, with all its files on disk."""
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    for path in [*part.iterdir(), part]:
        _sync(path)
    if place.exists():
        shutil.rmtree(place)
    part.rename(place)
    _sync(place.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Append one line of JSON, numbers rounded to 7 significant digits. Raises OSError."""
    append_metrics(path, {name: float(f"{value:.7g}") if isinstance(value, float) else value
                          for name, value in record.items()})


def rewind(path: Path, step: int) -> None:
    """Drop the metrics of later steps than `step`, and what a kill left of a line. Raises OSError."""
    if not path.exists():
        return
    kept = [line for line in parse_metrics(path.read_bytes()) if line["step"] <= step]
    write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failed write of a training under `folder` (a full disk, no permission) into a DataError."""
    with weights.writing(folder, then="start again: the last checkpoint is kept"):
        yield
