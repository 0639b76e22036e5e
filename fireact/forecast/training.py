"""What a training will take, by those of the same student that the store has: tokens, and seconds on such a machine."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from fireact.curate import FUNNEL, read_funnel
from fireact.plugins import Node, build
from fireact.store import DONE, identity, key
from fireact.tokenize import AUDIT
from fireact.train import Train
from fireact.train.job import TrainJob


@dataclass(frozen=True)
class Training:
    """What one training will take; None for what nobody knows yet."""

    tokens: float | None
    seconds: float | None


@dataclass(frozen=True)
class Trained:
    """What the finished trainings of a store took, by their student."""

    length: dict[str, list[float]] = field(default_factory=dict)
    """Tokens of a trajectory."""
    speed: dict[str, list[float]] = field(default_factory=dict)
    """Tokens a second."""

    @classmethod
    def of(cls, root: Path) -> "Trained":
        """Look at all trainings in the store's folder `root`/train."""
        found = cls()
        for job, done in _finished(root / "train"):
            student = _student(job.model)
            if done.get("tokens_per_second"):
                found.speed.setdefault(student, []).append(done["tokens_per_second"])
            audit = _audit(job)
            if audit and audit["used"]:
                found.length.setdefault(student, []).append(audit["tokens"] / audit["used"])
        return found

    def expected(self, job: TrainJob, n: int | None) -> Training:
        """What `job` will take, on `n` trajectories where its set is not made yet."""
        train, student, audit = build(job.train, "train"), _student(job.model), _audit(job)
        if not isinstance(train, Train):
            return Training(None, None)
        n = _trajectories(job) or n
        length = median(self.length[student]) if student in self.length else None
        once = audit["tokens"] if audit else n * length if n and length else None
        if once is None:
            return Training(None, None)
        tokens = once * train.epochs
        return Training(tokens, tokens / median(self.speed[student]) if student in self.speed else None)


def _finished(root: Path) -> Iterator[tuple[TrainJob, dict[str, Any]]]:
    for done in sorted(root.glob(f"*/{DONE}")):
        for file in sorted(done.parent.glob("job-*.json"))[:1]:
            try:
                yield TrainJob.model_validate_json(file.read_text(encoding="utf-8")), json.loads(done.read_text())
            except ValueError:
                continue  # Of another version.


def _student(model: Node) -> str:
    return key(model=identity(model, replies=False))


def _audit(job: TrainJob) -> dict[str, Any] | None:
    path = job.tokens / AUDIT if job.tokens else None
    return json.loads(path.read_text(encoding="utf-8"))["train"] if path and path.exists() else None


def _trajectories(job: TrainJob) -> int | None:
    if not (job.curated / FUNNEL).exists():
        return None
    return sum(cell["train"] for cell in read_funnel(job.curated)["cells"].values())
