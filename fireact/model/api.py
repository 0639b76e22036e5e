"""Any endpoint that speaks OpenAI's chat API: OpenAI itself, vLLM, Together, Ollama, ...

    python main.py model@teacher=api teacher.model=gpt-4.1            # key from OPENAI_API_KEY
    python main.py model@teacher=api teacher.base_url=http://127.0.0.1:8000/v1 teacher.model=my-model
"""

import os
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from fireact.errors import ConfigError, ContextError, ProviderError
from fireact.types import RUNTIME, Ask, Completion

if TYPE_CHECKING:
    from openai import AsyncOpenAI


@dataclass(kw_only=True)
class Api:
    """A chat endpoint."""

    model: str
    """The model's id at the endpoint, e.g. gpt-4.1."""
    base_url: str | None = None
    """None is OpenAI's own."""
    key_env: Annotated[str, RUNTIME] = "OPENAI_API_KEY"
    """The environment variable that holds the key; the key itself is never written anywhere."""
    temperature: float = 0.0
    max_tokens: int = 512
    """The longest reply."""
    price_in: Annotated[float | None, RUNTIME] = None
    """US dollars per million prompt tokens; None: unknown, and so is the cost."""
    price_out: Annotated[float | None, RUNTIME] = None
    """US dollars per million completion tokens."""
    timeout: Annotated[float, RUNTIME] = 120.0
    """Seconds a call may take."""
    retries: Annotated[int, RUNTIME] = 5
    """Repetitions after a passing fault (429, 5xx, a dropped connection), with back-off."""

    @property
    def name(self) -> str:
        """How reports call this model."""
        return self.model

    async def complete(self, ask: Ask) -> Completion:
        """See `types.Model`. Raises ConfigError for what no repetition can mend: the key, the model's id, the address."""
        import openai

        started = time.monotonic()
        try:
            reply = await self._client.chat.completions.create(**self._request(ask))
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise ConfigError(f"{self._place} refuses the key in ${self.key_env}: {_said(error)}") from None
        except openai.NotFoundError as error:
            raise ConfigError(f"{self._place} has no model {self.model!r}: {_said(error)}; set .model and .base_url") from None
        except openai.BadRequestError as error:
            kind = ContextError if "context" in str(error).lower() else ProviderError
            raise kind(f"{self._place} refuses the request: {_said(error)}") from None
        except openai.APIConnectionError as error:
            raise ProviderError(f"{self._place} cannot be reached: {error.__cause__ or error}") from None
        except openai.APIError as error:
            raise ProviderError(f"{self._place} failed: {_said(error)}") from None
        return self._completion(reply, time.monotonic() - started)

    def close(self) -> None:
        """Nothing is held: connections end with the process."""

    @cached_property
    def _client(self) -> "AsyncOpenAI":
        from openai import AsyncOpenAI

        key = os.environ.get(self.key_env)
        if not key and self.base_url is None:
            raise ConfigError(f"model {self.model} needs a key: set the environment variable {self.key_env}, "
                              "or base_url to an endpoint of your own")
        return AsyncOpenAI(api_key=key or "none", base_url=self.base_url, timeout=self.timeout, max_retries=self.retries)

    @property
    def _place(self) -> str:
        return self.base_url or "api.openai.com"

    def _request(self, ask: Ask) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in ask.messages],
            "temperature": self.temperature,
            "max_completion_tokens" if self.base_url is None else "max_tokens": ask.max_tokens or self.max_tokens,
        }
        if ask.stop:
            request["stop"] = list(ask.stop)
        if ask.episode and self.temperature > 0:
            request["seed"] = ask.episode.seed
        return request

    def _completion(self, reply: Any, seconds: float) -> Completion:
        if not reply.choices or reply.choices[0].message.content is None:
            raise ProviderError(f"{self._place} answered without a text")
        usage, choice = reply.usage, reply.choices[0]
        prompt, completion = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        details = usage.prompt_tokens_details if usage else None
        cached = (details.cached_tokens or 0) if details else 0
        cost = None
        if self.price_in is not None and self.price_out is not None:
            cost = (prompt * self.price_in + completion * self.price_out) / 1e6
        return Completion(choice.message.content, "length" if choice.finish_reason == "length" else "stop",
                          prompt, completion, cached, seconds, cost)


def _said(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return " ".join(str(body.get("message") or error.message).split())[:300]
