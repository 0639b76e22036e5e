"""The turns of a conversation: how a reply is read and shown again, and how the world's answer is.

Written by strategies when they play and by `fireact.examples` when a student learns, so that both are the same.

On the wire `text` actions are words, `Action: search[Paris]`, and observations a user's turn; on the wire `tools` they
are calls of functions as in OpenAI's messages, with a message of the role `tool` for each.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fireact.errors import FormatError, suggest
from fireact.strategy.grammar import (
    OBSERVATION,
    ParsedStep,
    clean_thought,
    cut_at_observation,
    format_step,
    parse_step,
)
from fireact.strategy.language import parse
from fireact.strategy.plans import format_plan, has_plan, parse_plan
from fireact.toolspec import Call, ToolSpec, find, text_argument
from fireact.types import Completion, Form, Message

Wire = Literal["text", "tools"]
Reply = str | Completion
"""What a strategy is sent for an Ask: a text, or a whole completion that calls functions."""
FINISH = ToolSpec("finish", "gives the answer, as short as possible, and ends the task.",
                  text_argument("answer", "the answer, as short as possible"))

PROGRAM = ToolSpec(
    "program", "runs a program of searches. Each line is NAME = search[words] or, to read a value out of what comes, "
    "NAME = search[words] -> a sentence with * in its place. {NAME} in later lines is what was found. "
    "Lines such as if {E1} > {E2}: finish[A] and else: finish[B], or finish[{E2}], give the answer.",
    text_argument("text", "the program, a line a statement"))


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
            return Message("assistant", str(parse(cut_at_observation(reply))))
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


def read_calls(reply: Reply, offered: Sequence[ToolSpec]) -> list[ParsedStep]:
    """The actions of a reply that was offered functions. Raises FormatError, which the model is shown."""
    if not isinstance(reply, Completion):
        names = ", ".join(spec.name for spec in offered)
        raise FormatError(f"no function was called; call one of {names}, finish to give the answer")
    thought = clean_thought(reply.text)
    steps = []
    for call in reply.calls:
        spec = find(offered, call.name)
        steps.append(ParsedStep(thought, call.name, spec.argument(call) if spec else call.arguments))
        thought = ""
    return steps


def read_one(reply: Reply, offered: Sequence[ToolSpec]) -> ParsedStep:
    """The one action of a reply; a plan in words is the action `plan`. Raises FormatError, which the model is shown."""
    if offered:
        first, *others = read_calls(reply, offered)
        if others:
            raise FormatError(f"{len(others) + 1} functions were called at once; call one, and wait for its result")
        return first
    assert isinstance(reply, str)
    if has_plan(reply):
        thought, steps = parse_plan(reply)
        return ParsedStep(thought, "plan", json.dumps(steps, ensure_ascii=False))
    return parse_step(reply)


def read_program(reply: Reply, offered: Sequence[ToolSpec]) -> str:
    """The program of a reply; one that only finishes is one too. Raises FormatError, which the model is shown."""
    if not offered:
        assert isinstance(reply, str)
        return cut_at_observation(reply)
    step = read_one(reply, offered)
    if step.name == PROGRAM.name:
        return step.argument
    if step.name == FINISH.name:
        return f"finish[{step.argument}]"
    raise FormatError(f"{step.name} was called by itself; write it as a line of a program, e.g. E1 = {step.name}[...]")


def with_skills(question: str, skills: str) -> str:
    """A question with the skills that were recalled for it."""
    return f"{question}\n\nSkills:\n{skills}" if skills else f"{question}\n\nSkills: none"


def plan_steps(step: ParsedStep) -> tuple[str, ...]:
    """The steps of an action `plan`, whose argument is their list. Raises FormatError, which the model is shown."""
    try:
        given = json.loads(step.argument)
    except ValueError:
        given = None
    if not isinstance(given, list):
        raise FormatError(f"the steps of a plan are a list of texts, not {step.argument[:60]!r}; give e.g. "
                          '["Find the capital of France."]')
    return tuple(text for part in given if (text := " ".join(str(part).split())))


def as_calls(messages: Sequence[Message], offered: Sequence[ToolSpec]) -> list[Message]:
    """A conversation in text with its actions as calls of functions, e.g. few-shot examples.

    Raises FormatError for an action that is not offered.
    """
    found: list[Message] = []
    for message in messages:
        if message.role == "assistant":
            step = read_one(message.content, ())
            spec = find(offered, step.name)
            if spec is None:
                raise FormatError(f"the example's action {step.name!r} is none of the functions"
                                  f"{suggest(step.name, [spec.name for spec in offered])}")
            message = Message("assistant", step.thought, (spec.call(step.argument),))
        elif found and found[-1].calls and message.content.startswith(OBSERVATION):
            message = Message("tool", message.content.removeprefix(OBSERVATION).strip())
        found.append(message)
    return found


def in_words(messages: Sequence[Message], offered: Sequence[ToolSpec]) -> list[Message]:
    """The opposite: a conversation with its first calls as actions in words."""
    found = []
    for message in messages:
        if message.calls:
            call = message.calls[0]
            spec = find(offered, call.name)
            step = ParsedStep(message.content, call.name, spec.argument(call) if spec else call.arguments)
            message = Message("assistant", _in_words(step))
        elif message.role == "tool":
            message = Message("user", f"{OBSERVATION} {message.content}")
        found.append(message)
    return found


def _in_words(step: ParsedStep) -> str:
    if step.name == "plan":
        return format_plan(step.thought, plan_steps(step))
    if step.name == PROGRAM.name:
        return f"Thought: {step.thought}\n{step.argument}"
    return format_step(step)


def _joined(events: Sequence[Event]) -> str:
    return "\n".join(map(str, events))


def _canonical(call: Call) -> Call | None:
    """With its arguments as JSON is mostly written; None where they are no JSON object."""
    try:
        given = json.loads(call.arguments or "{}")
    except ValueError:
        return None
    return Call(call.name, json.dumps(given, ensure_ascii=False)) if isinstance(given, dict) else None
