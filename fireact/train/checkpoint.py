"""What a training leaves on disk while it runs: its metrics, and the checkpoint it goes on from after a kill.

A checkpoint is a folder `step-N` with `state.safetensors` (weights and moments), its checksum, and `progress.json`. The
learning rate, the data order and the random numbers of a step follow from the seed and the step, so none of them is
stored. It is written beside its place, forced to disk, and renamed: it is there as a whole or not at all. The newest
few are kept, and one that is damaged all the same is passed over for the one before.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from fireact.errors import DataError, first_line
from fireact.jsonl import decode, write_atomic
from fireact.model.local import weights
from fireact.tracking import append_metrics, parse_metrics

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINTS = "checkpoint"
BEST = "best"
_STATE, _SUM, _PROGRESS = "state.safetensors", "state.crc32", "progress.json"
_NAME = re.compile(r"step-(\d{8,})")


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
    step_seconds: float = 0.0
    """Of it, in steps: without validations and checkpoints."""
    losses: list[float] = field(default_factory=list)
    """The loss of every step."""
    validation_loss: float | None = None
    """Of the last validation."""
    validation_measures: dict[str, float] = field(default_factory=dict)
    """What it told beside the loss, by the objective's names."""
    best_step: int | None = None
    """The step of the best validation so far."""
    best_score: list[float] | None = None
    """How good that was, of several numbers the first that differs counts; more is better."""
    no_better: int = 0
    """Validations in a row since then."""
    scaler: dict[str, float] = field(default_factory=dict)
    """In float16: by how much the loss is multiplied before its gradient is taken, and how that grows."""


def save(folder: Path, progress: Progress, tensors: Mapping[str, Tensor], keep: int) -> None:
    """Write the checkpoint of `progress.step` under `folder`; of those before, `keep` - 1 stay. Raises OSError."""
    with replacing(of_step(folder, progress.step)) as part:
        write(part, progress, tensors)
    before = [step for step in _all(folder) if step < progress.step]
    drop(folder, {progress.step, *before[max(0, len(before) - keep + 1):]})


def drop(folder: Path, but: Set[int] = frozenset()) -> None:
    """Delete the checkpoints under `folder` `but` those of some steps, and the folder once it is empty."""
    for old in [*(place for step, place in _all(folder).items() if step not in but), *folder.glob(".step-*.part")]:
        shutil.rmtree(old)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def of_step(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return folder / f"step-{step:08d}"


def _all(folder: Path) -> dict[int, Path]:
    """The checkpoints under `folder` by their steps, the newest last; what else lies there is not ours."""
    named = ((_NAME.fullmatch(place.name), place) for place in folder.glob("step-*") if place.is_dir())
    return dict(sorted((int(name[1]), place) for name, place in named if name))


def newest(out: Path) -> int | None:
    """The step of the newest checkpoint of the training in `out`, None where there is none."""
    return max(_all(out / CHECKPOINTS), default=None)


def write(folder: Path, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint's files into `folder`. Raises OSError, SafetensorError."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / _STATE)
    (folder / _SUM).write_text(_checksum(folder / _STATE), encoding="utf-8")
    (folder / _PROGRESS).write_text(json.dumps(asdict(progress)), encoding="utf-8")


def load(folder: Path, job: str, say: Callable[[str], None] = print) -> tuple[Progress, dict[str, Tensor]] | None:
    """Return the newest sound checkpoint under `folder`, None where there is none; `say` tells of damaged ones.

    Raises DataError for another job's, and where all are damaged.
    """
    damaged: list[str] = []
    for place in reversed(_all(folder).values()):
        try:
            found = read(place)
        except DataError as error:
            damaged.append(str(error))
            continue
        if found[0].job != job:
            raise DataError(f"{place} is a checkpoint of another job (hash {found[0].job}, this one is {job}); "
                            "train into another folder, or delete this one to start anew")
        for line in damaged:
            say(f"{line}; going on from {place.name} instead")
        return found
    if damaged:
        raise DataError(f"{damaged[0]}; delete {folder} to start anew")
    return None


def read(place: Path) -> tuple[Progress, dict[str, Tensor]]:
    """Read one checkpoint. Raises DataError where it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = place / _PROGRESS
    try:
        if (place / _SUM).read_text(encoding="utf-8") != _checksum(place / _STATE):
            raise DataError(f"{_STATE} is not what was written")
        return decode(Progress, file.read_text(encoding="utf-8"), str(file)), load_file(place / _STATE)
    except (OSError, ValueError, SafetensorError, DataError) as error:
        raise DataError(f"the checkpoint {place} is damaged ({first_line(error)})") from None


def _checksum(file: Path) -> str:
    """The CRC-32 of a file: it tells damage, and no attack, at the speed of a disk."""
    total = 0
    with file.open("rb") as opened:
        while block := opened.read(1 << 24):
            total = crc32(block, total)
    return f"{total:08x}"


@contextmanager
def replacing(place: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `place` once the block ends well, with all its files on disk.

    Whoever may read the folder may read its files: safetensors writes them for their owner alone.
    """
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    for path in [*part.rglob("*"), part]:
        if path.is_file():
            path.chmod(part.stat().st_mode & 0o666)
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
    kept = [line for line in parse_metrics(path.read_bytes()) if line.get("step", step + 1) <= step]
    write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failed write of a training under `folder` (a full disk, no permission) into a DataError."""
    step = newest(folder)
    place = "the beginning" if step is None else f"the checkpoint of step {step}"
    with weights.writing(folder, then=f"start again: it goes on from {place}"):
        yield
