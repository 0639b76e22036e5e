"""Play questions: a model, led by a strategy, with a tool. The teacher's records and every evaluation come from here.

    python -m fireact.generate FOLDER/job.json ...

appends one record a question to FOLDER/trajectories.jsonl, one job after the other. Records that are there already are
not played again, so a job that was killed goes on where it stopped, and one that asks for more questions plays only
those it lacks.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fireact import __version__
from fireact.episode import Player
from fireact.errors import ConfigError, DataError, ProviderError
from fireact.jsonl import Appender, read_finished
from fireact.manifest import commit
from fireact.plugins import Node, build, options, target
from fireact.pool import each
from fireact.process import guard, run_async, stop_on_sigterm
from fireact.protocols import Dataset, Model, Strategy, Tool
from fireact.schema import Limits, Section
from fireact.store import fingerprint, identity, key, lock_async
from fireact.tracking import Progress
from fireact.types import Question, Step, StopReason, Trajectory

VERSION = 1
"""Raised when the same job would no longer give the same records."""

TRAJECTORIES = "trajectories.jsonl"
GIVE_UP = 5
"""So many episodes in a row whose model or tool was out of reach end the work: a quota is used up, a line down."""
SPLITS = ("train", "validation", "test")


class PlayJob(Section):
    """Which questions are played, by what. `label`, `n`, `concurrency` and `home` do not matter to a single record."""

    label: str
    """What it is called on the terminal."""
    task: str
    """The dataset's name."""
    method: str
    model: Node
    adapter: Path | None = None
    """A fine-tuned model's folder, for the model to load."""
    adapter_key: str | None = None
    """What the adapter was made from, where it does not exist yet or is one of the store's."""
    strategy: Node
    few_shot: bool
    tool: Node
    dataset: Node
    split: str
    seed: int
    limits: Limits
    n: int | None
    concurrency: int
    home: Path

    def key(self) -> str:
        """The store key of the folder that holds the records."""
        strategy = open_strategy(self.strategy, open_dataset(self.dataset, self.home))
        opening = next(strategy.play("", few_shot=self.few_shot), None)
        adapter = self.adapter_key or (self.adapter and fingerprint(self.adapter))
        return key(stage="generate", version=VERSION, method=self.method, model=identity(self.model), adapter=adapter,
                   strategy=identity(self.strategy), opening=repr(opening), tool=self._tool_identity(),
                   dataset=self._dataset_identity(), split=self.split, seed=self.seed, limits=self.limits.model_dump())

    def _tool_identity(self) -> dict[str, Any] | None:
        """None where nobody calls it: neither the strategy nor, as the scripted expert does, the model."""
        called = getattr(target(self.strategy, "strategy"), "uses_tool", True) or "tool" in options(self.model)
        return identity(self.tool) if called else None

    def _dataset_identity(self) -> dict[str, Any]:
        """Leave out what a dataset says of its other splits: a new test file plays no training question again.

        But a corpus that is searched and not named is made of the questions of all splits. How answers are judged stays
        out too: `require` judges what was played anew, so that other rules pay for no episode again.
        """
        whole = {name: value for name, value in identity(self.dataset).items() if name != "scoring"}
        if self._tool_identity() and "corpus" in options(self.tool) and whole.get("passages", "none needed") is None:
            return whole
        return {name: value for name, value in whole.items() if name == self.split or name not in SPLITS}


def open_dataset(node: Node, home: Path) -> Dataset:
    """Build a run's dataset. Raises ConfigError."""
    dataset = build(node, "dataset", home=home / "dataset")
    if not isinstance(dataset, Dataset):
        raise ConfigError(f"dataset._target_={node['_target_']} is no dataset; see Dataset in fireact/protocols.py for "
                          "what one has: questions, corpus, score, prompt, evaluation_split")
    return dataset


def open_strategy(node: Node, dataset: Dataset) -> Strategy:
    """Build a run's strategy, with the dataset's few-shot text where it names none. Raises ConfigError."""
    return build(node, "strategy", prompt=dataset.prompt)


def chosen(dataset: Dataset, split: str, n: int | None, option: str) -> list[Question]:
    """Return the first `n` questions of a split, or all. Raises ConfigError where there are fewer."""
    return first(dataset.questions(split), split, n, option)


def first(questions: list[Question], split: str, n: int | None, option: str) -> list[Question]:
    """Return the first `n` of a split's questions, or all. Raises ConfigError where there are fewer."""
    if n is not None and n > len(questions):
        raise ConfigError(f"{option}={n} is more than the {len(questions)} questions of the split {split!r}; "
                          f"set {option}={len(questions)} or less")
    return questions[:n]


def load_played(folder: Path, questions: Iterable[Question]) -> list[Trajectory]:
    """Return the records of `questions`, in their order, without those that were not played to an end.

    A question whose model or tool could not be reached has a record that says so, and is played again; the later one
    counts.
    """
    records = {record.id: record for record in _records(folder) if record.stop.played}
    return [records[question.id] for question in questions if question.id in records]


def _records(folder: Path) -> Iterator[Trajectory]:
    path = folder / TRAJECTORIES
    return read_finished(path, Trajectory) if path.exists() else iter(())


def finished(folder: Path, questions: list[Question]) -> bool:
    """Whether every question has a record that counts."""
    return len(load_played(folder, questions)) == len(questions)


def main(argv: Sequence[str]) -> int:
    """Play the jobs whose files are named, in turn, each under its folder's lock; return the exit code."""
    stop_on_sigterm()
    return guard(lambda: run_async(_play_all([Path(name) for name in argv[1:]])))


class _Loaded:
    """What jobs in a row have in common: the model that was built last, and the splits that were read."""

    def __init__(self) -> None:
        self._what: Any = None
        self._model: Model | None = None
        self._splits: dict[str, list[Question]] = {}

    def questions(self, job: PlayJob, dataset: Dataset) -> list[Question]:
        name = repr((job.dataset, job.split))
        if name not in self._splits:
            self._splits[name] = dataset.questions(job.split)
        return self._splits[name]

    def model(self, job: PlayJob, tool: Tool) -> Model:
        what = (job.model, job.adapter, job.tool if "tool" in options(job.model) else None)
        if self._model is None or what != self._what:
            self.close()
            model = build(job.model, "model", tool=tool, home=job.home / "weights", adapter=job.adapter)
            self._what, self._model = what, model
            return model
        return self._model

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None


async def _play_all(paths: Sequence[Path]) -> None:
    loaded = _Loaded()
    try:
        for path in paths:
            async with lock_async(path.parent):
                await _play(PlayJob.model_validate_json(path.read_text(encoding="utf-8")), path.parent, loaded)
    finally:
        loaded.close()


async def _play(job: PlayJob, folder: Path, loaded: _Loaded) -> None:
    """Play a job's missing questions into `folder`. Raises ConfigError, DataError, ProviderError."""
    dataset = open_dataset(job.dataset, job.home)
    split = loaded.questions(job, dataset)
    questions = first(split, job.split, job.n, "n")
    before = list(_records(folder))
    played = {record.id for record in before if record.stop.played}
    missing = [question for question in questions if question.id not in played]
    if not missing:
        return
    tool = _open_tool(job, dataset, split)
    model = loaded.model(job, tool)
    player = Player(method=job.method, task=job.task, strategy=open_strategy(job.strategy, dataset),
                    few_shot=job.few_shot, model=model, tool=tool, dataset=dataset, limits=job.limits, seed=job.seed,
                    provenance={"model": model.name, "few_shot": job.few_shot, "key": folder.name,
                                "fireact": __version__, "commit": commit()})
    # The last try of a question that could not be played to its end; what it paid for is not paid for again.
    tried = {record.id: record.steps for record in before if not record.stop.played}
    await _record(player, missing, tried, job.concurrency, folder, Progress(
        f"{job.label} by {model.name}", len(questions), len(questions) - len(missing), folder))


async def _record(player: Player, questions: Sequence[Question], tried: Mapping[str, Sequence[Step]], concurrency: int,
                  folder: Path, progress: Progress) -> None:
    too_long: list[Trajectory] = []
    with Appender(folder / TRAJECTORIES) as records:

        def done(record: Trajectory) -> None:
            if record.stop is StopReason.CONTEXT and not record.steps:
                too_long.append(record)
            else:
                records.write(record)
            progress.advance(record)

        try:
            await each(_while_reached(questions, progress),
                       lambda question: player.play(question, tried.get(question.id, ())), concurrency, done)
        finally:
            progress.close()
        if len(too_long) == len(questions):
            raise ConfigError(f"no question fits: {too_long[0].error}")
        for record in too_long:
            records.write(record)
    if progress.unreached:
        left = len(questions) - progress.new + progress.unreached
        raise ProviderError(f"{left} of {len(questions)} questions could not be played, the others are kept; start the "
                            f"same command again to play them: {progress.last_error}")


def _open_tool(job: PlayJob, dataset: Dataset, split: Sequence[Question]) -> Tool:
    """Build the run's tool; a corpus may be dear to make, and is made only for a tool that searches it."""
    corpus = dataset.corpus() if "corpus" in options(job.tool) else None
    tool = build(job.tool, "tool", corpus=corpus, home=job.home / "tool", seed=job.seed,
                 questions=tuple(question.text for question in split))
    if not isinstance(tool, Tool):
        raise ConfigError(f"tool._target_={job.tool['_target_']} is no tool; it needs `actions`, the names that a "
                          'model calls it by, e.g. ("search",), and `async def __call__(self, act)`')
    return tool


def _while_reached(questions: Iterable[Question], progress: Progress) -> Iterator[Question]:
    """Start no more episodes once many in a row could not be played: each may have paid for replies by then."""
    for question in questions:
        if progress.unreached_in_a_row >= GIVE_UP:
            return
        yield question


def require(folder: Path, dataset: Dataset, questions: list[Question], stage: str) -> list[Trajectory]:
    """Return the records of all `questions`, judged anew. Raises DataError where some are missing."""
    records = load_played(folder, questions)
    if len(records) < len(questions):
        raise DataError(f"{folder / TRAJECTORIES} has {len(records)} of the {len(questions)} questions; "
                        f"run stage={stage} first, or stage=pipeline")
    return [replace(record, score=dataset.score(question, record.answer))
            for question, record in zip(questions, records, strict=True)]


if __name__ == "__main__":
    sys.exit(main(sys.argv))
