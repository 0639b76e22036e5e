"""From an Ask to the JSON that is sent, over either of OpenAI's two routes, and back from the text that came.

Endpoints differ in what they take. What is the same by another name, or can be done on our side, is adapted once an
endpoint has refused it (`adapted`); what would change a result is not, and its refusal is told.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fireact.strategy.grammar import OBSERVATION
from fireact.types import Ask, Message

Route = Literal["chat", "completions"]
PATHS: Mapping[Route, str] = {"chat": "chat/completions", "completions": "completions"}

_THINKING = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>\s*", re.DOTALL)
_LIMITS = ("max_completion_tokens", "max_tokens")
_REFUSED = re.compile(r"unsupported|not supported|unrecognized|unknown|not permitted|not allowed|extra", re.IGNORECASE)


@dataclass
class Dialect:
    """What an endpoint takes. It is found out while it is used."""

    route: Route
    stop: bool = True
    """Whether stop strings are sent; they are cut on our side in any case."""
    limit: str = "max_tokens"
    """What the longest reply is called."""
    _tried: set[str] = field(default_factory=set)

    def adapted(self, refusal: str, body: Mapping[str, Any]) -> bool:
        """Learn from a refused request; return whether it is worth sending again in the new form."""
        named = [name for name in ("stop", *_LIMITS) if re.search(rf"\b{name}\b", refusal)]
        if not named or not _REFUSED.search(refusal):
            return False
        if named[0] == "stop" and "stop" in body:
            self.stop = False
            return True
        other = next((name for name in _LIMITS if name not in body), None)
        if other is None or other in self._tried or not any(name in body for name in named):
            return False
        # Each name is tried once: an endpoint that takes neither is not asked for ever.
        self._tried |= {other, self.limit}
        self.limit = other
        return True


def body(ask: Ask, dialect: Dialect, options: Mapping[str, Any], longest: int) -> dict[str, Any]:
    """Return the request but for the model's name; `options` are those of the model, e.g. temperature."""
    told: dict[str, Any] = {dialect.limit: longest, **options}
    if ask.stop and dialect.stop:
        told["stop"] = list(ask.stop)
    if dialect.route == "completions":
        return {"prompt": plain(ask), **told}
    return {"messages": _messages(ask), **told}


def _messages(ask: Ask) -> list[dict[str, str]]:
    messages = [{"role": message.role, "content": message.content} for message in ask.messages]
    if len(ask.prime.split()) > 1:
        # Chat endpoints cannot be made to begin with given words, so the model is told of them; a mere label is not
        # worth it.
        messages[-1]["content"] += f"\n\nBegin your reply with: {ask.prime}"
    return messages


def plain(ask: Ask) -> str:
    """Write a conversation as one text that ends where the model goes on: with the reply's prime."""
    return "\n".join([*map(_line, ask.messages), ask.prime]) if ask.prime else "\n".join(
        [*map(_line, ask.messages), ""])


def _line(message: Message) -> str:
    asks = message.role == "user" and not message.content.startswith((OBSERVATION, "Question:"))
    return f"Question: {message.content}" if asks else message.content


def said(text: str, ask: Ask) -> str:
    """Return what of a reply counts: without its thinking aloud, cut at the first stop string."""
    text = _THINKING.sub("", text, count=1)
    ends = [at for at in (text.find(stop) for stop in ask.stop) if at >= 0]
    return text[: min(ends)] if ends else text


def most_tokens(told: Mapping[str, Any]) -> int:
    """Return a number of tokens that the prompt cannot exceed: a token is a byte at least, a turn brings a few more."""
    if "prompt" in told:
        return len(told["prompt"].encode("utf-8", "replace")) + 8
    return sum(len(turn["content"].encode("utf-8", "replace")) + 16 for turn in told["messages"]) + 16
