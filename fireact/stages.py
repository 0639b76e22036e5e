"""From a configuration to the jobs of its stages: which model plays what, which folder holds it, under which key.

Keys are made ahead of any work, so that runs whose stages are the same share them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from fireact import own
from fireact.curate import CurateJob, Judged, Source
from fireact.errors import ConfigError, suggest
from fireact.evaluate import Evaluation, Guise
from fireact.generate import PlayJob, Splits, open_dataset
from fireact.parity import REFERENCE, ParityJob
from fireact.play.engine import Settings
from fireact.plugins import Node, build, check, plugin_name, uses_library
from fireact.schema import Config, mix, number, tasks
from fireact.sections import Number, Sampling
from fireact.skills import SKILLS
from fireact.store import Store, fingerprint, key, need_unchanged
from fireact.students import need_student, need_trainable
from fireact.study.types import OWN
from fireact.tokenize import TokenizeJob
from fireact.train import TOKENS, Train
from fireact.train.job import MergeJob, TrainJob
from fireact.types import Question

AnyJob = PlayJob | CurateJob | TokenizeJob | TrainJob | ParityJob | MergeJob


@dataclass(frozen=True)
class Stages:
    """The jobs of one run."""

    config: Config
    splits: Splits = field(default_factory=Splits)
    """What of the datasets is read already; several runs may share it."""
    start: str = field(default_factory=lambda: f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S.%f}")
    """Which start of a command this is a part of: all its parts have one budget. Its own, where nobody says."""

    @cached_property
    def store(self) -> Store:
        """Where they are kept."""
        return Store(self.config.store)

    @cached_property
    def plays(self) -> dict[str, PlayJob]:
        """What the teacher plays, by the method, and by dataset/method where there are several datasets."""
        config = self.config
        taught = {self.label(task, method): self.play(
                      f"{task}/{method}", task, method, config.teacher, few_shot=True, split=config.generate.split,
                      n=self._number(config.generate.n, task, "generate.n"), sampling=self._teaching)
                  for task, method in self.weights}
        return {**taught, **{job.label: job for job in self.own.values()}}

    @cached_property
    def own(self) -> dict[str, PlayJob]:
        """What the student plays itself beside the teacher, by the dataset."""
        player = self.config.inputs.player
        if player is None:
            return {}
        need_trainable(self.config)
        return own.plays(self.config, player, {task: self.label(task, OWN) for task, _ in self.weights}, self.play)

    @cached_property
    def curate(self) -> CurateJob:
        """What is chosen from it."""
        config, files = self.config, self.config.inputs.trajectories
        given = "+".join(fingerprint(file) for file in files)
        sources = [Source(task=task, method=method, share=share, files=files, dataset=self._datasets[task],
                          key=given or self.plays[self.label(task, method)].key(),
                          folder=None if files else self.folder("generate", self.plays[self.label(task, method)]),
                          split=config.generate.split, sampling=self._teaching,
                          questions=None if files else self._number(config.generate.n, task, "generate.n"))
                   for (task, method), share in self.weights.items()]
        counted = bool(config.curate.counts or mix(config.strategy).counts)
        sources += [own.source(config, task, job, self.folder("generate", job)) for task, job in self.own.items()]
        return CurateJob(sources=sources, evaluated=self._evaluated, model=config.model,
                         filters=self._filters, keep=config.curate.keep, window=config.curate.window,
                         validation=config.curate.validation, seed=config.seed,
                         n=config.curate.n or (round(sum(self.weights.values())) if counted else None),
                         pairs=self._pairs, home=self.store.home)

    @property
    def _pairs(self) -> int:
        """How many pairs of a question are made at most. Raises ConfigError where none are, and some are needed."""
        given, wanted = self.config.curate.pairs, "preference" in self.config.export.formats
        for needed, option in ((self._on_pairs, "train.dpo"), (wanted, "export.formats=[preference]")):
            if needed and given == 0:
                raise ConfigError(f"{option} is about pairs of trajectories, and curate.pairs=0 makes none; "
                                  "set curate.pairs=1, or more")
        return (1 if self._on_pairs or wanted else 0) if given is None else given

    @property
    def _on_pairs(self) -> bool:
        train = build(self.config.train, "train")
        return isinstance(train, Train) and train.dpo is not None

    @cached_property
    def train(self) -> TrainJob:
        """What the student is trained on. Raises ConfigError for a student that cannot be trained so."""
        config, tokens = self.config, self.tokenize
        need_trainable(self.config)
        return TrainJob(curated=self._curated[0], curated_key=self._curated[1], model=config.model, train=config.train,
                        tokens=tokens and self.folder("tokenize", tokens), tokens_key=tokens and tokens.key(),
                        seed=config.seed, home=self.store.home, judge=self._judge)

    @property
    def _judge(self) -> PlayJob | None:
        """What the student plays while it is trained, where that decides which weights are kept."""
        config, train = self.config, build(self.config.train, "train")
        if not isinstance(train, Train) or train.judge != "episodes":
            return None
        task = next(iter(self._datasets))
        return self.play("judge", task, mix(config.strategy).play, config.model, few_shot=False, split="validation",
                          n=train.judge_episodes, sampling=Sampling(), library=True)

    @cached_property
    def tokenize(self) -> TokenizeJob | None:
        """What is made of the trajectories for a local training; None for a hosted one, which tokenises by itself."""
        config, train = self.config, build(self.config.train, "train")
        if not isinstance(train, Train):
            return None
        return TokenizeJob(curated=self._curated[0], curated_key=self._curated[1], model=config.model,
                           home=self.store.home, pairs=self._on_pairs,
                           **{name: getattr(train, name) for name in TOKENS})

    @cached_property
    def parity(self) -> ParityJob | None:
        """Whether the student that plays is the one that was trained; None where nobody knows what that thought."""
        finetuned = next((cell.job for cell in self.evaluations if cell.guise == "finetuned"), None)
        if not self.config.evaluate.parity.check or finetuned is None or finetuned.adapter is None or not (
                finetuned.adapter / REFERENCE).exists():
            return None
        given = self.config.inputs.adapter
        return ParityJob(model=self.config.model, adapter=finetuned.adapter, adapter_key=finetuned.adapter_key,
                         curated=None if given else self._curated[0], home=self.store.home)

    def need_as_trained(self) -> None:
        """Refuse a student whose files are no longer those that its training wrote. Raises DataError."""
        if not self.config.inputs.adapter:
            need_unchanged(self.adapter, self.folder("train", self.train))

    @cached_property
    def merge(self) -> MergeJob:
        """What is made of the trained student for others. Raises ConfigError for one that is not on this disk."""
        config, given = self.config, self.config.inputs.adapter
        need_trainable(self.config)
        if build(config.train, "train").student != "local":
            raise ConfigError("stage=publish gives away what is on this disk, and a model that its endpoint trained is "
                              "not; choose train=lora or train=full")
        return MergeJob(model=config.model, adapter=given or self.adapter, dtype=config.publish.dtype,
                        adapter_key=fingerprint(given) if given else self.train.key(), home=self.store.home,
                        weights=set(config.publish.forms) != {"adapter"})

    @cached_property
    def _curated(self) -> tuple[Path, str]:
        """The folder of what is trained on, and its key."""
        given = self.config.inputs.curated
        return (given, fingerprint(given)) if given else (self.folder("curate", self.curate), self.curate.key())

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """What the student plays: on each dataset as it came and fine-tuned, with a sound tool, then with faults."""
        config, found = self.config, []
        guises: list[tuple[Guise, bool]] = [("prompted", config.evaluate.prompted),
                                            ("finetuned", config.evaluate.finetuned)]
        for task in self._datasets:
            n = self._number(config.evaluate.n, task, "evaluate.n")
            if n == 0:
                continue
            for fault in dict.fromkeys(("", *config.evaluate.faults)):
                found += [Evaluation(task, guise, fault, self._evaluation(task, guise, fault, n))
                          for guise, wanted in guises if wanted]
        return found

    def engine(self, run_dir: Path) -> Settings:
        """What the run's episodes are played with."""
        config, here = self.config, run_dir.absolute()
        # A round of a cell is a folder in that of the cell, what is judged at the end one deeper.
        sweep = next((str(above) for above in here.parents[:3] if (above / "multirun.yaml").exists()), None)
        return Settings(concurrency=config.concurrency, journal=config.journal, tape=config.tape, budget=config.budget,
                        store=config.store, run=self.start, sweep=sweep,
                        worker=key(run=f"{here} {self.start}")[:8])

    @property
    def _teaching(self) -> Sampling:
        """How often the teacher plays a question."""
        given = self.config.generate
        return Sampling(attempts=given.attempts, until_correct=given.until_correct, kept=given.kept,
                        filters=self.config.curate.filters)

    @property
    def adapter(self) -> Path:
        """Where training leaves what it made."""
        return self.folder("train", self.train) / build(self.config.train, "train").makes

    def folder(self, stage: str, job: AnyJob) -> Path:
        """Where a job's files are, or will be."""
        return self.store.folder(stage, job.key())

    def questions(self, job: PlayJob, option: str) -> list[Question]:
        """What a job plays. Raises ConfigError, DataError."""
        return self.splits.first(job, option)

    @cached_property
    def _datasets(self) -> dict[str, Node]:
        """All datasets by name, those to learn from first."""
        return {**tasks(self.config.dataset).parts, **self.config.held_out}

    @cached_property
    def weights(self) -> dict[tuple[str, str], float]:
        """How much of each dataset by each method is trained on."""
        datasets, methods = tasks(self.config.dataset), mix(self.config.strategy)
        counts = self.config.curate.counts or {}
        for task, by_method in counts.items():
            _known(task, datasets.parts, "curate.counts")
            for method in by_method:
                _known(method, methods.parts, f"curate.counts.{task}")
        weights = {(task, method): counts.get(task, {}).get(method, 0) if counts else
                   datasets.shares[task] * methods.weights[method]
                   for task in datasets.parts for method in methods.parts
                   if self._number(self.config.generate.n, task, "generate.n") != 0}
        return {cell: weight for cell, weight in weights.items() if weight}

    @cached_property
    def _evaluated(self) -> list[Judged]:
        return [Judged(task=task, dataset=node, split=split) for task, node in self._datasets.items()
                for split in self._unseen(task)]

    def _unseen(self, task: str) -> list[str]:
        """The splits of a dataset that are not trained on, whichever of them are evaluated."""
        node, more = self._datasets[task], self.config.evaluate.unseen
        judged = self._number(self.config.evaluate.n, task, "evaluate.n") != 0
        split = self._split(node) if judged else open_dataset(node, self.store.home).evaluation_split
        return [split] if task in self.config.held_out else sorted({split, *more})

    @property
    def _filters(self) -> list[Any]:
        """Those that apply: what a hosted model's window holds, its endpoint checks."""
        hosted = build(self.config.train, "train").student != "local"
        return [name for name in self.config.curate.filters if not (hosted and name == "fits")]

    def _split(self, dataset: Node) -> str:
        return self.config.evaluate.split or open_dataset(dataset, self.store.home).evaluation_split

    def label(self, task: str, method: str) -> str:
        """What the plays of a method are called."""
        return method if len({task for task, _ in self.weights}) == 1 else f"{task}/{method}"

    def _number(self, wanted: Number, task: str, option: str) -> int | None:
        return number(wanted, task, self._datasets, option)

    def _evaluation(self, task: str, guise: Guise, fault: str, n: int | None) -> PlayJob:
        config = self.config
        job = self.play("/".join(part for part in (task, guise, fault) if part), task, mix(config.strategy).play,
                         config.model, few_shot=guise == "prompted", split=self._split(self._datasets[task]), n=n,
                         sampling=Sampling(attempts=config.evaluate.attempts), tool=self._tool(fault),
                         library=True)
        if guise == "prompted":
            return job
        need_trainable(self.config)
        given = config.inputs.adapter
        if given:
            need_student(given, "inputs.adapter")
        return job.model_copy(update={"adapter": given or self.adapter,
                                      "adapter_key": None if given else self.train.key()})

    def _tool(self, fault: str) -> Node:
        """The run's tool, or that tool in the wrapper that puts the fault into it."""
        if not fault:
            return self.config.tool
        if plugin_name(self.config.tool) == "noise":
            raise ConfigError("evaluate.faults compares with a sound tool, and tool=noise is none; leave "
                              "evaluate.faults empty, or choose the tool that it wraps")
        noisy = {**self.config.noise, "tool": self.config.tool, "fault": fault}
        check(noisy, "noise")
        return noisy

    def play(self, label: str, task: str, method: str, model: Node, *, few_shot: bool, split: str, n: int | None,
              sampling: Sampling, tool: Node | None = None, library: bool = False) -> PlayJob:
        """A job that plays a dataset's questions by a method."""
        config, strategy = self.config, mix(self.config.strategy).parts[method]
        skills = self._curated if library and uses_library(strategy) else None
        return PlayJob(label=label, task=task, method=method, model=model, strategy=strategy, few_shot=few_shot,
                       library=skills and skills[0] / SKILLS, library_key=skills and skills[1],
                       tool=tool or config.tool,
                       dataset=self._datasets[task], split=split, seed=config.seed, limits=config.limits, n=n,
                       sampling=sampling, home=self.store.home)


def _known(name: str, known: Sequence[str] | dict[str, Any], option: str) -> None:
    if name not in known:
        raise ConfigError(f"{option} names {name!r}, which the run does not have{suggest(name, known)}")
