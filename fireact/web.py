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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import finalize

from fireact import __version__
from fireact.database import Database, Journal
from fireact.errors import ConfigError, ToolUnavailable
from fireact.keys import hidden
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
    agent: str = AGENT
    """The User-Agent."""
    timeout: float = 30.0
    """Seconds without a sign of life after which a try is given up."""
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
        """Return the JSON of the answer to a request, from disk where it was answered before.

        Raises ToolUnavailable where it cannot be had now, ConfigError for the key or the address, DataError for a
        damaged cache, and what `judge` returns. A caller that is cancelled loses nothing: the request goes on.
        """
        # A lone half of a surrogate pair in a model's words has no UTF-8 form.
        params = {name: value.encode("utf-8", "replace").decode() for name, value in params.items()}
        asked = json.dumps(params, sort_keys=True, ensure_ascii=False)
        flights = self._session.flights
        if asked not in flights:
            flights[asked] = asyncio.create_task(self._answer(params, asked))
            flights[asked].add_done_callback(lambda done: _landed(flights, asked, done))
        return json.loads(await asyncio.shield(flights[asked]))

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
            self._sessions = {**alive, loop: _Session(self._client())}
        return self._sessions[loop]

    def _client(self) -> "AsyncClient":
        from httpx2 import AsyncClient, Limits, Timeout

        if not is_address(self.url):
            raise ConfigError(f"base_url={self.url} is no address; write e.g. https://example.org/api")
        return AsyncClient(headers={"User-Agent": self.agent}, timeout=Timeout(self.timeout, pool=None),
                           limits=Limits(max_connections=self.connections))

    @cached_property
    def _kept(self) -> "_Kept":
        return _Kept(self.cache, self.journal)

    async def _answer(self, params: Mapping[str, str], asked: str) -> str:
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        kept = await asyncio.to_thread(self._kept.get, self.url, asked)
        if kept is not None:
            return kept
        tries = AsyncRetrying(stop=stop_after_attempt(self.retries + 1), wait=self._pause, reraise=True,
                              retry=retry_if_exception(self._worth_a_try))
        try:
            answer = await tries(self._send, params)
        except Passing as failure:
            rest = "" if self._worth_a_try(failure) else f" (and wants no request for {failure.wait:.0f} seconds)"
            raise ToolUnavailable(f"{self.name} {failure}{rest}; start the same command again later to go on") from None
        return await asyncio.to_thread(self._kept.put, self.url, asked, answer)

    def _worth_a_try(self, failure: BaseException) -> bool:
        return isinstance(failure, Passing) and (failure.wait or 0) <= self.patience

    def _pause(self, state: "RetryCallState") -> float:
        from tenacity import wait_random_exponential

        failure = state.outcome and state.outcome.exception()
        if isinstance(failure, Passing) and failure.wait is not None:
            return failure.wait
        return wait_random_exponential(multiplier=self.backoff, max=self.patience)(state)

    async def _send(self, params: Mapping[str, str]) -> str:
        """Send one request, out of the budget where it is paid for: a search whose answer got lost may be too."""
        if not self.paid:
            return await self._sent(params)
        ticket = await self.meter.reserve(self.price, 0, self.name)
        try:
            answer = await self._sent(params)
        except BaseException as failure:
            if isinstance(failure, Exception) and not (isinstance(failure, Passing) and not failure.refused):
                self.meter.release(ticket)
            else:
                self.meter.lose(ticket, self.price, 0)
            raise
        self.meter.settle(ticket, self.price, 0)
        return answer

    async def _sent(self, params: Mapping[str, str]) -> str:
        import httpx2

        client, key = self._session.client, self._key
        request = client.build_request("GET", self.url, params=dict(params))
        if key:
            # On the wire only: httpx2 logs the URL of every request, and exceptions carry it.
            request.extensions["target"] = request.url.copy_merge_params({self.key_name: key}).raw_path
        try:
            return self._checked(await client.send(request), key)
        except httpx2.TimeoutException:
            raise Passing(f"did not answer within {self.timeout:g} seconds") from None
        except httpx2.ConnectError as error:
            raise Passing(f"cannot be reached: {hidden(str(error) or type(error).__name__, key)}",
                          refused=True) from None
        except httpx2.RequestError as error:
            raise Passing(f"cannot be reached: {hidden(str(error) or type(error).__name__, key)}") from None

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

    def _checked(self, response: "Response", key: str) -> str:
        """The text of a good answer. Raises what a bad one means."""
        text = hidden(response.text, key)
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        failure = self.judge(response.status_code, body) if isinstance(body, dict) else None
        if failure := failure or self._failure(response, body, " ".join(text.split())[:200]):
            raise failure
        return text

    def _failure(self, response: "Response", body: Any, text: str) -> Exception | None:
        status, said = response.status_code, _said(body) or repr(text)
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
    flights: dict[str, "asyncio.Task[str]"] = field(default_factory=dict)


_TABLE = """CREATE TABLE IF NOT EXISTS answers (url TEXT NOT NULL, params TEXT NOT NULL, answer TEXT NOT NULL,
            at TEXT NOT NULL, PRIMARY KEY (url, params))"""


class _Kept:
    """The answers on disk. Its methods may be called from any thread."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self._file, self._lock = Database(path, "where answers are kept", _TABLE, 0, journal), Lock()
        self._db = self._file.connect()
        finalize(self, self._db.close)

    def get(self, url: str, params: str) -> str | None:
        """The answer to a request, None where there is none yet. Raises DataError."""
        with self._lock, self._file.sentence():
            row = self._db.execute("SELECT answer FROM answers WHERE url = ? AND params = ?", (url, params)).fetchone()
        return row and row[0]

    def put(self, url: str, params: str, answer: str) -> str:
        """Keep an answer; where another process was first, its answer stands and is returned. Raises DataError."""
        at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with self._lock, self._file.sentence():
            self._db.execute("INSERT INTO answers VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                             (url, params, answer, at))
        return self.get(url, params) or answer


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
    """What an answer gives as its error: {"error": "..."} or {"error": {"info" or "message": "..."}}."""
    error = body.get("error") if isinstance(body, dict) else None
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
