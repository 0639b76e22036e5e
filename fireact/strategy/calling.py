"""Actions as functions that a model calls, as in OpenAI's messages: how a reply's calls are read as steps, and back.

A conversation in words and one with calls stand for each other: few-shot examples are shown as calls (`as_calls`), and
whoever follows a conversation in words reads one with calls (`in_words`).
"""

import json
from collections.abc import Collection, Iterator, Sequence

from fireact.errors import FormatError, ToolError, suggest
from fireact.strategy.grammar import OBSERVATION, ParsedStep, clean_thought, format_step, parse_step
from fireact.strategy.language import Program, check, parse, syntax
from fireact.strategy.plans import format_plan, has_plan, parse_plan
from fireact.strategy.turns import Reply
from fireact.toolspec import Call, ToolSpec, find, text_argument
from fireact.types import Completion, Message

FINISH = ToolSpec("finish", "gives the answer, as short as possible, and ends the task.",
                  text_argument("answer", "the answer, as short as possible"))
PLAN = ToolSpec("plan", "sets the steps of a plan, which are then done one by one; again, where it has to be changed.",
                {"type": "object", "required": ["steps"],
                 "properties": {"steps": {"type": "array", "items": {"type": "string"},
                                          "example": ["Find the capital of France."]}}})
PROGRAM = ToolSpec(
    "program", "runs a program of searches. Each line is NAME = search[words] or, to read a value out of what comes, "
    "NAME = search[words] -> a sentence with * in its place. {NAME} in later lines is what was found. "
    "Lines such as if {E1} > {E2}: finish[A] and else: finish[B], or finish[{E2}], give the answer.",
    text_argument("text", "the program, a line a statement"))


def read_calls(reply: Reply, offered: Sequence[ToolSpec]) -> list[ParsedStep]:
    """The actions of a reply that was offered functions. Raises FormatError, which the model is shown."""
    if not isinstance(reply, Completion):
        names = ", ".join(spec.name for spec in offered if spec.name != FINISH.name)
        raise FormatError(f"no function was called; call {names}, or finish to give the answer")
    thought = clean_thought(reply.text)
    steps = []
    for call in reply.calls:
        spec = find(offered, call.name)
        steps.append(ParsedStep(thought, call.name, _argument(call, spec) if spec else call.arguments))
        thought = ""
    return steps


def _argument(call: Call, spec: ToolSpec) -> str:
    """What a call gives; of the strategies' own functions the one argument that they take, of its type.

    Raises FormatError, which the model is shown. A tool's arguments are checked where the tool is called.
    """
    argument = spec.argument(call)
    if spec not in (FINISH, PLAN, PROGRAM):
        return argument
    value = (call.given or {}).get(str(spec.sole))
    # A number is an answer too.
    given = str(value) if type(value) in (int, float) else value
    try:
        spec.arguments(json.dumps({spec.sole: given}))
    except ToolError as refusal:
        raise FormatError(str(refusal)) from None
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


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
        return ParsedStep(thought, PLAN.name, json.dumps(steps, ensure_ascii=False))
    return parse_step(reply)


def read_program(reply: Reply, offered: Sequence[ToolSpec], tools: Collection[str] | None, most_calls: int) -> Program:
    """The program of a reply; one that only finishes is one too, and so are tools that are called by themselves.

    Raises FormatError, which the model is shown.
    """
    if not offered:
        assert isinstance(reply, str)
        return parse(reply, tools, most_calls=most_calls)
    steps = read_calls(reply, offered)
    if {FINISH.name, PROGRAM.name}.isdisjoint(step.name for step in steps):
        calls = [syntax.Call(f"E{number}", step.name, step.argument) for number, step in enumerate(steps, 1)]
        return check(Program("", (), tuple(calls)), tools, {}, most_calls)
    step = read_one(reply, offered)
    if step.name == PROGRAM.name:
        return parse(step.argument, tools, most_calls=most_calls)
    return check(Program("", (), (syntax.Finish(step.argument),)), tools, {}, most_calls)


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
            step = _in_steps(message.content, offered)
            spec = find(offered, step.name)
            if spec is None:
                raise FormatError(f"the example's action {step.name!r} is none of the functions"
                                  f"{suggest(step.name, [spec.name for spec in offered])}")
            message = Message("assistant", step.thought, (spec.call(step.argument),))
        elif found and found[-1].calls and message.content.startswith(OBSERVATION):
            message = Message("tool", message.content.removeprefix(OBSERVATION).strip())
        found.append(message)
    return found


def to_calls(text: str, offered: Sequence[ToolSpec]) -> tuple[str, tuple[Call, ...]]:
    """A reply in words as a thought and a call; no call where it is no step of what is offered."""
    try:
        step = _in_steps(text, offered)
    except FormatError:
        return text, ()
    spec = find(offered, step.name)
    return (step.thought, (spec.call(step.argument),)) if spec else (text, ())


def _in_steps(text: str, offered: Sequence[ToolSpec]) -> ParsedStep:
    """The step of a reply in words, which may be a program where one can be run. Raises FormatError."""
    if find(offered, PROGRAM.name) is None:
        return read_one(text, ())
    program = parse(text)
    body = "\n".join([*map(str, program.skills), *map(str, program.statements)])
    first = program.statements[0]
    if isinstance(first, syntax.Finish):
        return ParsedStep(program.thought, FINISH.name, first.text)
    return ParsedStep(program.thought, PROGRAM.name, body)


def in_words(messages: Sequence[Message], offered: Sequence[ToolSpec]) -> list[Message]:
    """The opposite: a conversation with its calls as actions in words."""
    return [message for _, message in located_in_words(messages, offered)]


def located_in_words(messages: Sequence[Message], offered: Sequence[ToolSpec]) -> Iterator[tuple[int, Message]]:
    """The same, and with each message the place of the one that it was made of."""
    for at, message in _one_by_one(messages):
        if message.calls:
            message = Message("assistant", _called(message.content, message.calls[0], offered))
        elif message.role == "tool":
            message = Message("user", f"{OBSERVATION} {message.content}")
        yield at, message


def _one_by_one(messages: Sequence[Message]) -> Iterator[tuple[int, Message]]:
    """With one call in each reply: words have no way to act twice at once. What has no result is left out, but for the
    answer, or what is last."""
    at = 0
    while at < len(messages):
        message, at = messages[at], at + 1
        if len(message.calls) < 2:
            yield at - 1, message
            continue
        place, thought, left = at - 1, message.content, list(message.calls)
        while left and at < len(messages) and messages[at].role == "tool":
            yield place, Message("assistant", thought, (left.pop(0),))
            yield at, messages[at]
            thought, at = "", at + 1
        if left:
            yield place, Message("assistant", thought, (next((call for call in left if call.name == FINISH.name),
                                                             left[-1]),))


def _called(thought: str, call: Call, offered: Sequence[ToolSpec]) -> str:
    """A thought and a call in words; as it stands where its arguments cannot be read."""
    spec = find(offered, call.name)
    try:
        return _in_words(ParsedStep(thought, call.name, spec.argument(call) if spec else call.arguments))
    except FormatError:
        return f"{thought}\n{call}".strip()


def _in_words(step: ParsedStep) -> str:
    if step.name == PLAN.name:
        return format_plan(step.thought, plan_steps(step))
    if step.name == PROGRAM.name:
        return f"Thought: {step.thought}\n{step.argument}"
    return format_step(step)
