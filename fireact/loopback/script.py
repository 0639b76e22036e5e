"""A reply that plays ReAct: it searches a few times, and then finishes with the question's own last word.

So the right answer follows from the question alone, and an answer that went to another question shows.
"""

from dataclasses import dataclass
from typing import Any

from fireact.strategy.calling import to_calls
from fireact.toolspec import ToolSpec

_THINKING = "<think>\nThe question asks for its own last word.\n</think>\n\n"


@dataclass(frozen=True)
class Prompt:
    """What a request asks."""

    question: str
    turns: int
    """Turns of the model since the question."""
    texts: list[str]
    """All messages, or the one text."""


def read_chat(body: dict[str, Any]) -> Prompt | None:
    """The prompt of a request to /v1/chat/completions; None where its messages make no sense.

    The question is the last message of the user that is no observation.
    """
    messages = body.get("messages")
    if not (isinstance(messages, list) and messages and all(isinstance(message, dict) for message in messages)):
        return None
    texts = [_text(message.get("content")) for message in messages]
    turns = 0
    for message, text in zip(reversed(messages), reversed(texts), strict=True):
        role = message.get("role")
        if role == "user" and not text.startswith("Observation:"):
            return Prompt(text, turns, texts)
        turns += role == "assistant"
    return Prompt("", turns, texts)


def read_completion(body: dict[str, Any]) -> Prompt | None:
    """The prompt of a request to /v1/completions; None where it is no text.

    The question is on the last line that begins with "Question: "; without one it is the last line.
    """
    text = body.get("prompt")
    if not isinstance(text, str):
        return None
    _, mark, rest = f"\n{text}".rpartition("\nQuestion: ")
    question, _, played = rest.partition("\n") if mark else (text.rstrip().rpartition("\n")[2], "", "")
    return Prompt(question, f"\n{played}".count("\nAction:"), [text])


def reply(prompt: Prompt, rounds: int, thinks: bool = False, stop: Any = None) -> str:
    """What is said to a prompt, in the last of so many rounds the answer; cut off before the first stop sequence."""
    word = (prompt.question.split() or ["nothing"])[-1].rstrip("?.!")
    step = prompt.turns + 1
    if step < rounds:
        text = f"Thought: I need to look up step {step}.\nAction: search[{word} {step}]"
    else:
        text = f"Thought: I know it.\nAction: finish[{word}]"
    if thinks:
        text = _THINKING + text
    for end in stop if isinstance(stop, list) else [stop]:
        if isinstance(end, str) and end:
            text = text.partition(end)[0]
    return text


def called(text: str, tools: Any) -> dict[str, Any]:
    """What is said as the content of a message, and as calls where the request offers functions that it is about."""
    listed = tools if isinstance(tools, list) else []
    functions = [tool.get("function", {}) for tool in listed if isinstance(tool, dict)]
    offered = [ToolSpec(str(each.get("name")), str(each.get("description", "")), each.get("parameters") or {})
               for each in functions]
    thought, calls = to_calls(text, offered) if offered else (text, ())
    if not calls:
        return {"content": text}
    return {"content": thought or None, "tool_calls": [
        {"id": f"call_{number}", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for number, call in enumerate(calls)]}


def _text(content: Any) -> str:
    """The text of a message, which may be given in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
