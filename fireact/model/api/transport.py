"""Send one request and wait for its answer: aiohttp, and what each way to fail means.

The client is aiohttp itself, not the openai package's: a call of that one takes three times the processor time of the
whole of this, and with 64 calls under way the processor is what limits them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from fireact.errors import ConfigError, ContextError, FilterError, FireActError
from fireact.keys import SECRET
from fireact.model.api.reply import Kind, message, shown
from fireact.pacing import Outcome
from fireact.web import AGENT, Passing, retry_after

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from yarl import URL

_CONNECT = 10.0
"""Seconds after which an address to which no connection comes about is taken for one where nobody is."""
_PERIODS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PERIOD = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_BUSY = (408, 409, 425, 429, 503, 529)
_LATE = (504, 524)
"""A gateway waited in vain: the request may have been done."""
_GONE = (502, 520, 521, 522, 523)
_NOWHERE = (404, 405, 501)


@dataclass(frozen=True)
class Answer:
    """A good one: status 200."""

    data: bytes
    """Without the keys, which some endpoints repeat."""
    rest: float
    """Seconds for which the endpoint will take nothing more, by its x-ratelimit headers; 0 where it will."""


class Refused(FireActError):
    """The endpoint refused a request for what is in it (400, 422). Not told as it is where it can be adapted."""


class Missing(Exception):
    """There is no such model at the endpoint, or nothing at the path."""


@dataclass
class Transport:
    """The connections to all addresses of a model. For one event loop."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    secrets: Mapping[str, str]
    """By the environment variables that they come from: what no sentence and no record may tell."""
    timeout: float
    _session: ClientSession | None = field(init=False, default=None)
    _targets: dict[tuple[str, str], tuple[URL, str | None]] = field(init=False, default_factory=dict)

    async def post(self, base_url: str, path: str, body: Mapping[str, Any]) -> Answer:
        """Ask once.

        Raises Passing for what may be gone the next time; ConfigError for key, quota or address; Refused, ContextError
        and FilterError for what is wrong with this request alone; Missing.
        """
        import aiohttp

        url, proxy = self._target(base_url, path)
        try:
            async with self._open().post(url, json=body, proxy=proxy, allow_redirects=False) as response:
                data = await response.read()
        except aiohttp.ConnectionTimeoutError:
            raise Passing(f"cannot be reached: no connection within {_CONNECT:g} seconds", outcome=Outcome.DOWN,
                          refused=True) from None
        except asyncio.TimeoutError:
            raise Passing(f"did not answer within {self.timeout:g} seconds; raise the model's option timeout",
                          outcome=Outcome.OVERLOADED) from None
        except (aiohttp.ClientConnectorError, aiohttp.ClientProxyConnectionError) as error:
            raise Passing(f"cannot be reached: {_reason(error.os_error)}", outcome=Outcome.DOWN, refused=True) from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise ConfigError(f"base_url={base_url} is no address ({error}); write e.g. http://127.0.0.1:8000/v1"
                              ) from None
        except aiohttp.ClientResponseError as error:
            raise Passing(f"answered with what is no HTTP: {' '.join(error.message.split())}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Passing(f"broke the connection off: {' '.join(str(error).split()) or type(error).__name__}") from None
        data = self._untold(data)
        status = response.status if response.status >= 300 else _hidden_status(data)
        if status < 300:
            return Answer(data, _rest(response.headers))
        raise self._failure(base_url, status, response.headers, data)

    async def models(self, base_url: str) -> list[str]:
        """The ids of the models that an endpoint has; none where it does not tell."""
        import aiohttp

        url, proxy = self._target(base_url, "models")
        try:
            async with self._open().get(url, proxy=proxy, allow_redirects=False) as response:
                listed = json.loads(self._untold(await response.read())).get("data", [])
            return sorted(str(model["id"]) for model in listed)
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError, AttributeError, TypeError, KeyError):
            return []

    async def close(self) -> None:
        """Let go of the connections. The next request makes new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> ClientSession:
        if self._session is None:
            import aiohttp

            # How many there are at once is the pacer's to say.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                headers={"User-Agent": AGENT.replace("httpx2", "aiohttp"), **self.headers},
                timeout=aiohttp.ClientTimeout(self.timeout, sock_connect=_CONNECT))
        return self._session

    def _target(self, base_url: str, path: str) -> tuple[URL, str | None]:
        """The whole address, and the environment's proxy for it.

        aiohttp itself would look for the proxy anew for each request, and send a password that it finds in ~/.netrc.
        """
        if (base_url, path) not in self._targets:
            from yarl import URL

            parts = urlsplit(base_url)
            proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
            self._targets[base_url, path] = URL(f"{base_url.rstrip('/')}/{path}").extend_query(self.query), proxy
        return self._targets[base_url, path]

    def _failure(self, place: str, status: int, headers: Mapping[str, str], data: bytes) -> Exception:
        body = _json(data)
        text = message(body) or (shown(data, 300) if data.strip() else f"status {status}")
        kind, told = Kind.of(body, text), text[:300]
        if status == 402 or (kind is Kind.QUOTA and status in (400, 403, 429)):
            return ConfigError(f"{place} wants to be paid first: {told}; what was played is kept, go on with the same "
                               "command once the account is settled")
        if status in (401, 403) and kind is not Kind.FILTER:
            return ConfigError(self._no_entry(place, told))
        if status in _NOWHERE and data.lstrip()[:1] == b"<":
            return ConfigError(f"{place} answered with a web page (status {status}); check that base_url is the "
                               "address of a chat API, which mostly ends in /v1")
        if status in _NOWHERE or (status == 400 and kind is Kind.NO_MODEL):
            return Missing(told)
        if status in _BUSY:
            return Passing(f"is overloaded (status {status}): {told}", _wait(headers), Outcome.OVERLOADED, refused=True)
        if status in _LATE:
            return Passing(f"did not answer in time (status {status}): {told}", None, Outcome.OVERLOADED)
        if status in _GONE:
            return Passing(f"cannot be reached (status {status}): {told}", None, Outcome.DOWN, refused=True)
        if status == 413 or kind is Kind.CONTEXT:
            return ContextError(f"{place} refuses the request: {told}")
        if status >= 500:
            return Passing(f"failed: {told}", _wait(headers), refused=True)
        if kind is Kind.FILTER:
            return FilterError(f"{place} refuses the request by its content filter: {told}")
        if status < 400:
            to = self._untold(headers.get("Location", "").encode()).decode(errors="replace")
            return ConfigError(f"base_url={place} leads on to {to or 'elsewhere'} (status {status}); set base_url to "
                               "the address of the API itself")
        return Refused(f"{place} refuses the request: {told}")

    def _no_entry(self, place: str, told: str) -> str:
        if self.secrets:
            names = " and ".join(f"${name}" for name in self.secrets)
            return f"{place} refuses the key in {names}: {told}; set it to one of this endpoint's"
        return f"{place} wants a key: {told}; set the model's option key_env to the name of the variable that holds it"

    def _untold(self, data: bytes) -> bytes:
        return self._telling.sub(b"***", data) if self._telling else data

    @cached_property
    def _telling(self) -> re.Pattern[bytes] | None:
        """What tells a secret: each word of it, for 'Bearer KEY' is told as 'KEY'."""
        words = {word for secret in self.secrets.values() for word in secret.split() if len(word) >= SECRET}
        forms = {form.encode() for word in words for form in (word, quote(word, safe=""))}
        return re.compile(b"|".join(map(re.escape, sorted(forms, key=len, reverse=True)))) if forms else None


def _hidden_status(data: bytes) -> int:
    """Some endpoints (OpenRouter) answer with status 200 and {"error": {"code": 429, ...}}."""
    if b'"choices"' in data:
        return 200
    body = _json(data)
    error = body.get("error") if isinstance(body, dict) else None
    if not error:
        return 200
    code = str(error.get("code")) if isinstance(error, dict) else ""
    if re.fullmatch(r"[45]\d\d", code):
        return int(code)
    return 402 if Kind.of(body, message(body)) is Kind.QUOTA else 500


def _reason(error: OSError) -> str:
    """Why there is no connection, without the address, which the sentence has already."""
    number = error.errno or 0
    if number > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(number)
    return " ".join(str(error.strerror or error).split())


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds after which a refused request may come back."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    told = retry_after(headers.get("Retry-After"))
    return told if told is not None else _rest(headers) or None


def _rest(headers: Mapping[str, str]) -> float:
    """Seconds until a limit that is used up begins anew, by OpenAI's headers: 'x-ratelimit-reset-tokens: 6m0s'."""
    longest = 0.0
    for unit in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{unit}", "").strip() == "0":
            reset = headers.get(f"x-ratelimit-reset-{unit}", "")
            seconds = sum(float(number) * _PERIODS[period] for number, period in _PERIOD.findall(reset))
            longest = max(longest, seconds or _number(reset) or 0.0)
    return longest


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) else None
