"""Calls of functions in a model's own text: how they are read out of a reply, and a convention for models without one.

Chat templates that know functions write a call as JSON, each between words of its own: Hermes and Qwen in
<tool_call>...</tool_call>, Llama 3 bare with `parameters`, Mistral as a list. `read_reply` finds the JSON whatever is
around it. `plain` writes functions, calls and results for templates that know none, in the words of Hermes, `in_tags` a
single turn that a template cannot write.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from fireact.toolspec import Call, ToolSpec
from fireact.types import Message

_OPENING = re.compile(r"(?:\s*(?:<tool_call>|<function_call>|\[TOOL_CALLS\]|<\|python_tag\|>|```(?:json)?|\[))*\s*$")
"""What stands between a thought and the first call."""
_TAG = re.compile(r"<(?=/?tool)", re.IGNORECASE)
_BEGIN = "<tool_call>\n"
_OFFER = """You may call functions. They are described here, one a line:
<tools>
{functions}
</tools>
To call one, write its name and arguments as JSON, e.g.
{example}"""


def read_reply(text: str) -> tuple[str, tuple[Call, ...]]:
    """Return the words before the first call of a reply, and its calls; all words where there is none."""
    calls: list[Call] = []
    before: int | None = None
    at, decoder = 0, json.JSONDecoder()
    while (start := text.find("{", at)) >= 0:
        try:
            value, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        call = _call(value)
        if call is not None:
            before = start if before is None else before
            calls.append(call)
    if before is None:
        return text, ()
    return _OPENING.sub("", text[:before]).strip(), tuple(calls)


def _call(value: Any) -> Call | None:
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    given = value.get("arguments", value.get("parameters"))
    if isinstance(given, dict):
        given = json.dumps(given, ensure_ascii=False)
    # A lone half of a surrogate pair, which JSON can spell, is no text.
    return Call(*(text.encode("utf-8", "replace").decode() for text in (value["name"], given))) if isinstance(
        given, str) else None


def plain(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[Message]:
    """A conversation with functions as one of system, user and assistant alone, in as many turns of the model."""
    found = in_tags(messages, lambda message: False)
    offer = _OFFER.format(example=_written(tools[0].example_call()), functions="\n".join(
        json.dumps(spec.as_function()["function"], ensure_ascii=False) for spec in tools))
    first, *rest = found
    if first.role == "system":
        return [Message("system", f"{first.content}\n\n{offer}"), *rest]
    return [Message("system", offer), *found]


def in_tags(messages: Sequence[Message], native: Callable[[Message], bool]) -> list[Message]:
    """A conversation with its calls as words of the model, and their results as the user's; but for the `native` ones.

    What a tool returned loses its tags in any case: a web page cannot end its turn with them.
    """
    found: list[Message] = []
    kept = False
    for message in messages:
        if message.calls:
            kept = native(message)
        if message.role == "tool":
            answer = _TAG.sub("< ", message.content)
            message = Message("tool", answer) if kept else _response(answer, found)
        elif message.calls and not kept:
            words = [message.content] if message.content else []
            message = Message("assistant", "\n".join([*words, *map(_written, message.calls)]))
        found.append(message)
    return found


def _response(answer: str, before: list[Message]) -> Message:
    """A turn of the user with what was called returned; with the result in the turn before it, where one is there."""
    answer = f"<tool_response>\n{answer}\n</tool_response>"
    if before and before[-1].role == "user" and before[-1].content.endswith("</tool_response>"):
        answer = f"{before.pop().content}\n{answer}"
    return Message("user", answer)


def as_openai(messages: Sequence[Message], *, as_text: bool = False) -> list[dict[str, Any]]:
    """Messages as OpenAI's API has them, or as chat templates do, which take arguments as objects and not `as_text`.

    The ids of calls follow from their place in the conversation; Mistral's templates want nine letters.
    """
    found: list[dict[str, Any]] = []
    number, waiting = 0, []
    for message in messages:
        turn: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.calls:
            turn["content"] = message.content or (None if as_text else "")
            waiting = [f"call{number + at:05d}" for at in range(len(message.calls))]
            number += len(waiting)
            turn["tool_calls"] = [
                {"id": name, "type": "function", "function": {
                    "name": call.name, "arguments": call.arguments if as_text else json.loads(call.arguments)}}
                for name, call in zip(waiting, message.calls, strict=True)]
        elif message.role == "tool":
            turn["tool_call_id"] = waiting.pop(0) if waiting else f"call{number:05d}"
        found.append(turn)
    return found


def calls_begin(text: str) -> int | None:
    """Where the calls begin in an assistant's words that `plain` wrote; None where there are none."""
    at = 0 if text.startswith(_BEGIN) else text.find(f"\n{_BEGIN}") + 1
    return at if text.startswith(_BEGIN, at) else None


def _written(call: Call) -> str:
    given = json.dumps({"name": call.name, "arguments": json.loads(call.arguments or "{}")}, ensure_ascii=False)
    return f"{_BEGIN}{given}\n</tool_call>"
