"""The tape: every answered call of a model or tool, on disk before its episode goes on.

    tape = Tape(Path("tape.sqlite"), "replay", job="...")
    line, kept = await tape.once(request, ask)
    python -m fireact.tape tape.sqlite                      # what it holds

So an episode that is played again, after a kill or in another run, asks and pays for nothing twice; and a tape can be
given away, for others to replay what it holds without a key or a network (`strict`).

Calls that end at the same time share one transaction, which a thread of its own commits: the event loop waits for no
disk, and a call's record is on it when `once` returns. Texts are kept once, however many requests they are part of, so
that neither the file nor the work grows with the length of a conversation.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from fireact.database import Database, Journal
from fireact.errors import DataError
from fireact.sections import Mode
from fireact.tape.miss import describe
from fireact.tape.request import Request

VERSION = 1
SCHEMA = """
CREATE TABLE texts (digest BLOB PRIMARY KEY, before BLOB NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE parties (digest BLOB PRIMARY KEY, identity TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE calls (key BLOB NOT NULL, job TEXT NOT NULL, party BLOB NOT NULL, request TEXT NOT NULL,
    answer TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (key, job)) WITHOUT ROWID;
CREATE TABLE uses (job TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (job, key)) WITHOUT ROWID
"""
"""A row of `texts` is a `Link`, one of `parties` a `Party`; a call's `request` is what a `Request` tells. `uses` are
the calls of other jobs that a job was answered with: it cannot be replayed without them."""
_FIRST = "SELECT answer, job FROM calls WHERE key = ? ORDER BY job != ?, at LIMIT 1"
_OWN = "SELECT answer, job FROM calls WHERE key = ? AND job = ?"
_REMEMBERED = 100_000
"""So many texts are known to be in the file without looking."""


def file(path: Path, journal: Journal = "wal") -> Database:
    """What a tape's file is."""
    return Database(path, "the tape of answered calls", SCHEMA, VERSION, journal)


class _Answered(NamedTuple):
    """A call that waits to be written."""

    request: Request
    answer: str
    recorded: "asyncio.Future[None]"


@dataclass
class Tape:
    """One file, read and written for one job. For one event loop; any number of processes may share the file."""

    path: Path
    mode: Mode
    job: str = ""
    """Marks what this job records."""
    journal: Journal = "wal"
    _flights: "dict[bytes, asyncio.Task[str]]" = field(init=False, repr=False, default_factory=dict)
    _pending: list[_Answered] = field(init=False, repr=False, default_factory=list)
    """What is not known to be in the file yet."""
    _committing: "asyncio.Task[None] | None" = field(init=False, repr=False, default=None)
    _written: set[bytes] = field(init=False, repr=False, default_factory=set)
    """Digests of texts and parties that are known to be in the file."""
    _used: set[bytes] = field(init=False, repr=False, default_factory=set)
    """Keys of other jobs' calls that this job was answered with, and that are to be noted."""
    _missed: str | None = field(init=False, repr=False, default=None)
    """The sentence of the first `strict` miss, which ends all others that are under way too."""

    async def once(self, request: Request, ask: Callable[[], Awaitable[str]]) -> tuple[str, bool]:
        """Return a request's answer, and whether it came from the tape; `ask` gets it where it did not.

        What each mode does stands at `sections.Mode`. The same request is under way only once at a time. A caller that
        is cancelled loses nothing: the request goes on, and its answer is recorded. Raises what `ask` does, and
        DataError for the file, or for a `strict` miss.
        """
        if self.mode == "off":
            return await ask(), False
        kept = self._get(request.key)
        if kept is not None:
            return kept, True
        if self.mode == "strict":
            self._missed = self._missed or describe(self.path, self._reader, request)
            raise DataError(self._missed)
        flight = self._flights.get(request.key)
        if flight is not None:
            return await asyncio.shield(flight), True
        flight = self._flights[request.key] = asyncio.create_task(self._record(request, ask))
        flight.add_done_callback(lambda done: self._landed(request.key, done))
        return await asyncio.shield(flight), False

    def close(self) -> None:
        """Write what was answered, and let go of the file. Raises DataError.

        Requests that are still under way are cancelled: close the tape before what it asks. They have ended when the
        event loop has had its next turn.
        """
        for task in (*self._flights.values(), self._committing):
            if task is not None:
                task.cancel()
        self._committing = None
        opened = vars(self)
        if "_thread" in opened:
            self._thread.shutdown()
        try:
            if self._pending or self._used:
                self._commit(self._pending)
        finally:
            for name in ("_reader", "_writer"):
                if name in opened:
                    opened[name].close()

    def _get(self, key: bytes) -> str | None:
        with self._file.sentence():
            row = self._reader.execute(_OWN if self.mode == "record" else _FIRST, (key, self.job)).fetchone()
        if row and row[1] != self.job and self.mode != "strict":
            self._used.add(key)
        return row and row[0]

    async def _record(self, request: Request, ask: Callable[[], Awaitable[str]]) -> str:
        # A lone half of a surrogate pair in a model's words has no UTF-8 form, and SQLite takes none.
        answer = (await ask()).encode("utf-8", "replace").decode()
        recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append(_Answered(request, answer, recorded))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        await recorded
        # Where another process was first with the same job's call, its answer stands.
        return self._get(request.key) or answer

    async def _commit_all(self) -> None:
        """Commit what is pending, and then what has come meanwhile, until there is nothing left."""
        loop = asyncio.get_running_loop()
        try:
            while self._pending:
                batch, failure = self._pending[:], None
                try:
                    await loop.run_in_executor(self._thread, self._commit, batch)
                except Exception as error:
                    # Whatever it is, those that wait must hear of it.
                    failure = error
                del self._pending[: len(batch)]
                for answered in batch:
                    if not answered.recorded.done():
                        if failure:
                            answered.recorded.set_exception(failure)
                        else:
                            answered.recorded.set_result(None)
        finally:
            self._committing = None

    def _commit(self, batch: Sequence[_Answered]) -> None:
        """Write calls in one transaction. Raises DataError, and then none of them is in the file."""
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        used = list(self._used)
        requests = [answered.request for answered in batch]
        texts = {link.digest: link for request in requests for chain in request.chains.values() for link in chain
                 if link.digest not in self._written}
        parties = {request.party.digest: request.party.identity for request in requests
                   if request.party.digest not in self._written}
        with self._file.sentence(), self._writer as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?, ?)", texts.values())
            db.executemany("INSERT OR IGNORE INTO parties VALUES (?, ?)", parties.items())
            db.executemany("INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?)",
                           [(request.key, self.job, request.party.digest, request.told, answer, at)
                            for request, answer, _ in batch])
            db.executemany("INSERT OR IGNORE INTO uses VALUES (?, ?)", [(self.job, key) for key in used])
        self._used.difference_update(used)
        if len(self._written) > _REMEMBERED:
            self._written.clear()
        self._written.update(texts, parties)

    def _landed(self, key: bytes, done: "asyncio.Task[str]") -> None:
        del self._flights[key]
        if not done.cancelled():
            done.exception()  # Looked at, lest asyncio complains where every caller was cancelled.

    @property
    def _file(self) -> Database:
        return file(self.path, self.journal)

    @cached_property
    def _reader(self) -> sqlite3.Connection:
        if self.mode != "strict":
            return self._file.connect()
        if not self.path.exists():
            raise DataError(f"{self.path} does not exist, and tape.mode=strict plays from the tape alone; check "
                            "tape.file, or record it with tape.mode=replay")
        return self._file.read()

    @cached_property
    def _writer(self) -> sqlite3.Connection:
        return self._file.connect()

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "tape")
