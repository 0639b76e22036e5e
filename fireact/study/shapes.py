"""What the small files of a run and a sweep hold, as far as a study and its report read it.

Files of earlier versions lack some of it, and all may hold more. Shares are between 0 and 1, money is US dollars.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

_Power = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]


class Shape(BaseModel):
    """A mapping of which these names are read; a text is no number."""

    model_config = ConfigDict(strict=True)


class Attempts(Shape):
    """What several attempts at a question are worth, see `fireact.sampling.summarize`."""

    attempts: int
    solved: float
    passes: dict[_Power, float] = Field(default={}, alias="pass")
    pass_se: dict[str, float | None] = {}
    majority: float | None = None
    majority_se: float | None = None


class Cost(Shape):
    """What an episode costs at the prices of another model, see `fireact.evaluate.priced`."""

    mean: float
    se: float | None
    input: float
    output: float
    calls: float
    words: str


class Drop(Shape):
    """What a fault of the tool costs."""

    em: float
    ci95: Annotated[list[float], Field(min_length=2, max_length=2)]
    p: float


class Summary(Shape):
    """Some episodes counted, see `fireact.evaluate.summarize`."""

    n: int
    em: float
    em_se: float | None
    f1: float
    f1_se: float | None
    finished: float
    rounds: float
    tool_calls: float
    prompt_tokens: float
    completion_tokens: float
    cost: float | None
    seconds: float | None = None
    sampling: Attempts | None = None
    priced: dict[str, Cost] = {}
    drop: Drop | None = None
    """Of a tool that has a fault."""


class Evaluation(Shape):
    """The student on one dataset. A guise may be missing, but is no null."""

    prompted: Summary | None = None
    finetuned: Summary | None = None
    faults: dict[str, dict[str, Summary]] = {}

    @model_validator(mode="after")
    def _is_whole(self) -> Evaluation:
        if any(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError("a guise is null")
        for by_guise in self.faults.values():
            if not by_guise.keys() <= self.model_fields_set or any(each.drop is None for each in by_guise.values()):
                raise ValueError("it has a guise with a faulty tool that it does not have with a sound one")
        return self


class Funnel(Shape):
    """What the curation dropped and kept of one method, see `fireact.curate.Funnel`."""

    played: int
    dropped: dict[str, int]
    kept: int
    train: int
    validation: int
    pairs: dict[str, int] | None = None


class Overlap(Shape):
    """How many questions of an evaluation are among the training questions."""

    exact: int
    near: int


class Training(Shape):
    """What the training took and reached; a hosted one knows little of it."""

    steps: float | None = None
    epochs: float | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    validation_reward_margin: float | None = None
    validation_reward_accuracy: float | None = None
    tokens: float | None = None
    trained_tokens: float | None = None
    seconds: float | None = None
    tokens_per_second: float | None = None
    peak_memory_mb: float | None = None
    trainable_parameters: float | None = None
    peak_learning_rate: float | None = None
    cost: float | None = None


class Metrics(Shape):
    """metrics.json."""

    generate: dict[str, Summary] = {}
    curate: dict[str, Funnel] = {}
    contamination: dict[str, Overlap] = {}
    train: Training = Training()
    evaluate: dict[str, Evaluation] = {}


class Stage(Shape):
    """What became of a stage; its episodes or weights lie in the store under `key`."""

    key: str
    reused: bool
    seconds: Annotated[float, Field(allow_inf_nan=False)]


class Manifest(Shape):
    """manifest.json."""

    state: str | None = None
    stages: dict[str, Stage] = {}
    packages: dict[str, Any] = {}


class Listed(Shape):
    """A cell, as its sweep lists it."""

    number: int
    choices: dict[str, Any] = {}


class Sweep(Shape):
    """sweep.json."""

    axes: dict[str, list[Any]] = {}
    cells: list[Listed] = []


class _Report(Shape):
    contrasts: list[Any] = []


class _Paper(Shape):
    table: str | None = None


class Configuration(Shape):
    """config.yaml, as far as a study depends on it."""

    report: _Report = _Report()
    paper: _Paper | None = None
