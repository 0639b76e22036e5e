"""Any endpoint that speaks OpenAI's chat API: OpenAI itself, vLLM, Together, Ollama, ...

    python main.py model@teacher=api teacher.model=gpt-4.1            # key from OPENAI_API_KEY
    python main.py model@teacher=api teacher.base_url=http://127.0.0.1:8000/v1 teacher.model=my-model
"""

import os
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, Field, ValidationError

from fireact import prices
from fireact.errors import ConfigError, ContextError, ProviderError
from fireact.types import REPLY, RUNTIME, Ask, Completion, Count, NotNegative, Positive
from fireact.web import KeyVariable, hidden, is_address

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_OPENAI = "https://api.openai.com/v1"


class _Message(BaseModel):
    content: str


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Tuned(BaseModel):
    """What is read of the file in which train=hosted leaves its model's id."""

    model: str


class _Reply(BaseModel):
    """What is read of an answer. Endpoints differ in the rest, and the openai package checks nothing."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


@dataclass(kw_only=True)
class Api:
    """A chat endpoint."""

    trained_by: ClassVar[str] = "hosted"
    """How it can be fine-tuned."""

    model: str
    """The model's id at the endpoint, e.g. gpt-4.1."""
    adapter: Path | None = None
    """The folder of a model that train=hosted fine-tuned: the id in its model.json is asked in place of `model`."""
    base_url: str | None = None
    """None is OpenAI's own."""
    key_env: Annotated[KeyVariable | None, RUNTIME] = None
    """The environment variable that holds the key, which itself is never written anywhere. None: OPENAI_API_KEY for
    OpenAI's own endpoint, and no key for any other, so that none is sent where it does not belong."""
    temperature: Annotated[NotNegative | None, REPLY] = 0.0
    """None: not sent, for models that refuse it."""
    reasoning_effort: Annotated[str | None, REPLY] = None
    """How long a model that thinks first may think, e.g. none, low; None: not sent."""
    max_tokens: Annotated[Count, REPLY] = 512
    """The longest reply."""
    price_in: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars per million prompt tokens; None: the price that fireact/prices.py finds for the model at the endpoint.
    Where it finds none, the cost is unknown."""
    price_out: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars per million completion tokens; None as for `price_in`."""
    price_cached: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars per million prompt tokens that were read from the endpoint's cache; None: `price_in`, or what is found
    where that is None too."""
    tuned_price_in: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars per million prompt tokens of a fine-tuned model, which has a price of its own."""
    tuned_price_out: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars per million completion tokens of a fine-tuned model."""
    timeout: Annotated[Positive, RUNTIME] = 120.0
    """Seconds a call may take."""
    retries: Annotated[int, Field(ge=0), RUNTIME] = 5
    """Repetitions after a passing fault (429, 5xx, a dropped connection), with back-off."""

    @property
    def name(self) -> str:
        """How reports call this model: by the id that is asked, which for a fine-tuned one is its own."""
        return self._asked

    async def complete(self, ask: Ask) -> Completion:
        """See `protocols.Model`. Raises ConfigError for what no repetition can mend: key, model's id, address."""
        import openai

        started = time.monotonic()
        try:
            answer = await self._client.chat.completions.with_raw_response.create(**self._request(ask))
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            place = f"{self._place} refuses the key in ${self._variable or 'key_env'}"
            raise ConfigError(f"{place}: {self._said(error)}") from None
        except openai.NotFoundError as error:
            raise ConfigError(f"{self._place} has no model {self._asked!r}: {self._said(error)}; "
                              "set the model's options model and base_url") from None
        except openai.BadRequestError as error:
            kind = ContextError if "context" in str(error).lower() else ProviderError
            raise kind(f"{self._place} refuses the request: {self._said(error)}") from None
        except openai.APITimeoutError:
            raise ProviderError(f"{self._place} did not answer within {self.timeout:g} seconds; "
                                "raise the model's option timeout") from None
        except openai.APIConnectionError as error:
            cause = self._hidden(str(error.__cause__ or error))
            raise ProviderError(f"{self._place} cannot be reached: {cause}") from None
        except openai.APIError as error:
            raise ProviderError(f"{self._place} failed: {self._said(error)}") from None
        return self._completion(answer.http_response.content, time.monotonic() - started)

    def close(self) -> None:
        """Nothing is held: connections end with the process."""

    def account(self) -> tuple[str, str]:
        """Return the endpoint's address and the key for it, both checked as far as can be. Raises ConfigError."""
        if not self._key and self._variable:
            raise ConfigError(f"model {self.model} needs a key: set the environment variable {self._variable}, "
                              "or base_url to an endpoint of your own")
        if not (self._key.isascii() and self._key.isprintable()):
            raise ConfigError(f"the key in ${self._variable} holds a line break or a letter that no key has; "
                              "set it anew")
        if not is_address(self._place):
            raise ConfigError(f"base_url={self.base_url} is no address; write e.g. http://127.0.0.1:8000/v1")
        return self._place, self._key or "none"

    @cached_property
    def _client(self) -> "AsyncOpenAI":
        from openai import AsyncOpenAI

        place, key = self.account()
        if self._price() is None:
            note = prices.unknown(self._asked, self.base_url, tuned=self.adapter is not None)
            print(f"  {note}", file=sys.stderr, flush=True)
        return AsyncOpenAI(api_key=key, base_url=place, timeout=self.timeout, max_retries=self.retries)

    @cached_property
    def _asked(self) -> str:
        """The id of the model that replies."""
        if self.adapter is None:
            return self.model
        path = self.adapter / "model.json"
        try:
            return _Tuned.model_validate_json(path.read_bytes()).model
        except (OSError, ValidationError):
            raise ConfigError(f"{path} is no file with the id of a fine-tuned model; set inputs.adapter to the folder "
                              "that train=hosted wrote") from None

    def _price(self) -> prices.Price | None:
        """What a call costs now: some prices change with the hour."""
        given = ((self.price_in, self.price_out, self.price_cached) if self.adapter is None else
                 (self.tuned_price_in, self.tuned_price_out, None))
        listed = prices.lookup(self._asked, self.base_url) if None in given[:2] else None
        return prices.set_by_hand(listed, *given)

    @property
    def _key(self) -> str:
        return os.environ.get(self._variable or "", "").strip()

    @property
    def _variable(self) -> str | None:
        return self.key_env or ("OPENAI_API_KEY" if self.base_url is None else None)

    @property
    def _place(self) -> str:
        # Given to the client always: it would else take OPENAI_BASE_URL, which no store key knows.
        return _OPENAI if self.base_url is None else self.base_url

    def _request(self, ask: Ask) -> dict[str, Any]:
        messages = [{"role": message.role, "content": message.content} for message in ask.messages]
        if len(ask.prime.split()) > 1:
            # Chat endpoints cannot be made to begin with given words, so the model is told of them; a mere label is not
            # worth it.
            messages[-1]["content"] += f"\n\nBegin your reply with: {ask.prime}"
        request: dict[str, Any] = {
            "model": self._asked,
            "messages": messages,
            "max_completion_tokens" if self.base_url is None else "max_tokens": ask.max_tokens or self.max_tokens,
        }
        if self.temperature is not None:
            request["temperature"] = self.temperature
        if self.reasoning_effort is not None:
            request["reasoning_effort"] = self.reasoning_effort
        if ask.stop:
            request["stop"] = list(ask.stop)
        if ask.episode and self.temperature != 0:
            request["seed"] = ask.episode.seed
        return request

    def _completion(self, answer: bytes, seconds: float) -> Completion:
        try:
            reply = _Reply.model_validate_json(answer)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the whole"
            met = self._hidden(answer[:1000].decode(errors="replace"))[:100]
            raise ProviderError(f"{self._place} answered without a text ({where}: {error.errors()[0]['msg']}), "
                                f"got {met!r}; check that base_url is a chat API") from None
        usage, choice = reply.usage or _Usage(), reply.choices[0]
        details = usage.prompt_tokens_details or _Details()
        cached, written = details.cached_tokens or 0, details.cache_write_tokens or 0
        cost = None
        if reply.usage:
            cost = prices.cost(self._price(), usage.prompt_tokens, usage.completion_tokens, cached, written)
        return Completion(choice.message.content, "length" if choice.finish_reason == "length" else "stop",
                          usage.prompt_tokens, usage.completion_tokens, cached, seconds, cost)

    def _said(self, error: Any) -> str:
        body = error.body if isinstance(error.body, dict) else {}
        return self._hidden(str(body.get("message") or error.message))[:300]

    def _hidden(self, text: str) -> str:
        """The text on one line and without the key, which some endpoints repeat."""
        return hidden(" ".join(text.split()), self._key)
