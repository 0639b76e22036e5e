"""From an Ask to the JSON that is sent, over either of OpenAI's two routes, and back from the text that came.

Endpoints differ in what they take. What is the same by another name, or can be done on our side, is adapted once an
endpoint has refused it (`adapted`); what would change a result is not, and its refusal is told.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fireact.errors import ConfigError
from fireact.requests import Ask
from fireact.strategy.grammar import OBSERVATION
from fireact.strategy.tagged import as_openai
from fireact.types import Message

Route = Literal["chat", "completions"]
PATHS: Mapping[Route, str] = {"chat": "chat/completions", "completions": "completions"}

_LIMITS = ("max_completion_tokens", "max_tokens")
_SPARED = ("stop", "seed")
"""What need not be sent: stop strings are cut on our side in any case, and a seed is no more than a wish."""
_OF_TOOLS = re.compile(r"\btools?\b|\btool[_-]|\bfunctions\b|\bfunction[ _-]?call", re.IGNORECASE)
_EXPLAINED = 1024
"""Tokens in which an endpoint may explain how functions are called."""
_REFUSED = re.compile(r"unsupported|not supported|unrecognized|unexpected|unknown|not permitted|not allowed|extra",
                      re.IGNORECASE)


@dataclass
class Dialect:
    """What an endpoint takes. It is found out while it is used."""

    route: Route
    limit: str = "max_tokens"
    """What the longest reply is called."""
    spared: set[str] = field(default_factory=set)
    """What is not sent."""
    _tried: set[str] = field(default_factory=set)

    def adapted(self, refusal: str, body: Mapping[str, Any]) -> bool:
        """Learn from a refused request; return whether it is worth sending again in the new form."""
        named = {name for name in (*_SPARED, *_LIMITS) if name in body and re.search(rf"\b{name}\b", refusal)}
        if not named or not _REFUSED.search(refusal):
            return False
        if spared := named.intersection(_SPARED):
            self.spared |= spared
            return True
        if self.limit not in body:
            return True  # Another request has taught it since this one was sent.
        # Each name is tried once: an endpoint that takes neither is not asked for ever.
        self._tried.add(self.limit)
        other = next((name for name in _LIMITS if name not in self._tried), None)
        self.limit = other or self.limit
        return other is not None


def body(ask: Ask, dialect: Dialect, options: Mapping[str, Any], longest: int, seeded: bool) -> dict[str, Any]:
    """Return the request; `options` are those of the model, its id among them."""
    told: dict[str, Any] = {**options, dialect.limit: longest}
    if ask.temperature is not None:
        told["temperature"] = ask.temperature
    if ask.stop:
        told["stop"] = list(ask.stop)
    if ask.episode and (seeded or ask.temperature):
        told["seed"] = ask.episode.seed
    for name in dialect.spared:
        told.pop(name, None)
    if dialect.route == "completions":
        if ask.tools:
            raise ConfigError("the route completions knows no functions; set the model's option route=chat, or "
                              "strategy.wire=text")
        return {**told, "prompt": plain(ask)}
    if ask.tools:
        told["tools"] = [spec.as_function() for spec in ask.tools]
    return {**told, "messages": _messages(ask)}


def mend(refusal: str, options: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """How to make a request without what its endpoint has refused; '' where that is none of the model's options."""
    if "tools" in told and _OF_TOOLS.search(refusal):
        return "; set strategy.wire=text"
    named = next((name for name in options if re.search(rf"\b{name}\b", refusal)), None)
    if named is None or not _REFUSED.search(refusal):
        return ""
    own = named in ("temperature", "reasoning_effort")
    return f"; set the model's option {named} to null" if own else f"; take {named} out of the model's options"


def _messages(ask: Ask) -> list[dict[str, Any]]:
    messages = as_openai(ask.messages, as_text=True)
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
    """Return what of a reply counts: up to the first stop string."""
    ends = [at for at in (text.find(stop) for stop in ask.stop) if at >= 0]
    return text[: min(ends)] if ends else text


def most_tokens(told: Mapping[str, Any]) -> int:
    """Return a number of tokens that the prompt cannot exceed: a token is a byte at least, a turn brings a few more."""
    if "prompt" in told:
        return len(told["prompt"].encode("utf-8", "replace")) + 8
    called = [call for turn in told["messages"] for call in turn.get("tool_calls", ())]
    offered = len(json.dumps(told["tools"], indent=4)) + _EXPLAINED if "tools" in told else 0
    return (sum(len((turn["content"] or "").encode("utf-8", "replace")) + 16 for turn in told["messages"]) + 16
            + offered + (len(json.dumps(called)) if called else 0))
