"""Answers of remote GET APIs, each paid for once: retried, kept on disk, shared by all processes.

    web = Web(name="SerpAPI", url="https://serpapi.com/search.json", cache=Path("web.sqlite"), judge=judge,
              key_name="api_key", key_env="SERPAPI_API_KEY")
    answer = await web.get({"engine": "google", "q": "capital of Bhutan"})

A good answer is on disk before it is returned, under the address and the parameters; the key is no part of either, and
a kept answer needs none. Failures are never kept. The same request is under way only once at a time.
"""

import asyncio
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fireact import __version__
from fireact.bodies import received
from fireact.database import Journal
from fireact.errors import ConfigError, ToolError, ToolUnavailable
from fireact.kept import Kept, Request
from fireact.keys import filled, hidden, secrets
from fireact.meter import Meter
from fireact.pacing import Outcome

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response
    from tenacity import RetryCallState

Judge = Callable[[int, dict[str, Any]], Exception | None]
"""Told the status and the JSON of an answer, it returns the failure that they mean; None: the status alone decides."""

AGENT = f"fireact/{__version__} (language-agent research) httpx2"
class Passing(Exception):
    """A failure that may be gone when the request is sent again; what it becomes after the last try, its catcher says.

    The text goes on from the name of who failed: 'did not answer within 30 seconds'.
    """

    def __init__(self, text: str, wait: float | None = None, outcome: Outcome = Outcome.FAULTY, *,
                 refused: bool = False) -> None:
        """`wait` is after how many seconds the server wants to be asked again, where it says so.

        `refused`: the request was certainly not done; else its answer may only have got lost.
        """
        super().__init__(text)
        self.wait, self.outcome, self.refused = wait, outcome, refused


@dataclass(kw_only=True)
class Web:
    """One API. May be used from any number of event loops, one after another or in threads of their own."""

    name: str
    """How sentences call it."""
    url: str
    cache: Path
    """The SQLite file of kept answers, which any number of processes and APIs may share."""
    judge: Judge
    journal: Journal = "wal"
    key_name: str = "api_key"
    """The parameter by which the key is sent."""
    key_env: str | None = None
    """The environment variable that holds the key; None: no key is sent."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with each request. A value $NAME is read from the environment."""
    texts: bool = False
    """Any text is a good answer, else only a JSON object; and what is wrong with a request is for the model to mend."""
    agent: str = AGENT
    """The User-Agent."""
    timeout: float = 30.0
    """Seconds after which a try is given up, unless its answer is there as a whole."""
    retries: int = 4
    """Repetitions after a passing fault: no connection, silence, 408, 429, 5xx."""
    backoff: float = 0.5
    """The longest pause in seconds before the first repetition where the server names none; doubled each time. How much
    of it is waited is drawn, so that what failed together does not come back together."""
    patience: float = 60.0
    """The longest pause in seconds; a server that asks for a longer one is not asked again."""
    connections: int = 8
    """Requests under way at once; further ones wait."""
    paid: bool = False
    price: float | None = None
    """US dollars an answer, where it is `paid`; None: unknown."""
    meter: Meter = field(default_factory=Meter)
    _sessions: "dict[asyncio.AbstractEventLoop, _Session]" = field(init=False, repr=False, default_factory=dict)

    async def get(self, params: Mapping[str, str]) -> dict[str, Any]:
        """Return the JSON object that answers a request. Raises what `text` raises."""
        return json.loads(await self.text(params))

    async def text(self, params: Mapping[str, str | Sequence[str]], path: str = "") -> str:
        """Return the answer to a request, from disk where it was answered before.

        `path` goes behind the address, as it is. Raises ToolUnavailable where the answer cannot be had now, ConfigError
        for the key or the address, DataError for a damaged cache, ToolError (see `texts`), and what `judge` returns.
        A caller that is cancelled loses nothing: the request goes on.
        """
        request = Request.of(self.url + path, params)
        flights, asked = self._session.flights, f"{path}?{request.asked}"
        if asked not in flights:
            flights[asked] = asyncio.create_task(self._answer(request))
            flights[asked].add_done_callback(lambda done: _landed(flights, asked, done))
        return await asyncio.shield(flights[asked])

    async def close(self) -> None:
        """End the requests under way, and let go of the connections of the running event loop."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            flights = list(session.flights.values())
            for flight in flights:
                flight.cancel()
            await asyncio.gather(*flights, return_exceptions=True)
            await session.client.aclose()

    @property
    def _session(self) -> "_Session":
        """What belongs to the running event loop: connections cannot move to another."""
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            alive = {other: session for other, session in self._sessions.items() if not other.is_closed()}
            self._sessions = {**alive, loop: _Session(self._client(), asyncio.Semaphore(self.connections))}
        return self._sessions[loop]

    def _client(self) -> "AsyncClient":
        from httpx2 import AsyncClient, Limits

        if not is_address(self.url):
            raise ConfigError(f"base_url={self.url} is no address; write e.g. https://example.org/api")
        # A try as a whole has one clock, see `_sent`.
        return AsyncClient(headers={"User-Agent": self.agent}, timeout=None,
                           limits=Limits(max_connections=self.connections))

    @cached_property
    def _kept(self) -> Kept:
        return Kept(self.cache, self.journal)

    async def _answer(self, request: Request) -> str:
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        kept = await asyncio.to_thread(self._kept.get, request.url, request.asked)
        if kept is not None:
            return kept
        tries = AsyncRetrying(stop=stop_after_attempt(self.retries + 1), wait=self._pause, reraise=True,
                              retry=retry_if_exception(self._worth_a_try))
        try:
            answer = await tries(self._send, request)
        except Passing as failure:
            rest = "" if self._worth_a_try(failure) else f" (and wants no request for {failure.wait:.0f} seconds)"
            raise ToolUnavailable(f"{self.name} {failure}{rest}; start the same command again later to go on") from None
        return await asyncio.to_thread(self._kept.put, request.url, request.asked, answer)

    def _worth_a_try(self, failure: BaseException) -> bool:
        return isinstance(failure, Passing) and (failure.wait or 0) <= self.patience

    def _pause(self, state: "RetryCallState") -> float:
        from tenacity import wait_random_exponential

        failure = state.outcome and state.outcome.exception()
        if isinstance(failure, Passing) and failure.wait is not None:
            return failure.wait
        return wait_random_exponential(multiplier=self.backoff, max=self.patience)(state)

    async def _send(self, request: Request) -> str:
        """Send one request, out of the budget where it is paid for: a search whose answer got lost may be too."""
        if not self.paid:
            return await self._sent(request)
        ticket = await self.meter.reserve(self.price, 0, self.name)
        try:
            answer = await self._sent(request)
        except BaseException as failure:
            if isinstance(failure, Exception) and not (isinstance(failure, Passing) and not failure.refused):
                self.meter.release(ticket)
            else:
                self.meter.lose(ticket, self.price, 0)
            raise
        self.meter.settle(ticket, self.price, 0)
        return answer

    async def _sent(self, asked: Request) -> str:
        import httpx2

        session, key, headers = self._session, self._key, filled(self.headers)
        request = session.client.build_request("GET", asked.url, params=asked.params or None, headers=headers)
        if key:
            # On the wire only: httpx2 logs the URL of every request, and exceptions carry it.
            request.extensions["target"] = request.url.copy_merge_params({self.key_name: key}).raw_path
        try:
            async with session.places:  # Before the clock starts: waiting for a connection is no silence.
                answer = await asyncio.wait_for(received(session.client, request, self.name), self.timeout)
            return self._checked(*answer)
        except asyncio.TimeoutError:
            raise Passing(f"did not answer within {self.timeout:g} seconds") from None
        except httpx2.RequestError as error:
            raise Passing(f"cannot be reached: {self._hidden(str(error) or type(error).__name__)}",
                          refused=isinstance(error, httpx2.ConnectError)) from None

    def _hidden(self, text: str) -> str:
        """A text without what is secret."""
        for secret in (self._key, *secrets(self.headers).values()):
            text = hidden(text, secret)
        return text

    @property
    def _key(self) -> str:
        if self.key_env is None:
            return ""
        key = os.environ.get(self.key_env, "").strip()
        if not key:
            raise ConfigError(f"{self.name} needs a key: set the environment variable {self.key_env}")
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(f"the key in ${self.key_env} holds a line break or a letter that no key has; set it anew")
        return key

    def _checked(self, response: "Response", text: str) -> str:
        """The text of a good answer. Raises what a bad one means."""
        text = self._hidden(text)
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        failure = self.judge(response.status_code, body) if isinstance(body, dict) else None
        if failure := failure or self._failure(response, body, " ".join(text.split())[:200]):
            raise failure
        if "\0" in text:
            raise ToolError(f"{self.name} answered with {response.headers.get('Content-Type', 'something')[:60]!r}, "
                            "which is no text; ask for something else")
        return text

    def _failure(self, response: "Response", body: Any, text: str) -> Exception | None:
        status, said = response.status_code, _said(body) or repr(text)
        if self.texts and status < 300:
            return None
        if self.texts and status < 400:
            return ToolError(f"{self.name} sends this request on to {response.headers.get('Location', '')[:200]!r}, "
                             "which is not followed")
        if self.texts and status < 500 and status not in (401, 408, 429):
            return ToolError(f"{self.name} answered with status {status}: {said}")
        if status == 200 and text.startswith("<"):
            return Passing(f"answered with a page in place of JSON, got {text[:80]!r} from base_url={self.url}")
        if status == 200:
            return None if isinstance(body, dict) else ConfigError(
                f"{self.name} answered without a JSON object, got {text[:80]!r}; check base_url={self.url}")
        if status in (401, 403):
            what = f"the key in ${self.key_env}" if self.key_env else "the request"
            return ConfigError(f"{self.name} refuses {what}: {said}")
        if status in (408, 429) or status >= 500:
            return Passing(f"failed with status {status}: {said}", retry_after(response.headers.get("Retry-After")),
                           refused=True)
        return ConfigError(f"{self.name} answered with status {status}: {said}; check base_url={self.url}")


@dataclass
class _Session:
    client: "AsyncClient"
    places: asyncio.Semaphore
    """Of the requests under way at once."""
    flights: dict[str, "asyncio.Task[str]"] = field(default_factory=dict)


def _landed(flights: dict[str, "asyncio.Task[str]"], asked: str, done: "asyncio.Task[str]") -> None:
    del flights[asked]
    if not done.cancelled():
        done.exception()  # Looked at: asyncio complains of those that nobody has looked at.


def is_address(url: str) -> bool:
    """Whether a URL is one of the web."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _said(body: Any) -> str:
    """What an answer gives as its error: {"error": "..."}, {"error": {"message": "..."}}, {"detail": "..."}, ..."""
    told = body if isinstance(body, dict) else {}
    error = told.get("error") or told.get("detail") or told.get("message")
    if isinstance(error, dict):
        error = error.get("info") or error.get("message")
    return " ".join(error.split())[:200] if isinstance(error, str) else ""


def retry_after(told: str | None) -> float | None:
    """Seconds that a Retry-After stands for, which is a number or a date; None for none, or one that is neither."""
    if told is None:
        return None
    try:
        return max(0.0, float(told)) if re.fullmatch(r"\d+(\.\d+)?", told.strip()) else max(
            0.0, (parsedate_to_datetime(told) - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError):
        return None
