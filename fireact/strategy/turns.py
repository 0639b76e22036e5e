"""The turns of a conversation: how a reply is read and shown again, and how the world's answer is.

Written by strategies when they play and by `fireact.examples` when a student learns, so that both are the same.

On the wire `text` actions are words, `Action: search[Paris]`, and observations a user's turn; on the wire `tools` they
are calls of functions as in OpenAI's messages, with a message of the role `tool` for each.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fireact.errors import FormatError
from fireact.strategy.grammar import OBSERVATION, clean_thought, cut_at_observation, format_step, parse_step
from fireact.strategy.language import MOST_LINES, parse
from fireact.strategy.plans import format_plan, has_plan, parse_plan
from fireact.toolspec import Call
from fireact.types import Completion, Form, Message

Wire = Literal["text", "tools"]
Reply = str | Completion
"""What a strategy is sent for an Ask: a text, or a whole completion that calls functions."""


@dataclass(frozen=True)
class Event:
    """What happened between two replies: an observation, a refusal, or a word of the strategy's own."""

    text: str
    name: str = ""
    """What it is called where several are shown together, e.g. E1."""

    def __str__(self) -> str:
        """As the model reads it."""
        return f"{self.name}: {self.text}" if self.name else self.text


def said(reply: Reply, form: Form = "react") -> Message:
    """A reply as it is shown again: in its canonical form where it has one."""
    if isinstance(reply, Completion):
        calls = tuple(found for call in reply.calls if (found := _canonical(call)))
        if len(calls) == len(reply.calls):
            return Message("assistant", clean_thought(reply.text), calls)
        return Message("assistant", "\n".join([reply.text, *map(str, reply.calls)]).strip())
    try:
        if form == "plan" and has_plan(reply):
            return Message("assistant", format_plan(*parse_plan(reply)))
        if form in ("program", "skills"):
            return Message("assistant", str(parse(reply, most_calls=MOST_LINES)))
        if form in ("react", "plan"):
            return Message("assistant", format_step(parse_step(reply)))
    except FormatError:
        pass
    return Message("assistant", cut_at_observation(reply).strip())


def heard(events: Sequence[Event], reply: Message) -> list[Message]:
    """The world's turn after a `reply`: one message, or one for each function that was called.

    Of several calls each is answered by the event in its place, and the last one by all that are left.
    """
    if not reply.calls:
        return [Message("user", f"{OBSERVATION} {_joined(events)}")]
    last = len(reply.calls) - 1
    return [Message("tool", _joined(events[at:] if at == last else events[at: at + 1]) or _joined(events[-1:]))
            for at in range(last + 1)]


_SKILLS = "\n\nSkills:"


def with_skills(question: str, skills: str) -> str:
    """A question with the skills that were recalled for it."""
    return f"{question}{_SKILLS}\n{skills}" if skills else f"{question}{_SKILLS} none"


def without_skills(shown: str) -> str:
    """The opposite: the question."""
    return shown.partition(_SKILLS)[0]


def _joined(events: Sequence[Event]) -> str:
    return "\n".join(map(str, events))


def _canonical(call: Call) -> Call | None:
    """With its arguments as JSON is mostly written; None where they are no JSON object."""
    given = call.given
    return None if given is None else Call(call.name, json.dumps(given, ensure_ascii=False))
