"""Send one request and wait for its answer: aiohttp, and what each way to fail means.

The client is aiohttp itself, not the openai package's: a call of that one takes three times the processor time of the
whole of this, and with 64 calls under way the processor is what limits them.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from fireact.errors import ConfigError, ContextError, FilterError, FireActError
from fireact.model.api.reply import Kind, message
from fireact.pacing import Outcome
from fireact.web import AGENT, Passing, hidden, retry_after

if TYPE_CHECKING:
    from aiohttp import ClientSession

_PERIODS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PERIOD = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_BUSY = (408, 409, 425, 429, 503, 529)
_GONE = (502, 504, 520, 521, 522, 523, 524)


@dataclass(frozen=True)
class Answer:
    """A good one: status 200."""

    data: bytes
    rest: float
    """Seconds for which the endpoint will take nothing more, by its x-ratelimit headers; 0 where it will."""


class Refused(FireActError):
    """The endpoint refused a request for what is in it (400, 422). Not told as it is where it can be adapted."""


@dataclass
class Transport:
    """The connections to all addresses of a model. For one event loop."""

    key: str
    key_name: str
    """Where the key came from, for sentences."""
    headers: Mapping[str, str]
    query: Mapping[str, str]
    timeout: float
    _session: ClientSession | None = field(init=False, default=None)

    async def post(self, base_url: str, path: str, body: Mapping[str, Any]) -> Answer:
        """Ask once.

        Raises Passing for what may be gone the next time; ConfigError for key or quota; Refused, ContextError and
        FilterError for what is wrong with this request alone; LookupError where there is no such model or path.
        """
        import aiohttp

        try:
            async with self._open().post(f"{base_url.rstrip('/')}/{path}", json=body) as response:
                data = await response.read()
        except asyncio.TimeoutError:
            raise Passing(f"did not answer within {self.timeout:g} seconds; raise the model's option timeout",
                          outcome=Outcome.OVERLOADED) from None
        except (aiohttp.ClientConnectorError, aiohttp.ClientProxyConnectionError) as error:
            raise Passing(f"cannot be reached: {self._safe(_cause(error))}", outcome=Outcome.DOWN,
                          refused=True) from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise ConfigError(f"base_url={base_url} is no address ({error}); write e.g. http://127.0.0.1:8000/v1"
                              ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Passing(f"broke the connection off: {self._safe(_cause(error))}") from None
        status = response.status if response.status != 200 else _hidden_status(data)
        if status == 200:
            return Answer(data, _rest(response.headers))
        raise self._failure(base_url, status, response.headers, data)

    async def models(self, base_url: str) -> list[str]:
        """The ids of the models that an endpoint has; none where it does not tell."""
        import aiohttp

        try:
            async with self._open().get(f"{base_url.rstrip('/')}/models") as response:
                listed = json.loads(await response.read()).get("data", [])
            return sorted(str(model["id"]) for model in listed)
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError, AttributeError, TypeError, KeyError):
            return []

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> ClientSession:
        if self._session is None:
            import aiohttp

            headers = {"User-Agent": AGENT.replace("httpx2", "aiohttp"), **self.headers}
            if self.key and not any(name.lower() == "authorization" for name in self.headers):
                headers["Authorization"] = f"Bearer {self.key}"
            # How many there are at once is the pacer's to say. The environment's proxies are looked up for every
            # request, in a thread, which is dear where there is none.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60), headers=headers,
                trust_env=bool(getproxies()), timeout=aiohttp.ClientTimeout(self.timeout))
        return self._session

    def _failure(self, place: str, status: int, headers: Mapping[str, str], data: bytes) -> Exception:
        text = " ".join(data[:2000].decode(errors="replace").split())
        body = _json(data)
        told = self._safe(message(body) or text)[:300] or f"status {status}"
        kind = Kind.of(body, text)
        if status in (401, 403):
            return ConfigError(f"{place} refuses the key in ${self.key_name}: {told}")
        if status == 402 or (status == 429 and kind is Kind.QUOTA):
            return ConfigError(f"{place} wants to be paid first: {told}; what was played is kept, go on with the same "
                               "command once the account is settled")
        if status == 404 or (status == 400 and kind is Kind.NO_MODEL):
            return LookupError(told)
        if status in _BUSY:
            return Passing(f"is overloaded (status {status}): {told}", _wait(headers), Outcome.OVERLOADED, refused=True)
        if status in _GONE:
            return Passing(f"cannot be reached (status {status}): {told}", _wait(headers), Outcome.DOWN, refused=True)
        if status >= 500:
            return Passing(f"failed: {told}", _wait(headers), refused=True)
        if status == 413 or kind is Kind.CONTEXT:
            return ContextError(f"{place} refuses the request: {told}")
        if kind is Kind.FILTER:
            return FilterError(f"{place} refuses the request by its content filter: {told}")
        if status < 400:
            return ConfigError(f"{place} answered with status {status}; check base_url")
        return Refused(f"{place} refuses the request: {told}")

    def _safe(self, text: str) -> str:
        """The text on one line and without the key, which some endpoints repeat."""
        return hidden(" ".join(text.split()), self.key)


def _hidden_status(data: bytes) -> int:
    """Some endpoints (OpenRouter) answer with status 200 and {"error": {"code": 429, ...}}."""
    if b'"choices"' in data:
        return 200
    body = _json(data)
    error = body.get("error") if isinstance(body, dict) else None
    if not error:
        return 200
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def _cause(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds after which a refused request may come back."""
    milliseconds = headers.get("retry-after-ms")
    if milliseconds and milliseconds.isdigit():
        return int(milliseconds) / 1000
    told = retry_after(headers.get("Retry-After"))
    return told if told is not None else _rest(headers) or None


def _rest(headers: Mapping[str, str]) -> float:
    """Seconds until a limit that is used up begins anew, by OpenAI's headers: 'x-ratelimit-reset-tokens: 6m0s'."""
    longest = 0.0
    for unit in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{unit}", "").strip() == "0":
            reset = headers.get(f"x-ratelimit-reset-{unit}", "")
            seconds = sum(float(number) * _PERIODS[period] for number, period in _PERIOD.findall(reset))
            longest = max(longest, seconds or (float(reset) if reset.replace(".", "", 1).isdigit() else 0.0))
    return longest
