"""Choose which trajectories a student learns from: filter, deduplicate, mix, choose.

    python -m fireact.curate FOLDER/job.json

writes FOLDER/train.jsonl, validation.jsonl, skills.jsonl, funnel.json, contamination.jsonl; defects.jsonl of what was
read from other runs' files; and where pairs are wanted, preferences.jsonl and preferences-validation.jsonl. Every
filter is a named predicate (fireact/filters.py), and the funnel counts what each dropped.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from fireact import contamination, formats
from fireact.errors import ConfigError, FireActError
from fireact.examples import wording
from fireact.filters import Judge, distinct
from fireact.generate import first, open_dataset
from fireact.jsonl import encode, read_jsonl, write_atomic
from fireact.mixing import counts_beside, counts_of, dealt
from fireact.play.played import require
from fireact.plugins import Node
from fireact.preferences import Cell, Halves, Pairing, divide, pair_up
from fireact.process import stage_main
from fireact.sections import FilterName, Sampling, Section
from fireact.skills import SKILLS, Library
from fireact.store import DONE, identity, key
from fireact.types import Question, Trajectory

VERSION = 7
TRAIN, VALIDATION, FUNNEL = "train.jsonl", "validation.jsonl", "funnel.json"
PREFERENCES, HELD_PREFERENCES = "preferences.jsonl", "preferences-validation.jsonl"
"""Pairs of trajectories, to train on and held out."""
DEFECTS = "defects.jsonl"
"""One line a fault of a record that came from another run's file."""
CONTAMINATION = "contamination.jsonl"
"""One line a training question that is in an evaluation set, word for word or nearly."""


class Source(Section):
    """The trajectories of one method on one dataset: a generation folder, or files of other runs."""

    task: str
    """The dataset's name."""
    method: str
    share: float
    """How much of it, in proportion to the others."""
    ratio: float | None = None
    """In place of a share: at most so many for each of all that have one."""
    folder: Path | None = None
    files: list[Path]
    key: str
    dataset: Node
    split: str
    questions: int | None
    """How many questions of the split were played; None for all."""
    skip: int = 0
    """Behind so many that were not."""
    sampling: Sampling = Sampling()


class Judged(Section):
    """A set of questions that the student will be judged by."""

    task: str
    dataset: Node
    split: str


class CurateJob(Section):
    """What is chosen from what."""

    sources: list[Source]
    evaluated: list[Judged]
    model: Node
    filters: list[FilterName]
    keep: Literal["first_correct", "all"] = "first_correct"
    window: int | None
    n: int | None
    validation: int
    pairs: int = 0
    """At most so many pairs of each question."""
    seed: int
    home: Path

    def key(self) -> str:
        """The store key of the folder that holds the choice."""
        # Files of other runs keep the scores that they came with.
        sources = [(source.task, source.method, source.share if source.ratio is None else {"ratio": source.ratio},
                    source.key, (source.skip, source.questions) if source.skip else source.questions,
                    None if source.files else (source.dataset.get("scoring"), source.sampling.model_dump()))
                   for source in self.sources]
        evaluated = [(judged.task, identity(judged.dataset), judged.split) for judged in self.evaluated]
        return key(stage="curate", version=VERSION, sources=sources, filters=self.filters, keep=self.keep,
                   window=self.window,
                   model=identity(self.model, replies=False) if "fits" in self.filters else None,
                   evaluated=evaluated, n=self.n, validation=self.validation,
                   pairs=self.pairs, seed=self.seed)


@dataclass
class Funnel:
    """How many trajectories came in, were dropped by which filter, and were kept, for one method on one dataset."""

    task: str
    method: str
    played: int
    dropped: dict[str, int]
    kept: int
    train: int = 0
    validation: int = 0
    pairs: dict[str, int] | None = None
    """Where pairs are wanted: how many questions have some, and why the others have none; how many pairs are for
    `train` and for `validation`."""


def run(values: dict[str, Any], folder: Path) -> None:
    """Curate into `folder`. Raises DataError, ConfigError."""
    job = CurateJob.model_validate(values)
    judge = Judge(job.model, job.home, job.window, _evaluated(job))
    given = _imported(folder, {file for source in job.sources for file in source.files})
    kept: dict[Cell, list[Trajectory]] = {}
    funnels: dict[Cell, Funnel] = {}
    pairings: dict[Cell, Pairing] = {}
    for source in job.sources:
        cell, attempts = (source.task, source.method), _attempts(job, source, given)
        records = distinct(attempts)
        _look_up(records, judge, required="not_evaluated" in job.filters)
        kept[cell], dropped = _filter(records, job.filters, judge.keeps, first_only=job.keep == "first_correct")
        dropped["duplicate"] += len(attempts) - len(records)
        funnels[cell] = Funnel(*cell, len(attempts), dropped, len(kept[cell]))
        if job.pairs:
            pairings[cell] = pair_up(attempts, partial(_passes, judge, job.filters), job.pairs, job.seed)
            funnels[cell].pairs = pairings[cell].questions
    _write_funnel(folder, funnels, judge)
    shares = {(source.task, source.method): source.share for source in job.sources if source.ratio is None}
    ratios = {(source.task, source.method): source.ratio for source in job.sources if source.ratio is not None}
    # The first of each order are held out, never more than half: the rest stays nested whatever n is. A question that
    # is held out for one method is trained on by none.
    wanted = {**dict.fromkeys(ratios, 0), **dealt(job.validation, shares)}
    held = {cell: kept[cell][: min(count, len(kept[cell]) // 2)] for cell, count in wanted.items()}
    unseen = {(record.dataset, record.id) for records in held.values() for record in records}
    if job.pairs:
        _write_pairs(folder, divide(pairings, wanted, unseen), funnels)
    rest = {cell: [record for record in records if (record.dataset, record.id) not in unseen]
            for cell, records in kept.items()}
    counts = counts_of(rest, shares, job.n)
    counts |= counts_beside(rest, ratios, sum(counts.values()))
    for cell, funnel in funnels.items():
        funnel.validation, funnel.train = len(held[cell]), counts[cell]
    _write(folder / TRAIN, [record for cell in rest for record in rest[cell][: counts[cell]]])
    _write(folder / VALIDATION, [record for cell in kept for record in held[cell]])
    Library.of(record for records in kept.values() for record in records).save(folder / SKILLS)
    _write_funnel(folder, funnels, judge)
    write_atomic(folder / DONE, json.dumps({"train": sum(counts.values())}))


def _passes(judge: Judge, filters: Sequence[FilterName], record: Trajectory) -> bool:
    return all(judge.keeps(name, record) for name in filters)


def _write_pairs(folder: Path, parts: Mapping[Cell, Halves], funnels: Mapping[Cell, Funnel]) -> None:
    for cell, halves in parts.items():
        funnels[cell].pairs = {**(funnels[cell].pairs or {}), "train": len(halves[0]), "validation": len(halves[1])}
    for name, half in ((PREFERENCES, 0), (HELD_PREFERENCES, 1)):
        _write(folder / name, [pair for halves in parts.values() for pair in halves[half]])


def held_against(folder: Path, job: CurateJob) -> dict[str, Any]:
    """Return what a curated folder of another run holds of the questions that this run's student is judged by.

    Raises DataError where the folder has no trajectories.
    """
    judge = Judge(job.model, job.home, None, _evaluated(job))
    _look_up(list(read_jsonl(folder / TRAIN, Trajectory)), judge, required=False)
    return contamination.report(match for match in judge.matches.values() if match)


def _look_up(records: Sequence[Trajectory], judge: Judge, *, required: bool) -> None:
    """Hold all training questions against the evaluation's: what is found is told, whether it is dropped or not."""
    try:
        for record in records:
            judge.look_up(record)
    except FireActError as error:
        if required:
            raise
        print(f"  whether evaluated questions are among these was not looked up: {error}", flush=True)


def _evaluated(job: CurateJob) -> Iterator[tuple[str, Question]]:
    for judged in job.evaluated:
        for question in open_dataset(judged.dataset, job.home).questions(judged.split):
            yield judged.task, question


def _write_funnel(folder: Path, funnels: Mapping[Cell, Funnel], judge: Judge) -> None:
    matches = [match for match in judge.matches.values() if match]
    _write(folder / CONTAMINATION, matches)
    several = len({task for task, _ in funnels}) > 1
    cells = {f"{task}/{method}" if several else method:
             {name: value for name, value in vars(funnel).items() if value is not None}
             for (task, method), funnel in funnels.items()}
    values = {"cells": cells, "contamination": contamination.report(matches)}
    write_atomic(folder / FUNNEL, json.dumps(values, indent=1))


def _attempts(job: CurateJob, source: Source, given: Mapping[Path, list[Trajectory]]) -> list[Trajectory]:
    """The source's trajectories in the fixed, seeded order from which every choice is a prefix."""
    if source.files:
        records = [record for file in source.files for record in given[file]
                   if len(job.sources) == 1 or (record.dataset in ("", source.task) and record.method == source.method)]
    else:
        dataset = open_dataset(source.dataset, job.home)
        assert source.folder is not None
        questions = first(dataset.questions(source.split), source.split, source.questions, "generate.n", source.skip)
        records = list(require(source.folder, dataset, questions, source.sampling, "generate"))
    return sorted(records, key=lambda record: sha256(f"{job.seed}:{record.id}".encode()).digest())


def _imported(folder: Path, files: Set[Path]) -> dict[Path, list[Trajectory]]:
    """Read the files of other runs; what was wrong with their records is said, and listed in the folder."""
    found = {file: formats.read(file) for file in sorted(files)}
    for file, imported in found.items():
        for text, count in Counter(defect.text for defect in imported.defects).most_common():
            print(f"  {file.name}, {count} records: {text}", flush=True)
    if found:
        _write(folder / DEFECTS, [defect for imported in found.values() for defect in imported.defects])
    return {file: imported.trajectories for file, imported in found.items()}


def _filter(records: Sequence[Trajectory], filters: Sequence[FilterName],
            keeps: Callable[[FilterName, Trajectory], bool], first_only: bool
            ) -> tuple[list[Trajectory], dict[str, int]]:
    dropped: Counter[str] = Counter({name: 0 for name in (*filters, "duplicate")})
    kept: list[Trajectory] = []
    seen: set[str] = set()
    solved: set[tuple[str, str, str]] = set()
    for record in records:
        failed = next((name for name in filters if not keeps(name, record)), None)
        if failed is None and first_only and (record.dataset, record.method, record.id) in solved:
            failed = "later_attempt"
        if failed is None:
            text = wording(record)
            failed = "duplicate" if text in seen else None
            seen.add(text)
        if failed is None:
            kept.append(record)
            solved.add((record.dataset, record.method, record.id))
        else:
            dropped[failed] += 1
    return kept, dict(dropped)


def _write(path: Path, records: Sequence[Any]) -> None:
    write_atomic(path, "".join(encode(record) + "\n" for record in records))


def read_funnel(folder: Path) -> dict[str, Any]:
    """Return the funnel of a curated folder: `cells` by name, and the `contamination` with evaluated questions.

    Raises ConfigError where there is none.
    """
    path = folder / FUNNEL
    if not path.exists():
        raise ConfigError(f"{path} does not exist; run stage=curate first")
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(stage_main(run, sys.argv))
