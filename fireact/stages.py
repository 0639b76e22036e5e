"""From a configuration to the jobs of its stages: which model plays what, which folder holds it, under which key.

Keys are made ahead of any work, so that runs whose stages are the same share them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Literal

from fireact.curate import CurateJob, Source
from fireact.errors import ConfigError
from fireact.generate import PlayJob, chosen, open_dataset
from fireact.schema import Config, Node, Section, mix, target
from fireact.store import Store, fingerprint, identity, key

TRAIN_VERSION = 1
Guise = Literal["prompted", "finetuned"]


class TrainJob(Section):
    """What is trained on what; fireact/train/prepare.py makes it ready for the worker."""

    curated: Path
    curated_key: str
    model: Node
    train: Node
    seed: int
    home: Path

    def key(self) -> str:
        """The store key of the folder that holds the adapter."""
        return key(stage="train", version=TRAIN_VERSION, curated=self.curated_key,
                   model=identity(self.model, replies=False), train=identity(self.train), seed=self.seed)


@dataclass(frozen=True)
class Stages:
    """The jobs of one run."""

    config: Config

    @cached_property
    def store(self) -> Store:
        """Where they are kept."""
        return Store(self.config.store)

    @cached_property
    def plays(self) -> dict[str, PlayJob]:
        """What the teacher plays, by method."""
        whole = mix(self.config.strategy)
        return {method: self._play(method, self.config.teacher, node, few_shot=True, split=self.config.generate.split,
                                   n=self.config.generate.n) for method, node in whole.parts.items()}

    @cached_property
    def curate(self) -> CurateJob:
        """What is chosen from it."""
        config, file = self.config, self.config.inputs.trajectories
        whole = mix(config.strategy)
        if file is not None:
            sources = [Source(method=name, share=share, file=file, key=fingerprint(file))
                       for name, share in whole.weights.items()]
        else:
            sources = [Source(method=name, share=whole.weights[name], key=job.key(),
                              folder=self.folder("generate", job)) for name, job in self.plays.items()]
        return CurateJob(sources=sources, dataset=config.dataset, split=config.generate.split,
                         questions=config.generate.n, evaluated=[config.evaluate.split], model=config.model,
                         filters=config.curate.filters, window=config.curate.window,
                         n=config.curate.n or sum(whole.counts.values()) or None,
                         validation=config.curate.validation, seed=config.seed, home=self.store.home)

    @cached_property
    def train(self) -> TrainJob:
        """What the student is trained on. Raises ConfigError for a student that has no weights here."""
        config, given = self.config, self.config.inputs.curated
        self._need_weights()
        return TrainJob(curated=given or self.folder("curate", self.curate),
                        curated_key=fingerprint(given) if given else self.curate.key(),
                        model=config.model, train=config.train, seed=config.seed, home=self.store.home)

    @cached_property
    def evaluations(self) -> dict[Guise, PlayJob]:
        """What the student plays, by guise."""
        config, whole = self.config, mix(self.config.strategy)
        node = whole.parts[whole.play]
        jobs: dict[Guise, PlayJob] = {}
        if config.evaluate.prompted:
            jobs["prompted"] = self._play(whole.play, config.model, node, few_shot=True, split=config.evaluate.split,
                                          n=config.evaluate.n)
        if config.evaluate.finetuned:
            self._need_weights()
            adapter = config.inputs.adapter
            if adapter and not any((adapter / name).is_file() for name in ("adapter_config.json", "config.json")):
                raise ConfigError(f"inputs.adapter={adapter} is no adapter's or model's folder: it has neither "
                                  "adapter_config.json nor config.json; name one that stage=train wrote")
            jobs["finetuned"] = self._play(whole.play, config.model, node, few_shot=False, split=config.evaluate.split,
                                           n=config.evaluate.n).model_copy(update={
                "adapter": adapter or self.adapter, "adapter_key": None if adapter else self.train.key()})
        return jobs

    @property
    def adapter(self) -> Path:
        """Where training leaves what it made."""
        made = "model" if self.config.train.get("method") == "full" else "adapter"
        return self.folder("train", self.train) / made

    def folder(self, stage: str, job: PlayJob | CurateJob | TrainJob) -> Path:
        """Where a job's files are, or will be."""
        return self.store.folder(stage, job.key())

    def check(self, wanted: Sequence[str]) -> None:
        """Make the keys of all stages that are `wanted`, so that what is wrong with one is said before any work.

        Raises ConfigError.
        """
        jobs = {"generate": lambda: list(self.plays.values()), "curate": lambda: [self.curate],
                "train": lambda: [self.train], "evaluate": lambda: list(self.evaluations.values())}
        if "evaluate" in wanted and not self.evaluations:
            raise ConfigError("evaluate.prompted=false and evaluate.finetuned=false leave nothing to evaluate; set one")
        for stage in wanted:
            for job in jobs[stage]() if stage in jobs else []:
                job.key()
                if isinstance(job, PlayJob):
                    chosen(open_dataset(job.dataset, job.home), job.split, job.n, f"{stage}.n")

    def _play(self, method: str, model: Node, strategy: Node, *, few_shot: bool, split: str, n: int | None) -> PlayJob:
        config = self.config
        return PlayJob(method=method, model=model, strategy=strategy, few_shot=few_shot, tool=config.tool,
                       dataset=config.dataset, split=split, seed=config.seed, limits=config.limits, n=n,
                       concurrency=config.concurrency, home=self.store.home)

    def _need_weights(self) -> None:
        if "adapter" not in {field.name for field in fields(target(self.config.model, "model"))}:
            raise ConfigError(f"model={self.config.model.get('name', self.config.model['_target_'])} cannot be "
                              "fine-tuned here, it has no weights; choose a local model, e.g. model=smollm2_135m, or "
                              "set stage=evaluate evaluate.finetuned=false")
