"""Choose which trajectories a student learns from: filter, deduplicate, mix, choose.

    python -m fireact.curate FOLDER/job.json

writes FOLDER/train.jsonl, validation.jsonl and funnel.json. Every filter is a named predicate, and the funnel counts
what each of them dropped.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from fireact.dataset.scoring import normalize
from fireact.errors import ConfigError, DataError
from fireact.examples import conversation, example
from fireact.generate import chosen, open_dataset, require
from fireact.jsonl import encode, read_jsonl, write_atomic
from fireact.process import stage_main
from fireact.schema import FilterName, Node, Section, build
from fireact.store import DONE, identity, key
from fireact.types import StopReason, Trajectory

VERSION = 1
TRAIN, VALIDATION, FUNNEL = "train.jsonl", "validation.jsonl", "funnel.json"


class Source(Section):
    """The trajectories of one method: a generation folder, or a file of another run."""

    method: str
    share: float
    folder: Path | None = None
    file: Path | None = None
    key: str


class CurateJob(Section):
    """What is chosen from what."""

    sources: list[Source]
    dataset: Node
    split: str
    questions: int | None
    """How many questions of the split were played; None for all."""
    evaluated: list[str]
    """The splits that the student will be judged by."""
    model: Node
    filters: list[FilterName]
    window: int | None
    n: int | None
    validation: int
    seed: int
    home: Path

    def key(self) -> str:
        """The store key of the folder that holds the choice."""
        sources = [(source.method, source.share, source.key) for source in self.sources]
        model = identity(self.model, replies=False) if "fits" in self.filters else None
        return key(stage="curate", version=VERSION, sources=sources, questions=self.questions, model=model,
                   dataset=identity(self.dataset), evaluated=self.evaluated, filters=self.filters, window=self.window,
                   n=self.n, validation=self.validation, seed=self.seed)


@dataclass
class Judge:
    """What the filters need to know beyond a trajectory."""

    job: CurateJob

    def keeps(self, name: FilterName, record: Trajectory) -> bool:
        """Apply the filter called `name`."""
        return getattr(self, name)(record)

    def correct(self, record: Trajectory) -> bool:
        """The answer is an exact match."""
        return record.score.em == 1

    def finished(self, record: Trajectory) -> bool:
        """The model gave an answer before any limit."""
        return record.stop is StopReason.FINISHED

    def no_repeat(self, record: Trajectory) -> bool:
        """No tool is called twice with the same argument."""
        calls = [(step.tool, normalize(step.argument or "")) for step in record.steps if step.kind == "act"]
        return len(calls) == len(set(calls))

    def no_format_error(self, record: Trajectory) -> bool:
        """No reply was refused."""
        return all(step.kind != "refuse" for step in record.steps)

    def fits(self, record: Trajectory) -> bool:
        """The whole conversation fits into the student's window, in its own tokens."""
        return len(example(self._tokenizer, record).ids) <= self._window

    def supported(self, record: Trajectory) -> bool:
        """The answer stands in an observation or in the question, or is yes or no; methods without a tool pass."""
        seen = [step.text for step in record.steps if step.kind == "act"]
        answer = record.answer or ""
        return not seen or normalize(answer) in ("yes", "no") or any(
            _stands_in(answer, text) for text in (*seen, record.question.text))

    def not_evaluated(self, record: Trajectory) -> bool:
        """The question is in none of the evaluation's splits."""
        return self._asked(record) not in self._evaluated

    @staticmethod
    def _asked(record: Trajectory) -> str:
        return normalize(record.question.text)

    @cached_property
    def _evaluated(self) -> set[str]:
        dataset = open_dataset(self.job.dataset, self.job.home)
        return {normalize(question.text) for split in self.job.evaluated for question in dataset.questions(split)}

    @cached_property
    def _student(self) -> Any:
        return build(self.job.model, "model", home=self.job.home / "weights")

    @cached_property
    def _tokenizer(self) -> Any:
        return self._student.tokenizer()

    @cached_property
    def _window(self) -> int:
        return self.job.window or self._student.context_window()


@dataclass
class Funnel:
    """How many trajectories came in, were dropped by which filter, and were kept, for one method."""

    method: str
    played: int
    dropped: dict[str, int]
    kept: int
    train: int = 0
    validation: int = 0


def run(values: dict[str, Any], folder: Path) -> None:
    """Curate into `folder`. Raises DataError, ConfigError."""
    job = CurateJob.model_validate(values)
    judge = Judge(job)
    kept: dict[str, list[Trajectory]] = {}
    funnels: dict[str, Funnel] = {}
    for source in job.sources:
        records = _records(job, source)
        kept[source.method], dropped = _filter(records, job.filters, judge.keeps)
        funnels[source.method] = Funnel(source.method, len(records), dropped, len(kept[source.method]))
    write_atomic(folder / FUNNEL, json.dumps([vars(funnel) for funnel in funnels.values()], indent=1))
    shares = {source.method: source.share for source in job.sources}
    # The first of each order are held out, never more than half: the rest stays nested whatever n is. A question that
    # is held out for one method is trained on by none.
    held = {method: kept[method][: min(count, len(kept[method]) // 2)]
            for method, count in _dealt(job.validation, shares).items()}
    unseen = {record.id for records in held.values() for record in records}
    rest = {method: [record for record in records if record.id not in unseen] for method, records in kept.items()}
    counts = _counts(rest, shares, job.n)
    for method, funnel in funnels.items():
        funnel.validation, funnel.train = len(held[method]), counts[method]
    _write(folder / TRAIN, [record for method in rest for record in rest[method][: counts[method]]])
    _write(folder / VALIDATION, [record for method in kept for record in held[method]])
    write_atomic(folder / FUNNEL, json.dumps([vars(funnel) for funnel in funnels.values()], indent=1))
    write_atomic(folder / DONE, json.dumps({"train": sum(counts.values())}))


def _records(job: CurateJob, source: Source) -> list[Trajectory]:
    """The source's trajectories in the fixed, seeded order from which every choice is a prefix."""
    if source.file is not None:
        mine = [record for record in read_jsonl(source.file, Trajectory)
                if len(job.sources) == 1 or record.method == source.method]
        records = list({record.id: record for record in mine}.values())
    else:
        questions = chosen(open_dataset(job.dataset, job.home), job.split, job.questions, "generate.n")
        assert source.folder is not None
        records = require(source.folder, questions, "generate")
    return sorted(records, key=lambda record: sha256(f"{job.seed}:{record.id}".encode()).digest())


def _filter(records: Sequence[Trajectory], filters: Sequence[FilterName],
            keeps: Callable[[FilterName, Trajectory], bool]) -> tuple[list[Trajectory], dict[str, int]]:
    dropped: Counter[str] = Counter({name: 0 for name in (*filters, "duplicate")})
    kept: list[Trajectory] = []
    seen: set[str] = set()
    for record in records:
        failed = next((name for name in filters if not keeps(name, record)), None)
        if failed is None:
            text = repr(conversation(record)[0])
            failed = "duplicate" if text in seen else None
            seen.add(text)
        if failed is None:
            kept.append(record)
        else:
            dropped[failed] += 1
    return kept, dict(dropped)


def _counts(kept: dict[str, list[Trajectory]], shares: dict[str, float], n: int | None) -> dict[str, int]:
    """How many of each method to train on: n in proportion to the shares, or as many as their proportion allows.

    Raises DataError where there are too few.
    """
    most = min(len(kept[method]) / share for method, share in shares.items())
    counts = {method: round(most * share) for method, share in shares.items()} if n is None else _dealt(n, shares)
    for method, count in counts.items():
        if count > len(kept[method]):
            raise DataError(f"curate.n={n} wants {count} trajectories of {method} and {len(kept[method])} were kept; "
                            "raise generate.n, loosen curate.filters, or lower curate.n or strategy.counts")
    if not any(counts.values()):
        raise DataError("no trajectory was kept, so there is nothing to train on; look at the funnel of stage=curate, "
                        "raise generate.n or loosen curate.filters")
    return counts


def _dealt(n: int, shares: dict[str, float]) -> dict[str, int]:
    """Deal n in proportion to the shares, so that the counts add up to n."""
    counts, left = {}, sum(shares.values())
    for method, share in shares.items():
        counts[method] = round((n - sum(counts.values())) * share / left)
        left -= share
    return counts


def _stands_in(answer: str, text: str) -> bool:
    """Whether an answer stands in a text as whole words: Niger not in Nigeria, but Chad in Chad's, and US in U.S."""
    return any(f" {form(answer)} " in f" {form(text)} " for form in (normalize, _split_words))


def _split_words(text: str) -> str:
    return normalize(re.sub(r"\W+", " ", text))


def _write(path: Path, records: Sequence[Trajectory]) -> None:
    write_atomic(path, "".join(encode(record) + "\n" for record in records))


def read_funnel(folder: Path) -> list[dict[str, Any]]:
    """Return the funnel of a curated folder, a dictionary a method. Raises ConfigError where there is none."""
    path = folder / FUNNEL
    if not path.exists():
        raise ConfigError(f"{path} does not exist; run stage=curate first")
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(stage_main(run, sys.argv))
