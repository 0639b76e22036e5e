"""How far a job is, told from its folder alone: whoever works on it, and on whichever machine."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fireact.children import Task
from fireact.generate import PlayJob, Splits, open_dataset
from fireact.locks import LOCK, locked, taken
from fireact.play.claims import EVERYTHING, Claims
from fireact.play.claims import NAME as CLAIMS
from fireact.play.played import plan
from fireact.play.records import Records
from fireact.store import DONE, FAILED

Kind = Literal["done", "running", "failed", "waiting"]


@dataclass(frozen=True)
class State:
    """How far one job is."""

    kind: Kind
    why: str = ""
    """Of a failed one."""
    played: int = 0
    """How many attempts are played, of `wanted`; of a stage that plays nothing both are 0."""
    wanted: int = 0


def state(task: Task, splits: Splits) -> State:
    """Look at one job. Raises ConfigError, DataError."""
    played = wanted = 0
    if isinstance(task.job, PlayJob):
        whole = plan(splits.first(task.job), task.job.sampling, open_dataset(task.job.dataset, task.job.home))
        with closing(Records(task.folder)) as records:
            turns = list(whole.turns())
            wanted, played = len(turns), sum(not whole.left(turn, records) for turn in turns)
            done = whole.done(records)
    else:
        done = (task.folder / DONE).exists()
    if done:
        return State("done", "", played, wanted)
    if busy(task.folder, isinstance(task.job, PlayJob)):
        return State("running", "", played, wanted)
    failed = task.folder / FAILED
    if failed.exists():
        return State("failed", failed.read_text(encoding="utf-8").split("\n")[0], played, wanted)
    return State("waiting", "", played, wanted)


def busy(folder: Path, plays: bool) -> bool:
    """Whether a process works in a stage's folder, on any machine that shares it; `plays`: of a stage that plays."""
    # Looking leaves nothing behind, and no time of change.
    if not (folder / (CLAIMS if plays else LOCK)).exists():
        return False
    if not plays:
        return locked(folder)
    with held(folder, plays) as mine:
        return not mine


@contextmanager
def held(folder: Path, plays: bool) -> Iterator[bool]:
    """Keep others from working in a stage's folder, and tell whether that is possible. Raises FileNotFoundError."""
    if plays:
        with closing(Claims(folder)) as claims:
            yield claims.take(EVERYTHING)
        return
    descriptor = taken(folder / LOCK)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)
