"""What a plug-in has to have: the four things that a run is put together from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from fireact.requests import Act, Ask, Play
from fireact.toolspec import ToolSpec, text_argument
from fireact.types import Completion, Observation, Question, Score

if TYPE_CHECKING:
    from fireact.prices import Price


@runtime_checkable
class Strategy(Protocol):
    """How a model is led through one question."""

    def play(self, question: str, *, few_shot: bool, tools: tuple[ToolSpec, ...] = ()) -> Play:
        """Start on `question`; with `few_shot` the model is shown instructions and examples, else only the question.

        `tools` are what it can call.
        """
        ...


@runtime_checkable
class Model(Protocol):
    """Anything that completes a conversation."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    async def complete(self, ask: Ask) -> Completion:
        """Reply once. Raises ProviderError or ContextError."""
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


@runtime_checkable
class Paid(Protocol):
    """A model or tool whose calls cost money."""

    def price(self) -> Price | None:
        """What a call costs now; None where that is not known."""
        ...

    @property
    def unpriced(self) -> str | None:
        """A sentence on what to set where no price is known; None where one is."""
        ...


@runtime_checkable
class OnGpu(Protocol):
    """A model, a way to train or a job that computes on GPUs, where there are any, in the process that it is run by."""

    @property
    def gpus(self) -> int:
        """How many; 0 for none, or for a device that its options name."""
        ...


@runtime_checkable
class Tool(Protocol):
    """Anything an agent can call.

    Where it has `specs`, a tuple of `ToolSpec`, these tell what each action does and takes, and an argument that does
    not fit is refused before it is called. Else each of its actions takes one text.
    """

    @property
    def actions(self) -> tuple[str, ...]:
        """What the model calls it: one name, or several, e.g. search and lookup."""
        ...

    async def __call__(self, act: Act) -> Observation:
        """Call it once.

        Raises ToolError, whose text the model sees; ToolUnavailable, which ends the episode; and ConfigError for what
        no other argument could mend, a missing key for one.
        """
        ...


@runtime_checkable
class Dataset(Protocol):
    """Questions in splits, the corpus their answers stand in, and how an answer is scored."""

    @property
    def prompt(self) -> str:
        """The few-shot texts that belong to it: a name in strategy/prompts/*/, or a path."""
        ...

    @property
    def evaluation_split(self) -> str:
        """The split that its results are reported on."""
        ...

    def questions(self, split: str) -> list[Question]:
        """All questions of a split, in an order that never changes. Raises DataError, ConfigError."""
        ...

    def corpus(self) -> Path | None:
        """The passages as a jsonl file of {id, title, text}, or None where the dataset has none."""
        ...

    def score(self, question: Question, answer: str | None) -> Score:
        """Judge an answer."""
        ...


def with_inner(tool: Any) -> list[Any]:
    """A tool, and all that it wraps or is made of."""
    inner = getattr(tool, "tool", None)
    parts = [*([] if inner is None else [inner]), *getattr(tool, "tools", {}).values()]
    return [tool, *(each for part in parts for each in with_inner(part))]


def specs(tool: Tool) -> tuple[ToolSpec, ...]:
    """What a tool's actions do and take."""
    return getattr(tool, "specs", None) or tuple(
        ToolSpec(name, f"{name} words, and see what comes back", text_argument("argument", f"what to {name}"))
        for name in tool.actions)
