"""The nouns of FireAct: what flows from a question to a trajectory, between stages and on disk.

All are frozen dataclasses of plain values, so a record on disk and an object in memory are the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from fireact.plan import Plan
from fireact.toolspec import Call, ToolSpec

RECORD_VERSION = 1
"""Of a trajectory on disk."""
RUN_VERSION = 1
"""Of the files of results in a run directory: metrics.json and results.jsonl, written into its manifest.json."""

Form = Literal["react", "cot", "direct", "plan", "program", "skills", "value"]
"""The wording of a reply that an `Ask` is after."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    calls: tuple[Call, ...] = field(default=(), repr=False)
    """Of an assistant: the functions it calls. As many messages of the role `tool` follow, in the same order."""


@dataclass(frozen=True)
class Question:
    """One question of a dataset, with what is known about its answer."""

    id: str
    text: str
    answers: tuple[str, ...]
    """The canonical answer first, then its aliases."""
    kind: str = ""
    gold: tuple[str, ...] = ()
    """The ids of the passages that hold the answer's facts."""
    plan: Plan | None = None
    choices: tuple[str, ...] = ()
    """The texts of the options A, B, C, ... of a multiple-choice question, whose answer is the letter."""


@dataclass(frozen=True)
class Episode:
    """Which episode a model call belongs to. A real model needs only the seed; the oracle follows the plan."""

    question_id: str
    seed: int = 0
    """The run's, and for further attempts at the question another one each."""
    plan: Plan | None = None


@dataclass(frozen=True)
class Completion:
    """One reply of a model, with what it took. Cost is in US dollars, None where no price is known."""

    text: str
    finish: Literal["stop", "length"] = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0
    """Of the request that was answered, from sending it to the end of its answer."""
    cost: float | None = None
    calls: tuple[Call, ...] = ()
    """The functions that the model calls."""


class Refusal(str):
    """An observation that tells why a call was not made, or came to nothing."""


@dataclass(frozen=True)
class Observation:
    """What a tool returned: the text shown to the model, and the ids of the passages it came from."""

    text: str
    ids: tuple[str, ...] = ()
    origin: str = ""
    """Where it came from, if not from the tool itself: `exact`, `nearest` or `none` of recorded searches, `refused`, or
    the fault that was put in its place."""


@dataclass(frozen=True)
class Step:
    """One event of an episode: the model was asked, a tool was used, a reply was refused; see fireact/requests.py."""

    kind: Literal["ask", "act", "refuse", "tell", "choose", "recall", "learn"]
    text: str
    """The reply with its prime, the observation, the refusal, what was told, the chosen node, or the skills."""
    form: Form | None = None
    tool: str | None = None
    argument: str | None = None
    ids: tuple[str, ...] = ()
    origin: str = ""
    """See `Observation`."""
    completion: Completion | None = None
    seconds: float = 0.0
    name: str = ""
    """See `Act`."""
    node: str = ""
    """See `Ask`."""

    @property
    def reply(self) -> str | Completion:
        """What a strategy is sent for it."""
        if self.kind == "refuse" or self.origin == "refused":
            return Refusal(self.text)
        return self.completion if self.completion and self.completion.calls else self.text

    def leads_on(self, before: Step) -> bool:
        """Whether this reply goes on from the one before it, which stopped half-way; not another sample of the same."""
        return (self.kind == before.kind == "ask" and self.node == before.node and self.text != before.text
                and self.text.startswith(before.text))


class StopReason(str, Enum):
    """Why an episode ended."""

    FINISHED = "finished"
    """The strategy returned an answer."""
    ROUNDS = "rounds"
    """The strategy ran out of rounds."""
    FORMAT = "format"
    """Too many replies in a row broke the grammar."""
    CALLS = "calls"
    """The episode's limit of replies was reached."""
    TOKENS = "tokens"
    """The episode's token limit was reached."""
    SECONDS = "seconds"
    """The episode's time limit was reached."""
    CONTEXT = "context"
    """The conversation no longer fitted into the model's window."""
    FILTER = "filter"
    """The provider's content filter refused the conversation, or cut off a reply."""
    MODEL = "model"
    """The model could not be reached, or refused."""
    TOOL = "tool"
    """The tool could not be reached, or its quota was used up."""

    @property
    def played(self) -> bool:
        """Whether the episode counts; one whose model or tool was out of reach is played again."""
        return self not in (StopReason.MODEL, StopReason.TOOL)


@dataclass(frozen=True)
class Score:
    """How good an answer is, each between 0 and 1."""

    em: float
    f1: float


@dataclass(frozen=True)
class Trajectory:
    """One whole episode: what was asked, done and answered. Every question played ends in exactly one."""

    id: str
    question: Question
    method: str
    steps: tuple[Step, ...]
    answer: str | None
    stop: StopReason
    score: Score
    error: str | None = None
    """What went wrong, for the stops that are failures."""
    seconds: float = 0.0
    provenance: dict[str, Any] = field(default_factory=dict)
    """Model, store key (which the prompt is part of), version and commit: how this record came about."""
    version: int = RECORD_VERSION
    tools: tuple[ToolSpec, ...] = ()
    """The functions that the model was offered; empty where it wrote its actions as text."""
    dataset: str = ""
    """The name of the dataset the question is from."""
    attempt: int = 0
    """Which attempt at the question it is, counted from 0. The last field: it is looked for at a line's end."""

    @property
    def rounds(self) -> int:
        """The number of replies of the model; one that was led on to its action is one with what follows."""
        following = [*self.steps[1:], None]
        return sum(step.kind == "ask" and not (after and after.leads_on(step))
                   for step, after in zip(self.steps, following, strict=False))

    @property
    def tool_calls(self) -> int:
        """The number of tool calls."""
        return sum(step.kind == "act" for step in self.steps)

    def total(self, field_name: str) -> float:
        """Sum a field of all completions, e.g. 'prompt_tokens' (tokens) or 'cost' (US dollars)."""
        return sum(getattr(step.completion, field_name) or 0 for step in self.steps if step.completion)


@dataclass(frozen=True)
class Example:
    """One training sequence: `ids` and `mask` have the same length; tokens whose mask is 0 are not trained on."""

    id: str
    ids: tuple[int, ...]
    mask: tuple[float, ...]
    """The weight of each token in the loss."""
    roles: str = ""
    """One letter a token, see `fireact.examples.ROLES`; empty where nobody has told."""

    @property
    def examples(self) -> tuple[Example, ...]:
        """The sequences that are computed together: this one."""
        return (self,)


@dataclass(frozen=True)
class Pair:
    """Two training sequences about the same question, of which the first is to become the likelier one."""

    id: str
    chosen: Example
    rejected: Example
    reference: tuple[float, float] | None = None
    """The log-probabilities of both under the policy at the start of the training; None: not computed yet."""

    @property
    def examples(self) -> tuple[Example, ...]:
        """The sequences that are computed together: both."""
        return self.chosen, self.rejected
