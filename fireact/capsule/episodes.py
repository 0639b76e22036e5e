"""The packed episodes of a job: judged anew where their dataset is at hand, and played again from the tape alone."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fireact.capsule.portable import foreign, placed
from fireact.errors import ConfigError, DataError, FireActError
from fireact.generate import PlayJob, first, open_dataset, play_all
from fireact.jsonl import encode, read_jsonl, write_atomic
from fireact.play.engine import Settings
from fireact.play.played import digest, require
from fireact.play.records import TRAJECTORIES
from fireact.plugins import uses_library
from fireact.protocols import Dataset
from fireact.sections import Budget, Taping
from fireact.types import Question, StopReason, Trajectory


@dataclass(frozen=True)
class Place:
    """Where a capsule is verified."""

    work: Path
    calls: Counter[str]
    """How many answers each job has on the tape."""

    @property
    def root(self) -> Path:
        """What was unpacked."""
        return self.work / "capsule"

    @property
    def tape(self) -> Path:
        """The capsule's tape."""
        return self.work / "tape.sqlite"

    @property
    def store(self) -> Path:
        """The fresh store of what is done again."""
        return self.work / "store"

    @property
    def home(self) -> Path:
        """Where datasets and indexes are built."""
        return self.work / "home"

    def records(self, key: str) -> Path:
        """The folder of a job's packed records."""
        return self.root / "store" / "generate" / key


@dataclass(frozen=True)
class Episodes:
    """The records of a job that count, in their order."""

    label: str
    key: str
    job: PlayJob
    records: Sequence[Trajectory]
    dataset: Dataset | None
    """None where it cannot be opened here: then the records have the scores that they were packed with."""
    questions: Sequence[Question] = ()
    why: str = ""
    """Why they cannot be judged anew, and not be played again."""
    broken: str = ""
    """What is wrong with the records; then there are none."""
    digest: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Sum the records up."""
        object.__setattr__(self, "digest", digest(self.records))


@dataclass(frozen=True)
class Replay:
    """What came of playing a job again."""

    digest: str | None
    """None where it could not be played."""
    why: str = ""
    """Why not; or what differs."""
    differs: bool = False


def read_job(place: Place, label: str, values: Any) -> PlayJob:
    """Read a packed job. Raises DataError."""
    try:
        return PlayJob.model_validate({**placed(values, place.root), "home": place.home})
    except (ValidationError, TypeError) as error:
        raise DataError(f"jobs.json: {label} is no job of this version of FireAct ({str(error).splitlines()[0]})"
                        ) from None


def open_episodes(place: Place, label: str, key: str, values: Mapping[str, Any]) -> Episodes:
    """Open the packed records of a job. Raises DataError for a capsule that pack did not make."""
    job, folder = read_job(place, label, values), place.records(key)
    why = foreign(values, label)
    if why:
        return _as_recorded(label, key, job, folder, why)
    try:
        dataset = open_dataset(job.dataset, place.home)
        questions = first(dataset.questions(job.split), job.split, job.n, "n", job.skip)
    except (FireActError, ImportError) as failure:
        return _as_recorded(label, key, job, folder, str(failure))
    try:
        played = require(folder, dataset, questions, job.sampling, label.partition("/")[0])
        return Episodes(label, key, job, played, dataset, questions)
    except DataError as failure:
        return Episodes(label, key, job, (), dataset, questions, broken=str(failure))


def _as_recorded(label: str, key: str, job: PlayJob, folder: Path, why: str) -> Episodes:
    try:
        records = list(read_jsonl(folder / TRAJECTORIES, Trajectory))
        # The folder may have further questions, of other runs: each run's are the first of the split.
        asked = set(list(dict.fromkeys(record.id for record in records))[: job.n])
        return Episodes(label, key, job, [record for record in records if record.id in asked], None, why=why)
    except DataError as failure:
        return Episodes(label, key, job, (), None, why=why, broken=str(failure))


def replay(place: Place, episodes: Episodes) -> Replay:
    """Play a job again in a fresh store, from the tape alone, and hold the records against the packed ones.

    Models whose replies are computed and not kept, the scripted expert for one, compute them again.
    """
    if episodes.dataset is None or episodes.broken:
        return Replay(None, episodes.why or episodes.broken, differs=bool(episodes.broken))
    job, questions = _as_far_as_played(episodes)
    if uses_library(job.strategy) and job.library is None:
        return Replay(None, "which skills an episode recalled depends on which others had ended before it")
    folder = place.store / "generate" / episodes.key
    try:
        _play(place, job, folder)
        played = require(folder, episodes.dataset, questions, job.sampling, "generate")
    except ConfigError as failure:
        return Replay(None, str(failure))
    except FireActError as failure:
        if not place.calls[episodes.key]:
            return Replay(None, "the capsule's tape has no call of this job: it was played with tape.mode=off, or with "
                                "another tape")
        return Replay(None, str(failure), differs=True)
    found = digest(played)
    if found == episodes.digest:
        return Replay(found)
    return _first_difference(found, episodes.records, played)


def _as_far_as_played(episodes: Episodes) -> tuple[PlayJob, Sequence[Question]]:
    """The job without an end by `kept`: where that comes may depend on how many episodes are played at once."""
    job, questions = episodes.job, episodes.questions
    if job.sampling.kept is None:
        return job, questions
    n = len({record.id for record in episodes.records})
    return job.model_copy(update={"n": n, "sampling": job.sampling.model_copy(update={"kept": None})}), questions[:n]


def _play(place: Place, job: PlayJob, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(concurrency=32, tape=Taping(mode="strict", file=place.tape), budget=Budget(),
                        store=place.store, run="verify", sweep=None)
    engine, path = place.store / "engine.json", folder / "job.json"
    write_atomic(engine, settings.model_dump_json())
    write_atomic(path, job.model_dump_json())
    with (folder / "said.txt").open("w") as said, redirect_stdout(said), redirect_stderr(said):
        asyncio.run(play_all(engine, [path]))


def _first_difference(found: str, packed: Sequence[Trajectory], played: Sequence[Trajectory]) -> Replay:
    """Name the first record that is not the same."""
    for one, other in zip(packed, played, strict=False):
        if digest([one]) != digest([other]):
            if one.stop is StopReason.SECONDS:
                return Replay(None, f"the clock ended the episode of {one.id}, and no tape holds the time")
            attempt = f", attempt {one.attempt}" if one.attempt else ""
            return Replay(found, f"the first record that differs is {one.id}{attempt}: {_difference(one, other)}",
                          differs=True)
    return Replay(found, f"{len(packed)} records were packed, and {len(played)} are played", differs=True)


def _difference(one: Trajectory, other: Trajectory) -> str:
    packed, played = json.loads(encode(one)), json.loads(encode(other))
    for number, (left, right) in enumerate(zip(packed["steps"], played["steps"], strict=False), 1):
        if (left["kind"], left["text"], left["argument"]) != (right["kind"], right["text"], right["argument"]):
            return f"in step {number} {left['text'][:60]!r} is packed and {right['text'][:60]!r} is played"
    for name in ("answer", "stop", "score", "question", "error", "steps", "provenance"):
        if packed[name] != played[name]:
            return f"its {name} is {str(packed[name])[:60]!r} as packed and {str(played[name])[:60]!r} as played"
    return "in what was counted of a call"
