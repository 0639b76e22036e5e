"""The schema of a run: which keys there are, of which type, and what must fit together.

`typed(cfg)` is the one border between Hydra and the rest: behind it there are plain, validated values. Plug-ins
(model, teacher, strategy, dataset, tool, train) stay nodes, which fireact/plugins.py checks and builds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import Field, ValidationError

from fireact.database import Journal
from fireact.errors import ConfigError, suggest
from fireact.options import Count, NotNegative, Positive
from fireact.plugins import Node, check, expected, plugin_name
from fireact.sections import (
    Budget,
    Curate,
    Evaluate,
    Export,
    Generate,
    Gpus,
    Improve,
    Inputs,
    Limits,
    Number,
    Own,
    Paper,
    Publish,
    Report,
    Section,
    Taping,
    Wandb,
)

_BRANCHES = ("constrained-", "dict[", "list[", "literal[")
STAGES = ("generate", "curate", "train", "evaluate", "report")


class Config(Section):
    """One run."""

    stage: Literal["pipeline", "plan", "status", "generate", "curate", "export", "tokenize", "train", "evaluate",
                   "publish", "report", "improve"] = "pipeline"
    name: str = "default"
    """The recipe's name, for people and W&B."""
    seed: int = 0
    store: Path = Path("outputs/store")
    """Where finished stages are kept, to be shared by all runs."""
    concurrency: Count = 32
    """Episodes at once. Of a model behind an endpoint, requests at once at each address, with twice as many episodes in
    play; one that cannot take as many is sent fewer."""
    worker: int = 0
    """Nothing but a number to sweep over, so that several workers play the same job: worker=0,1,2,3."""
    gpus: Gpus = None
    journal: Journal = "wal"
    """How SQLite writes the files that processes share. delete: for a store that several machines share over a network
    file system, which `wal` does not bear."""
    tape: Taping = Taping()
    budget: Budget = Budget()
    model: Node
    """The student."""
    teacher: Node
    strategy: Node
    """One, or a mix."""
    dataset: Node
    """One, or several to learn from."""
    held_out: dict[str, Node] = Field(default_factory=dict)
    """Datasets, by any name, that the student is judged on and never trained on."""
    tool: Node
    noise: Node
    """The wrapper that puts faults into the tool, for evaluate.faults."""
    train: Node
    generate: Generate = Generate()
    limits: Limits = Limits()
    curate: Curate = Curate()
    own: Own = Own()
    evaluate: Evaluate = Evaluate()
    improve: Improve = Improve()
    export: Export = Export()
    publish: Publish = Publish()
    report: Report = Report()
    paper: Paper | None = None
    wandb: Wandb = Wandb()
    inputs: Inputs = Inputs()


class Mix(Section):
    """A strategy made of several: the teacher plays each, the student learns from all."""

    parts: dict[str, Node]
    shares: dict[str, NotNegative] = Field(default_factory=dict)
    """How much of each, in proportion; 0 for a part that the student is only asked by."""
    counts: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """How many trajectories of each, on each dataset, in place of shares; curate.n then keeps their proportion."""
    play: str
    """The part by which the student is asked in an evaluation."""

    @property
    def weights(self) -> Mapping[str, float]:
        """The proportion of the parts."""
        return self.counts or self.shares


class Tasks(Section):
    """Several datasets: the teacher plays each, the student learns from all and is judged on each."""

    parts: dict[str, Node]
    shares: dict[str, Positive] = Field(default_factory=dict)
    """How much of each, in proportion; none given: as much of each."""


def typed(cfg: DictConfig) -> Config:
    """Resolve and check a composed configuration. Raises ConfigError with one sentence for the first thing wrong."""
    try:
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key} is missing; set it, e.g. {error.full_key}=...") from None
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split("\n")[0].split())) from None
    config = validate(Config, values)
    for group in ("model", "teacher", "tool", "noise", "train"):
        check(getattr(config, group), group)
    for part in tasks(config.dataset).parts.values():
        check(part, "dataset")
    for name, node in config.held_out.items():
        check(node, f"held_out.{name}")
    for part in mix(config.strategy).parts.values():
        check(part, "strategy")
    return config


def validate(cls: type[Section], values: Any, where: str = "") -> Any:
    """Check `values` against a section. Raises ConfigError: key, value, what was expected, and the nearest key."""
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_sentence(cls, error.errors()[0], where)) from None


def mix(strategy: Node) -> Mix:
    """See any strategy as a mix: a single one is a mix of itself. Raises ConfigError."""
    if "parts" not in strategy:
        name = plugin_name(strategy)
        return Mix(parts={name: strategy}, shares={name: 1}, play=name)
    whole: Mix = validate(Mix, strategy, "strategy")
    for name in (*whole.shares, *whole.counts, whole.play):
        if name not in whole.parts:
            raise ConfigError(f"the mix names {name!r}, which is not a part of it{suggest(name, whole.parts)}; "
                              "mend strategy.shares, strategy.counts or strategy.play")
    for name in whole.parts:
        if name not in whole.weights:
            raise ConfigError(f"the mix does not say how much of its part {name!r}; "
                              f"give e.g. +strategy.{'counts' if whole.counts else 'shares'}.{name}=1")
    if not any(whole.weights.values()):
        raise ConfigError("all parts of the mix weigh 0, so there is nothing to learn from; raise one of "
                          f"strategy.{'counts' if whole.counts else 'shares'}")
    return whole


def tasks(dataset: Node) -> Tasks:
    """See any dataset as several: a single one is the only part, by its class's name. Raises ConfigError."""
    if "parts" not in dataset:
        return Tasks(parts={plugin_name(dataset): dataset}, shares={plugin_name(dataset): 1})
    whole: Tasks = validate(Tasks, dataset, "dataset")
    for name in whole.shares:
        if name not in whole.parts:
            raise ConfigError(f"dataset.shares names {name!r}, which is not a part{suggest(name, whole.parts)}")
    return whole.model_copy(update={"shares": {name: whole.shares.get(name, 1.0) for name in whole.parts}})


def number(wanted: Number, name: str, known: Iterable[str], option: str) -> int | None:
    """How many questions of the dataset `name` are wanted. Raises ConfigError for a name that is not `known`."""
    if not isinstance(wanted, dict):
        return wanted
    for other in wanted:
        if other not in known:
            raise ConfigError(f"{option} names the dataset {other!r}, which the run does not have"
                              f"{suggest(other, known)}")
    if name not in wanted:
        raise ConfigError(f"{option} does not say how many of {name!r}; give e.g. +{option}.{name}=100")
    return wanted[name]


def _sentence(cls: type[Section], error: Any, where: str) -> str:
    # A union's branch is part of the place to pydantic, and nothing that a user has written.
    loc = [str(part) for part in error["loc"] if not str(part).startswith(_BRANCHES)]
    path = [where, *loc] if where else loc
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        return f"{key} is not an option{suggest(path[-1], _keys(cls, path[:-1]))}"
    if error["type"] == "missing":
        return f"{key} is missing; set it, e.g. {key}=..."
    return f"{key}={error['input']!r} does not fit: {expected(error)}"


def _keys(cls: type[Section], path: list[str]) -> list[str]:
    for part in path:
        field = cls.model_fields.get(part)
        if field and isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            cls = field.annotation
    return list(cls.model_fields)
