"""The schema of a run: which keys there are, of which type, and what must fit together.

`typed(cfg)` is the one border between Hydra and the rest: behind it there are plain, validated values. Plug-ins
(model, teacher, strategy, dataset, tool, train) stay dictionaries with a `_target_`; `build(node)` turns one into an
object, and its dataclass fields are the node's schema.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fireact.errors import ConfigError, suggest

STAGES = ("generate", "curate", "train", "evaluate", "report")
Node = dict[str, Any]
"""One composed option of a config group: `_target_` and the arguments of its class."""


class Section(BaseModel):
    """A part of the configuration; a key that is not declared is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Generate(Section):
    """What the teacher plays."""

    split: str = "train"
    n: Annotated[int, Field(ge=1)] | None = 650
    """How many questions, the first of the split's fixed order; None for all."""


class Limits(Section):
    """Where the driver ends an episode, whatever the strategy wants."""

    errors: Annotated[int, Field(ge=1)] = 3
    """Replies in a row that break the grammar or call an unknown tool."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens of all its completions together."""
    seconds: Annotated[float, Field(gt=0)] | None = None


FilterName = Literal["finished", "correct", "no_repeat", "no_format_error", "supported", "not_evaluated", "fits"]


class Curate(Section):
    """Which of the teacher's trajectories are trained on."""

    filters: list[FilterName] = list(FilterName.__args__)
    """Applied in this order; see fireact/curate.py for what each means."""
    n: Annotated[int, Field(ge=1)] | None = None
    """How many to train on; None takes the strategy's counts, or all that are left."""
    validation: Annotated[int, Field(ge=0)] = 16
    """How many of the kept ones are held out for the validation loss."""
    window: Annotated[int, Field(ge=1)] | None = None
    """The longest sequence in tokens for the filter `fits`; None takes the student's own window."""


class Evaluate(Section):
    """Which questions the student is judged by, and in which guises."""

    split: str = "test"
    n: Annotated[int, Field(ge=1)] | None = 100
    """How many questions, the first of the split's fixed order; None for all."""
    prompted: bool = True
    """Evaluate the student as it came, with few-shot examples."""
    finetuned: bool = True
    """Evaluate the fine-tuned student, without examples."""


class Wandb(Section):
    """Weights & Biases, a mirror of what metrics.jsonl holds."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto: online where WANDB_API_KEY is set, offline else."""
    project: str = "fireact"
    entity: str | None = None
    group: str | None = None
    tags: list[str] = []


class Inputs(Section):
    """Files of another run to go on from, in place of this configuration's own."""

    trajectories: Path | None = None
    """A trajectories.jsonl, for curate."""
    curated: Path | None = None
    """A folder with curated train.jsonl and validation.jsonl, for train."""
    adapter: Path | None = None
    """A LoRA adapter or a fine-tuned model's folder, for evaluate."""
    run: Path | None = None
    """A run directory, for report."""


class Config(Section):
    """One run."""

    stage: Literal["pipeline", "generate", "curate", "train", "evaluate", "report"] = "pipeline"
    name: str = "default"
    """The recipe's name, for people and W&B."""
    seed: int = 0
    store: Path = Path("outputs/store")
    """Where finished stages are kept, to be shared by all runs."""
    concurrency: Annotated[int, Field(ge=1)] = 32
    """Episodes played at once."""
    model: Node
    """The student."""
    teacher: Node
    strategy: Node
    dataset: Node
    tool: Node
    train: Node
    generate: Generate = Generate()
    limits: Limits = Limits()
    curate: Curate = Curate()
    evaluate: Evaluate = Evaluate()
    wandb: Wandb = Wandb()
    inputs: Inputs = Inputs()


class Mix(Section):
    """A strategy made of several: the teacher plays each, the student learns from all."""

    parts: dict[str, Node]
    shares: dict[str, Annotated[float, Field(gt=0)]] = {}
    """How much of each, in proportion."""
    counts: dict[str, Annotated[int, Field(ge=1)]] = {}
    """How many trajectories of each, in place of shares; curate.n then keeps their proportion."""
    play: str
    """The part by which the student is asked in an evaluation."""

    @property
    def weights(self) -> Mapping[str, float]:
        """The proportion of the parts."""
        return self.counts or self.shares


def typed(cfg: DictConfig) -> Config:
    """Resolve and check a composed configuration. Raises ConfigError with one sentence for the first thing wrong."""
    try:
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split("\n")[0].split())) from None
    config = validate(Config, values)
    for group in ("model", "teacher", "dataset", "tool", "train"):
        check(getattr(config, group), group)
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
        name = str(strategy.get("_target_", "")).rpartition(".")[2].lower()
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
    return whole


def check(node: Node, where: str) -> None:
    """Check a plug-in's node without building it. Raises ConfigError."""
    _arguments(node, where, {})


def build(node: Node, where: str = "", **context: Any) -> Any:
    """Build a plug-in from its node.

    `context` is what the run provides (folders, the dataset's corpus, ...): a plug-in is given what its fields name,
    unless its node says otherwise. Raises ConfigError.
    """
    cls, arguments = _arguments(node, where, context)
    return cls(**arguments)


def _arguments(node: Node, where: str, context: dict[str, Any]) -> tuple[type, dict[str, Any]]:
    cls = target(node, where)
    known = {field.name: field for field in fields(cls) if field.init}
    arguments = {name: value for name, value in context.items() if name in known}
    for name, value in node.items():
        if name == "_target_":
            continue
        if name not in known:
            raise ConfigError(f"{where}.{name} is not an option of {cls.__name__}{suggest(name, known)}")
        if value is None and name in arguments:
            continue
        arguments[name] = validated(cls, name, value, f"{where}.{name}")
    for name, field in known.items():
        required = field.default is MISSING and field.default_factory is MISSING
        if context and required and name not in arguments:
            raise ConfigError(f"{where}.{name} is missing; set it, e.g. {where}.{name}=...")
    return cls, arguments


def target(node: Node, where: str) -> type:
    """Import the class that a node names. Raises ConfigError."""
    path = node.get("_target_")
    if not isinstance(path, str) or "." not in path:
        raise ConfigError(f"{where} has no _target_ that names a class, got {path!r}; "
                          f"select an option of conf/{where}/ or set {where}._target_=package.module.Class")
    module_name, _, class_name = path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{where}._target_={path} cannot be imported: {error}") from None
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise ConfigError(f"{where}._target_={path} is not a dataclass, which a plug-in must be")
    return cls


@cache
def _field_adapter(cls: type, name: str) -> TypeAdapter:
    return TypeAdapter(hint(cls, name))


def hint(cls: type, name: str) -> Any:
    """Return the type of a plug-in's option, with its annotations."""
    written = next(field.type for field in fields(cls) if field.name == name)
    return get_type_hints(cls, include_extras=True)[name] if isinstance(written, str) else written


def validated(cls: type, name: str, value: Any, where: str) -> Any:
    """Check one option of a plug-in against its type, and convert it. Raises ConfigError."""
    try:
        return _field_adapter(cls, name).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}={value!r} does not fit: {_expected(first)}") from None


def _sentence(cls: type[Section], error: Any, where: str) -> str:
    path = [where, *map(str, error["loc"])] if where else list(map(str, error["loc"]))
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        return f"{key} is not an option{suggest(path[-1], _keys(cls, path[:-1]))}"
    if error["type"] == "missing":
        return f"{key} is missing; set it, e.g. {key}=..."
    return f"{key}={error['input']!r} does not fit: {_expected(error)}"


def _keys(cls: type[Section], path: list[str]) -> list[str]:
    for part in path:
        field = cls.model_fields.get(part)
        if field and isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            cls = field.annotation
    return list(cls.model_fields)


def _expected(error: Any) -> str:
    if error["type"] == "literal_error":
        names = [name.strip("'") for name in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"it must be one of {', '.join(names)}{_near(error['input'], names)}"
    return error["msg"][0].lower() + error["msg"][1:]


def _near(value: Any, names: list[str]) -> str:
    hint = suggest(str(value), names)
    return hint if "did you mean" in hint else ""
