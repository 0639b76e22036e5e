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
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from fireact.errors import ConfigError, suggest
from fireact.plugins import Node, check, expected, plugin_name
from fireact.types import Count, NotNegative, Positive

STAGES = ("generate", "curate", "train", "evaluate", "report")
Number = Count | None | dict[str, Annotated[int, Field(ge=0)] | None]
"""How many questions: the first n, all (None), or so many of each dataset by its name; 0 leaves a dataset out."""


class Section(BaseModel):
    """A part of the configuration; a key that is not declared is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Generate(Section):
    """What the teacher plays."""

    split: str = "train"
    n: Number = 650
    """How many questions of each dataset, the first of the split's fixed order; None for all."""


class Limits(Section):
    """Where the driver ends an episode, whatever the strategy wants."""

    errors: Count = 3
    """Replies in a row that break the grammar or call an unknown tool."""
    tokens: Count | None = None
    """Tokens of all its completions together."""
    seconds: Positive | None = None


FilterName = Literal["finished", "correct", "no_repeat", "no_format_error", "supported", "not_evaluated", "fits"]


class Curate(Section):
    """Which of the teacher's trajectories are trained on."""

    filters: list[FilterName] = list(FilterName.__args__)
    """Applied in this order; see fireact/curate.py for what each means."""
    n: Count | None = None
    """How many to train on; None takes `counts`, the strategy's counts, or all that are left."""
    counts: dict[str, dict[str, Annotated[int, Field(ge=0)]]] | None = None
    """How many of each dataset by each method, e.g. {hotpotqa: {react: 500, cot: 187}}, in place of all shares."""
    validation: Annotated[int, Field(ge=0)] = 16
    """How many of the kept ones are held out for the validation loss."""
    window: Count | None = None
    """The longest sequence in tokens for the filter `fits`; None takes the student's own window."""


class Evaluate(Section):
    """Which questions the student is judged by, and in which guises."""

    split: str | None = None
    """None: the one that results on a dataset are reported on."""
    n: Number = 100
    """How many questions of each dataset, the first of the split's fixed order; None for all."""
    prompted: bool = True
    """Evaluate the student as it came, with few-shot examples."""
    finetuned: bool = True
    """Evaluate the fine-tuned student, without examples."""
    faults: list[str] = []
    """Evaluate under these faults of the tool as well, see fireact/tool/noise.py."""


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

    trajectories: Annotated[list[Path], BeforeValidator(lambda given: given if isinstance(given, list) else
                                                        [] if given is None else [given])] = []
    """One or more files of trajectories, for curate: ours, or in any form that fireact/formats reads."""
    curated: Path | None = None
    """A folder with curated train.jsonl and validation.jsonl, for train."""
    adapter: Path | None = None
    """A LoRA adapter or a fine-tuned model's folder, for evaluate."""
    run: Path | None = None
    """A run directory, for report."""


class Export(Section):
    """In which forms the curated trajectories are written for other trainers."""

    formats: list[Literal["alpaca", "openai", "sharegpt", "conversational", "searches"]] = [
        "alpaca", "openai", "sharegpt", "conversational"]


class Report(Section):
    """What the report shows beyond the results."""

    prices: list[str] = []
    """Models at whose prices the recorded usage is counted as well, e.g. [gpt-4.1-mini]."""


class Paper(Section):
    """What the recipes of the paper take from paper=faithful or paper=corrected; nothing else reads it."""

    rules: Literal["faithful", "corrected"]
    table: str | None = None
    """The table or figure that the run is a part of, compared with the paper at its end."""
    trajectories: Count
    """Of one method on HotpotQA."""
    questions: Count
    """That the teacher plays to get them."""
    filters: list[FilterName]
    loss: Literal["all_output", "assistant", "actions", "final"]
    batch_size: Count
    warmup_steps: Annotated[int, Field(ge=0)] | None
    max_length: Count | None
    too_long: Literal["error", "truncate", "drop"]
    full_learning_rate: Positive
    """Of train=paper_full."""
    scoring: Literal["faithful", "strict"]
    play: Literal["react", "reflexion"]
    """How the Llama students are asked in an evaluation."""


class Config(Section):
    """One run."""

    stage: Literal["pipeline", "generate", "curate", "export", "train", "evaluate", "report"] = "pipeline"
    name: str = "default"
    """The recipe's name, for people and W&B."""
    seed: int = 0
    store: Path = Path("outputs/store")
    """Where finished stages are kept, to be shared by all runs."""
    concurrency: Count = 32
    """Episodes played at once."""
    model: Node
    """The student."""
    teacher: Node
    strategy: Node
    """One, or a mix."""
    dataset: Node
    """One, or several to learn from."""
    held_out: dict[str, Node] = {}
    """Datasets, by any name, that the student is judged on and never trained on."""
    tool: Node
    noise: Node
    """The wrapper that puts faults into the tool, for evaluate.faults."""
    train: Node
    generate: Generate = Generate()
    limits: Limits = Limits()
    curate: Curate = Curate()
    evaluate: Evaluate = Evaluate()
    export: Export = Export()
    report: Report = Report()
    paper: Paper | None = None
    wandb: Wandb = Wandb()
    inputs: Inputs = Inputs()


class Mix(Section):
    """A strategy made of several: the teacher plays each, the student learns from all."""

    parts: dict[str, Node]
    shares: dict[str, NotNegative] = {}
    """How much of each, in proportion; 0 for a part that the student is only asked by."""
    counts: dict[str, Annotated[int, Field(ge=0)]] = {}
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
    shares: dict[str, Positive] = {}
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
    loc = [str(part) for part in error["loc"] if not str(part).startswith(("constrained-", "dict["))]
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
