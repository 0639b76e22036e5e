"""Play questions: a model, led by a strategy, with a tool. The teacher's records and every evaluation come from here.

    python -m fireact.generate RUN/engine.json FOLDER/job.json ...

appends one record an attempt to FOLDER/trajectories.jsonl, one job after the other. Records that are there already are
not played again, so a job that was killed goes on where it stopped, and one that asks for more questions plays only
those it lacks. Any number of processes may play the same folder at once: each question is played by one of them.
"""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fireact import __version__
from fireact.episode import Player
from fireact.errors import ConfigError
from fireact.jsonl import encode
from fireact.manifest import commit
from fireact.meter import Meter
from fireact.play import play
from fireact.play.engine import Engine, Settings, open_engine
from fireact.play.played import plan
from fireact.play.records import Records
from fireact.plugins import Node, build, nested, options, own_options, target, uses_library
from fireact.process import guard, run_async, stop_on_sigterm
from fireact.protocols import Dataset, Model, Strategy, Tool, specs
from fireact.requests import Ask, Recall, Request
from fireact.sections import Limits, Sampling, Section
from fireact.skills import Library
from fireact.slots import wanted_by
from fireact.store import fingerprint, identity, key
from fireact.toolspec import ToolSpec
from fireact.types import Question

VERSION = 2
"""Raised when the same job would no longer give the same records."""

SPLITS = ("train", "validation", "test")


class PlayJob(Section):
    """Which questions are played, by what.

    `label`, `n`, `skip`, `sampling` and `home` do not matter to a single record.
    """

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
    library: Path | None = None
    """Skills to play with, of a strategy that has some; None: those that the job's own episodes learn."""
    library_key: str | None = None
    """What they are made from."""
    tool: Node
    dataset: Node
    split: str
    seed: int
    limits: Limits
    n: int | None
    skip: int = 0
    """So many of the split's questions are left to others; the `n` are those behind them."""
    sampling: Sampling = Sampling()
    home: Path

    def key(self) -> str:
        """The store key of the folder that holds the records."""
        strategy = open_strategy(self.strategy, open_dataset(self.dataset, self.home))
        return key(stage="generate", version=VERSION, method=self.method, model=identity(self.model),
                   adapter=_adapter(self),
                   strategy=identity(self.strategy), opening=_told(self.opening(strategy)), tool=self._tool_identity(),
                   dataset=self._dataset_identity(), split=self.split, seed=self.seed, limits=_counted(self.limits),
                   **({"library": self.library_key} if self.library_key else {}))

    def opening(self, strategy: Strategy) -> list[Request]:
        """What the strategy first asks the model for, about a question without words. Raises ConfigError."""
        play = strategy.play("", few_shot=self.few_shot, tools=self.tools(strategy))
        request = next(play, [])
        if isinstance(request, Recall):
            request = play.send("")
        return request if isinstance(request, list) else [request]

    def tools(self, strategy: Strategy) -> tuple[ToolSpec, ...]:
        """What a model can call, as far as can be told ahead of the work. Raises ConfigError."""
        if not getattr(strategy, "uses_tool", True):
            return ()
        tool = build(self.tool, "tool", corpus=None, home=self.home / "tool", seed=self.seed, questions=(),
                     meter=Meter(), journal="wal")
        return specs(tool) if isinstance(tool, Tool) else ()

    @property
    def gpus(self) -> int:
        """How many GPUs the model computes on."""
        return wanted_by(build(self.model, "model", home=self.home, adapter=self.adapter, tool=None))

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


def first(questions: list[Question], split: str, n: int | None, option: str, skip: int = 0) -> list[Question]:
    """Return the first `n` of a split's questions behind those to `skip`, or all. Raises ConfigError for too few."""
    left = questions[skip:]
    if (n is not None and n > len(left)) or (skip and not left):
        behind = f" behind the first {skip}" if skip else ""
        raise ConfigError(f"{option}={n} is more than the {len(left)} questions of the split {split!r}{behind}; "
                          f"set {option}={len(left)} or less" + (", or skip fewer" if skip else ""))
    return left[:n]


@dataclass(frozen=True)
class Splits:
    """The splits that jobs play, each read once however many jobs play it."""

    _read: dict[str, list[Question]] = field(default_factory=dict)

    def whole(self, job: PlayJob) -> list[Question]:
        """All questions of a job's split. Raises ConfigError, DataError."""
        name = key(dataset=job.dataset, split=job.split)
        if name not in self._read:
            self._read[name] = open_dataset(job.dataset, job.home).questions(job.split)
        return self._read[name]

    def first(self, job: PlayJob, option: str = "n") -> list[Question]:
        """What a job plays. Raises ConfigError, DataError."""
        return first(self.whole(job), job.split, job.n, option, job.skip)


def main(argv: Sequence[str]) -> int:
    """Play the jobs whose files are named, in turn; return the exit code."""
    stop_on_sigterm()
    return guard(lambda: run_async(play_all(Path(argv[1]), [Path(name) for name in argv[2:]])))


class _Loaded:
    """What jobs in a row have in common: the model that was built last, and the splits that were read."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.splits = Splits()
        self._what: Any = None

    async def model(self, job: PlayJob, tool: Tool) -> Model:
        searched = (job.tool, job.dataset, job.split, job.seed) if "tool" in options(job.model) else None
        what = (job.model, job.adapter, searched)
        if self.engine.loaded is None or what != self._what:
            await self.engine.close_model()
            model: Model = build(job.model, "model", tool=tool, home=job.home / "weights", adapter=job.adapter,
                                concurrency=self.engine.settings.concurrency, meter=self.engine.meter)
            self._what, self.engine.loaded = what, model
            return model
        return self.engine.loaded


async def play_all(settings: Path, paths: Sequence[Path]) -> None:
    async with open_engine(Settings.model_validate_json(settings.read_text(encoding="utf-8"))) as engine:
        loaded = _Loaded(engine)
        for path in paths:
            job = PlayJob.model_validate_json(path.read_text(encoding="utf-8"))
            await _play(job, path.parent, loaded)


async def _play(job: PlayJob, folder: Path, loaded: _Loaded) -> None:
    """Play what a job lacks into `folder`. Raises ConfigError, DataError, ProviderError, BudgetExceeded."""
    engine, dataset = loaded.engine, open_dataset(job.dataset, job.home)
    split = loaded.splits.whole(job)
    wanted = plan(loaded.splits.first(job), job.sampling, dataset)
    with closing(Records(folder)) as records:
        if wanted.settle(records):
            return
        strategy = open_strategy(job.strategy, dataset)
        tool = _open_tool(job, dataset, strategy, split, folder.name, engine)
        bare = await loaded.model(job, tool)
        model = engine.model(bare, folder.name, model=identity(job.model), adapter=_adapter(job))
        player = Player(method=job.method, task=job.task, strategy=strategy, few_shot=job.few_shot, model=model,
                        tool=tool, dataset=dataset, limits=job.limits, seed=job.seed, library=_library(job, records),
                        provenance={"model": model.name, "few_shot": job.few_shot, "key": folder.name,
                                    "fireact": __version__, "commit": commit()})
        await play(player, wanted, records, _at_once(bare, job.limits, engine.settings.concurrency),
                   f"{job.label} by {model.name}", engine.meter, engine.settings.worker)


def _library(job: PlayJob, records: Records) -> Library:
    """The skills that a job begins with. Raises DataError."""
    if job.library is not None:
        return Library.open(job.library)
    if not uses_library(job.strategy):
        return Library()
    return Library.of(records.read(*name) for name in list(records.places))


def _at_once(model: Model, limits: Limits, concurrency: int) -> int:
    """How many episodes are played at once.

    Twice as many as a model takes requests: those places stay filled while other episodes use a tool. But where an
    episode's time is limited, it is not to be spent on waiting for a place.
    """
    requests = getattr(model, "requests_at_once", None)
    if requests is None:
        return concurrency
    return requests if limits.seconds else 2 * requests


def _told(opening: Sequence[Request]) -> str:
    """What a model is first told, for a key; of the functions that it is offered, only where there are some."""
    first = next(iter(opening), None)
    return repr(first) + (encode(first) if isinstance(first, Ask) and first.tools else "")


def _counted(limits: Limits) -> dict[str, Any]:
    """What of the limits is in a key: `calls`, which came later, where there is one."""
    told = limits.model_dump()
    return told if limits.calls is not None else {name: value for name, value in told.items() if name != "calls"}


def _adapter(job: PlayJob) -> str | None:
    return job.adapter_key or (job.adapter and fingerprint(job.adapter))


def _need_corpus(tool: Node, corpus: Path | None) -> None:
    """Refuse a tool that has nothing to search before anything is asked. Raises ConfigError."""
    for part in nested(tool):
        _need_corpus(part, corpus)
    if "corpus" in own_options(tool) and tool.get("corpus") is None and corpus is None:
        raise ConfigError("the search tool has nothing to search, for this dataset brings no corpus; name one with "
                          "tool.corpus=path/to/passages.jsonl, or choose another tool")


def _open_tool(job: PlayJob, dataset: Dataset, strategy: Strategy, split: Sequence[Question], folder: str,
               engine: Engine) -> Tool:
    """Build the run's tool; a corpus may be dear to make, and is made only for a tool that searches it."""
    known = options(job.tool)
    corpus = dataset.corpus() if "corpus" in known else None
    if getattr(strategy, "uses_tool", True):
        _need_corpus(job.tool, corpus)
    questions = tuple(question.text for question in split)
    tool = build(job.tool, "tool", corpus=corpus, home=job.home / "tool", seed=job.seed, questions=questions,
                 meter=engine.meter, journal=engine.settings.journal)
    if not isinstance(tool, Tool):
        raise ConfigError(f"tool._target_={job.tool['_target_']} is no tool; it needs `actions`, the names that a "
                          'model calls it by, e.g. ("search",), and `async def __call__(self, act)`')
    return engine.tool(tool, folder, tool=identity(job.tool), corpus=corpus and fingerprint(corpus),
                       seed=job.seed if "seed" in known else None,
                       questions=key(questions=questions) if "questions" in known else None)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
