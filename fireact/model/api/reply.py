"""What an endpoint answered: a reply with its usage, or the failure that it stands for."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from fireact.errors import FilterError, ProviderError
from fireact.web import Passing

_FINISHES: dict[str, Literal["stop", "length"]] = {
    "stop": "stop", "eos": "stop", "eos_token": "stop", "end_turn": "stop", "stop_sequence": "stop", "length": "length",
    "max_tokens": "length", "tool_calls": "stop", "function_call": "stop"}
_FILTERED = ("content_filter", "safety", "refusal")
_BROKEN = ("error", "abort", "cancelled")


class _Message(BaseModel):
    content: str | None = None
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


class _Answer(BaseModel):
    """What is read of an answer. Endpoints differ in the rest."""

    choices: list[_Choice] = Field(min_length=1)
    usage: Usage | None = None


@dataclass(frozen=True)
class Reply:
    """A usable answer."""

    text: str
    finish: Literal["stop", "length"]
    usage: Usage | None
    unknown: str | None = None
    """A finish reason that is none we know; the text is used as it is."""


def parse(data: bytes, place: str) -> Reply:
    """Read an answer with status 200.

    Raises Passing for one that is broken, ProviderError for one that is no completion or was all spent on thinking,
    and FilterError.
    """
    try:
        answer = _Answer.model_validate_json(data)
    except ValidationError as error:
        raise _unreadable(data, place, error) from None
    choice = answer.choices[0]
    message = choice.message or _Message(content=choice.text)
    reason = (choice.finish_reason or "stop").lower()
    if reason in _FILTERED or message.refusal:
        raise FilterError(f"{place} cut the reply off by its content filter: {message.refusal or reason}")
    if reason in _BROKEN:
        raise Passing(f"ended the reply with finish_reason={choice.finish_reason!r}")
    if choice.message is None and choice.text is None:
        raise ProviderError(f"{place} answered without a text (choices.0 has neither message nor text), got "
                            f"{_shown(data)}; check that base_url is a chat API")
    thought = message.reasoning_content or message.reasoning
    if not message.content and _FINISHES.get(reason) == "length":
        why = "on thinking" if thought else "without a word that is shown"
        raise ProviderError(f"{place} spent the whole reply {why}; raise the model's option max_tokens, or lower "
                            "reasoning_effort")
    unknown = None if reason in _FINISHES else choice.finish_reason
    return Reply(message.content or "", _FINISHES.get(reason, "stop"), answer.usage, unknown)


def _unreadable(data: bytes, place: str, error: ValidationError) -> Exception:
    first = error.errors()[0]
    if first["type"] == "json_invalid" and data.lstrip()[:1] in (b"{", b"["):
        return Passing(f"answered with JSON that breaks off, got {_shown(data)}")
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    return ProviderError(f"{place} answered without a text ({where}: {first['msg']}), got {_shown(data)}; "
                         "check that base_url is a chat API")


def _shown(data: bytes) -> str:
    return repr(" ".join(data[:1000].decode(errors="replace").split())[:100])


class Kind(Enum):
    """What an error body says that its status does not."""

    CONTEXT = ("context_length", "context length", "context window", "maximum context", "too many tokens",
               "prompt is too long", "longer than the maximum", "exceeds the available context", "max_model_len",
               "input is too long", "reduce the length")
    FILTER = ("content_filter", "content filter", "content management policy", "content_policy", "safety system")
    QUOTA = ("insufficient_quota", "exceeded your current quota", "billing", "credit balance", "insufficient credits",
             "payment required")
    NO_MODEL = ("model_not_found", "does not exist", "not found", "no such model", "unknown model", "invalid model")

    @classmethod
    def of(cls, body: Any, text: str) -> "Kind | None":
        """Find it in an error's code or message."""
        error = body.get("error", body) if isinstance(body, dict) else {}
        code = str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""
        told = f"{code} {message(body) or text}".lower()
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
