"""What an endpoint answered: a reply with its usage, or the failure that it stands for."""

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from fireact.errors import ContextError, FilterError
from fireact.toolspec import Call
from fireact.web import Passing

_FINISHES: dict[str, Literal["stop", "length"]] = {
    "stop": "stop", "eos": "stop", "eos_token": "stop", "end_turn": "stop", "stop_sequence": "stop", "length": "length",
    "max_tokens": "length", "tool_calls": "stop", "function_call": "stop"}
_FILTERED = ("content_filter", "safety", "refusal")
_BROKEN = ("error", "abort", "cancelled")
_THOUGHT = re.compile(r"^.*?</think(?:ing)?>\s*|^\s*<think(?:ing)?>.*", re.DOTALL)
"""What is thought aloud before the reply. Where a prompt ends in <think>, the reply has only the end of it; where the
reply was cut off, only the beginning."""


def _joined(content: Any) -> Any:
    """Some endpoints write a text as a list of parts."""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content


def _as_text(arguments: Any) -> Any:
    """Some endpoints give them as an object, or none."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments or {})


class _Function(BaseModel):
    name: str
    arguments: Annotated[str, BeforeValidator(_as_text)] = ""


class _Called(BaseModel):
    function: _Function


class _Message(BaseModel):
    tool_calls: list[_Called] | None = None
    function_call: _Function | None = None
    content: Annotated[str | None, BeforeValidator(_joined)] = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message | None = None
    text: str | None = None
    """Of the route /completions."""
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class Usage(BaseModel):
    """The tokens that a call took."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    prompt_tokens_details: _Details | None = None

    @property
    def cached(self) -> int:
        """Prompt tokens read from the provider's cache."""
        return (self.prompt_tokens_details or _Details()).cached_tokens or 0

    @property
    def written(self) -> int:
        """Prompt tokens written to it."""
        return (self.prompt_tokens_details or _Details()).cache_write_tokens or 0


def _usable(usage: Any, read: ValidatorFunctionWrapHandler) -> "Usage | None":
    """A usage that makes no sense is none: the text counts all the same."""
    try:
        return read(usage)
    except ValidationError:
        return None


class _Answer(BaseModel):
    """What is read of an answer. Endpoints differ in the rest."""

    choices: list[_Choice] = Field(min_length=1)
    usage: Annotated[Usage | None, WrapValidator(_usable)] = None


class NoReply(Exception):
    """An answer that is no completion at all; the text goes on from the name of who gave it."""


@dataclass(frozen=True)
class Reply:
    """An answer that is to be paid for."""

    text: str
    """Without what was thought before it."""
    finish: Literal["stop", "length"]
    usage: Usage | None
    unknown: str | None = None
    """A finish reason that is none we know; the text is used as it is."""
    failure: Exception | None = None
    """Why the text is none that can be used."""
    calls: tuple[Call, ...] = ()
    """The functions that are called."""


def parse(data: bytes, place: str) -> Reply:
    """Read an answer with status 200. Raises Passing for one that is cut off, NoReply for one that is no completion."""
    try:
        answer = _Answer.model_validate_json(_whole(data))
    except ValidationError as error:
        raise _unreadable(data, error) from None
    choice = answer.choices[0]
    if choice.message is None and choice.text is None:
        raise NoReply(f"answered without a text (choices.0 has neither message nor text), got {shown(data)}")
    message = choice.message or _Message(content=choice.text)
    reason = (choice.finish_reason or "stop").lower()
    text = message.content or ""
    if "<think" in text or "</think" in text:
        text = _THOUGHT.sub("", text, count=1)
    return Reply(text, _FINISHES.get(reason, "stop"), answer.usage,
                 None if reason in (*_FINISHES, *_FILTERED, *_BROKEN) else choice.finish_reason,
                 _failure(place, message, reason, text), _calls(message))


def _calls(message: _Message) -> tuple[Call, ...]:
    """The functions that a message calls, by the older form too."""
    called = [each.function for each in message.tool_calls or ()]
    if message.function_call:
        called.append(message.function_call)
    return tuple(Call(each.name, each.arguments) for each in called)


def _whole(data: bytes) -> bytes:
    """Without halves of surrogate pairs, which JSON may have and no text can."""
    if not re.search(rb"\\u[dD][89a-fA-F]", data):
        return data
    try:
        return json.dumps(json.loads(data), ensure_ascii=False).encode("utf-8", "replace")
    except ValueError:
        return data


def _failure(place: str, message: _Message, reason: str, text: str) -> Exception | None:
    if reason in _FILTERED or message.refusal:
        return FilterError(f"{place} cut the reply off by its content filter: {message.refusal or reason}")
    if reason in _BROKEN:
        return Passing(f"ended the reply with finish_reason={reason!r}")
    if not text and not _calls(message) and _FINISHES.get(reason) == "length":
        thought = message.content or message.reasoning_content or message.reasoning
        why = "on thinking" if thought else "without a word that is shown"
        # It would be so again: a reply that does not fit, which counts, and is not paid for a second time.
        return ContextError(f"{place} spent the whole reply {why}; raise the model's option max_tokens, or lower "
                            "reasoning_effort")
    return None


def _unreadable(data: bytes, error: ValidationError) -> Exception:
    first = error.errors()[0]
    if first["type"] == "json_invalid" and data.lstrip()[:1] in (b"{", b"["):
        return Passing(f"answered with JSON that breaks off, got {shown(data)}")
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    return NoReply(f"answered without a text ({where}: {first['msg']}), got {shown(data)}")


def shown(data: bytes, most: int = 100) -> str:
    """The beginning of an answer, on one line."""
    return repr(" ".join(data[:2000].decode(errors="replace").split())[:most])


class Kind(Enum):
    """What an error body says that its status does not."""

    CONTEXT = ("context_length", "context length", "context window", "maximum context", "too many tokens",
               "prompt is too long", "longer than the maximum", "exceeds the available context", "max_model_len",
               "input is too long", "reduce the length")
    FILTER = ("content_filter", "content filter", "content management policy", "content_policy", "safety system",
              "moderation", "flagged")
    # A mere rate limit may tell of billing too: "add a payment method at .../account/billing".
    QUOTA = ("insufficient_quota", "billing_hard_limit", "billing_not_active", "credit balance",
             "insufficient credits", "insufficient balance", "payment required")
    NO_MODEL = ("model_not_found", "model not found", "does not exist", "model not exist", "no such model",
                "unknown model", "invalid model", "invalid_model", "not a valid model", "server is pinned to")

    @classmethod
    def of(cls, body: Any, text: str) -> "Kind | None":
        """Find it in an error's code, type, or `text`."""
        error = body.get("error", body) if isinstance(body, dict) else {}
        codes = f"{error.get('code')} {error.get('type')}" if isinstance(error, dict) else ""
        told = f"{codes} {text}".lower()
        return next((kind for kind in cls if any(word in told for word in kind.value)), None)


def message(body: Any) -> str:
    """What an error body says: {"error": {"message": ...}}, {"error": "..."}, {"message": ...} or {"detail": ...}."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return ""
    error = body.get("error", body)
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error.get("info")
    return " ".join(error.split()) if isinstance(error, str) else ""
