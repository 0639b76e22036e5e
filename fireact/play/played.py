"""What was played of a job: the records of its questions, as far as they count, judged anew.

    played = require(folder, dataset, questions, sampling, "generate")      # a sequence, read from disk as it is used
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import overload

from fireact.errors import DataError
from fireact.filters import EPISODE_FILTERS, Judge
from fireact.jsonl import encode
from fireact.play.records import Name, Records
from fireact.play.turns import Plan
from fireact.protocols import Dataset
from fireact.sections import FilterName, Sampling
from fireact.types import Question, Trajectory


@dataclass(frozen=True)
class Played(Sequence[Trajectory]):
    """The records of a job in the order of their questions. Each is read when it is used, so that any number fits."""

    records: Records
    names: Sequence[Name]
    rules: "Rules"

    def __len__(self) -> int:
        """How many attempts there are."""
        return len(self.names)

    @overload
    def __getitem__(self, at: int) -> Trajectory: ...

    @overload
    def __getitem__(self, at: slice) -> "Played": ...

    def __getitem__(self, at: int | slice) -> "Trajectory | Played":
        """Read a record, judged by the dataset's present rules, or see a part of them. Raises DataError."""
        if isinstance(at, slice):
            return replace(self, names=self.names[at])
        return self.rules.judge(self.records.read(*self.names[at]))


def digest(records: Iterable[Trajectory]) -> str:
    """Return a hash of what was played, in its order: of all but times, commits and versions.

    Two runs of the same job have the same where the model and the tool answer the same.
    """
    whole = sha256()
    for record in records:
        steps = tuple(replace(step, seconds=0.0, completion=step.completion and replace(step.completion, seconds=0.0))
                      for step in record.steps)
        provenance = {name: record.provenance.get(name) for name in ("model", "few_shot", "key")}
        whole.update(encode(replace(record, steps=steps, seconds=0.0, provenance=provenance)).encode())
    return whole.hexdigest()[:16]


class Rules:
    """How a dataset judges answers now: neither this nor what it takes for right is part of what was played."""

    def __init__(self, questions: Iterable[Question], dataset: Dataset) -> None:
        """Judge by the dataset's own questions, which may know more answers than when they were played."""
        self._questions, self._dataset = {question.id: question for question in questions}, dataset

    def judge(self, record: Trajectory) -> Trajectory:
        """Score a record anew."""
        return replace(record, score=self._dataset.score(self._questions[record.id], record.answer))


def plan(questions: Sequence[Question], sampling: Sampling, dataset: Dataset) -> Plan:
    """What a job is to play."""
    filters: list[FilterName] = [name for name in sampling.filters if name in EPISODE_FILTERS]
    rules, judge = Rules(questions, dataset), Judge({}, Path(), None, ())

    def keeps(record: Trajectory) -> bool:
        record = rules.judge(record)
        return all(judge.keeps(name, record) for name in filters)

    return Plan(questions, sampling.attempts, sampling.until_correct, sampling.kept, keeps)


def finished(folder: Path, questions: Sequence[Question], sampling: Sampling, dataset: Dataset) -> bool:
    """Whether nothing of a job is left to play; then its records are in order, though a kill came before that."""
    with closing(Records(folder)) as records:
        return plan(questions, sampling, dataset).settle(records)


def require(folder: Path, dataset: Dataset, questions: Sequence[Question], sampling: Sampling, stage: str) -> Played:
    """Return the records that a job asks for. Raises DataError where some are missing."""
    records, wanted = Records(folder), plan(questions, sampling, dataset)
    names = wanted.enough(records)
    if names is None:
        there = sum(not wanted.left(turn, records) for turn in wanted.turns())
        raise DataError(f"{records.path} has {there} of the {len(questions) * sampling.turns} that are wanted; "
                        f"run stage={stage} first, or stage=pipeline")
    return Played(records, names, Rules(questions, dataset))
