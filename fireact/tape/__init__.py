"""The tape: every answered call of a model or tool, on disk before its episode goes on.

    tape = Tape(Path("tape.sqlite"), "replay", job="...")
    completion = await tape.once(request, lambda: model.complete(ask))

So an episode that is played again, after a kill or in another run, asks and pays for nothing twice; and a tape can be
given away, for others to replay what it holds without a key or a network (`strict`).

Calls that end at the same time share one transaction, which a thread of its own commits: the event loop waits for no
disk, and a call's record is on it when `once` returns. Texts are kept once, however many requests they are part of, so
that neither the file nor the work grows with the length of a conversation.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

from fireact.database import Database, Journal
from fireact.errors import DataError
from fireact.sections import Mode
from fireact.tape.miss import describe
from fireact.tape.request import Request

VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS texts (digest BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parties (digest BLOB PRIMARY KEY, identity TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (key BLOB NOT NULL, job TEXT NOT NULL, party BLOB NOT NULL, request TEXT NOT NULL,
    answer TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (key, job)) WITHOUT ROWID;
"""
_FIRST = "SELECT answer FROM calls WHERE key = ? ORDER BY job != ?, at LIMIT 1"
_OWN = "SELECT answer FROM calls WHERE key = ? AND job = ?"


def file(path: Path, journal: Journal = "wal") -> Database:
    """What a tape's file is."""
    return Database(path, "the tape of answered calls", SCHEMA, VERSION, journal)


@dataclass
class Tape:
    """One file, read and written for one job. For one event loop; any number of processes may share the file."""

    path: Path
    mode: Mode
    job: str = ""
    """Marks what this job records."""
    journal: Journal = "wal"
    _flights: "dict[bytes, asyncio.Task[str]]" = field(init=False, repr=False, default_factory=dict)
    _pending: "list[tuple[Request, str, asyncio.Future[None]]]" = field(init=False, repr=False, default_factory=list)
    _committing: "asyncio.Task[None] | None" = field(init=False, repr=False, default=None)
    _written: set[bytes] = field(init=False, repr=False, default_factory=set)
    """Digests of the texts and parties that are known to be in the file."""

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
            raise DataError(describe(self.path, self._reader, request))
        flight = self._flights.get(request.key)
        if flight is None:
            flight = self._flights[request.key] = asyncio.create_task(self._record(request, ask))
            flight.add_done_callback(lambda done: self._landed(request.key, done))
            return await asyncio.shield(flight), False
        return await asyncio.shield(flight), True

    def close(self) -> None:
        """Let go of the file; what was recorded is in it."""
        if "_reader" in vars(self):
            self._reader.close()
        if "_writer" in vars(self):
            self._thread.shutdown(wait=True)
            self._writer.close()

    def _get(self, key: bytes) -> str | None:
        with self._file.sentence():
            row = self._reader.execute(_OWN if self.mode == "record" else _FIRST, (key, self.job)).fetchone()
        return row and row[0]

    async def _record(self, request: Request, ask: Callable[[], Awaitable[str]]) -> str:
        # A lone half of a surrogate pair in a model's words has no UTF-8 form, and SQLite takes none.
        answer = (await ask()).encode("utf-8", "replace").decode()
        recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((request, answer, recorded))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        await recorded
        return answer

    async def _commit_all(self) -> None:
        """Commit what is pending, and then what has come meanwhile, until there is nothing left."""
        loop = asyncio.get_running_loop()
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                failure = await loop.run_in_executor(self._thread, self._commit,
                                                     [(request, answer) for request, answer, _ in batch])
                for _, _, recorded in batch:
                    if not recorded.done():
                        recorded.set_exception(failure) if failure else recorded.set_result(None)
        finally:
            self._committing = None

    def _commit(self, batch: list[tuple[Request, str]]) -> DataError | None:
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        new = {digest: text for request, _ in batch for digest, text in request.texts.items()
               if digest not in self._written}
        parties = {request.party.digest: request.party.identity for request, _ in batch
                   if request.party.digest not in self._written}
        try:
            with self._file.sentence():
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    self._writer.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?)", new.items())
                    self._writer.executemany("INSERT OR IGNORE INTO parties VALUES (?, ?)", parties.items())
                    self._writer.executemany(
                        "INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?)",
                        [(request.key, self.job, request.party.digest, request.rest, answer, at)
                         for request, answer in batch])
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
        except DataError as failure:
            return failure
        self._written.update(new, parties)
        return None

    def _landed(self, key: bytes, done: "asyncio.Task[str]") -> None:
        del self._flights[key]
        if not done.cancelled():
            done.exception()  # Looked at, lest asyncio complains where every caller was cancelled.

    @property
    def _file(self) -> Database:
        return file(self.path, self.journal)

    @cached_property
    def _reader(self) -> sqlite3.Connection:
        if self.mode == "strict" and not self.path.exists():
            raise DataError(f"{self.path} does not exist, and tape.mode=strict plays from the tape alone; check "
                            "tape.file, or record it with tape.mode=replay")
        return self._file.connect()

    @cached_property
    def _writer(self) -> sqlite3.Connection:
        return self._file.connect()

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "tape")
