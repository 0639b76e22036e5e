"""The file of a tape: answered calls in SQLite, read and written by any number of processes.

Calls that end at the same time share one transaction, which a thread of its own commits: the event loop waits for no
disk, and a call is on it when `write` returns. Texts are kept once, however many requests they are part of, so that
neither the file nor the work grows with the length of a conversation.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from fireact.batching import Batches
from fireact.database import Database, Journal
from fireact.errors import DataError
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


class Look(NamedTuple):
    """A question whether a call was answered."""

    key: bytes
    job: str
    own: bool
    """Whether only this job's own answer counts; else its own comes first, then the oldest."""


class Found(NamedTuple):
    """An answer, and the job that recorded it."""

    answer: str
    job: str


class Answered(NamedTuple):
    """A call to be written."""

    request: Request
    answer: str
    job: str


def database(path: Path, journal: Journal = "wal") -> Database:
    """What a tape's file is."""
    return Database(path, "the tape of answered calls", SCHEMA, VERSION, journal)


class TapeFile:
    """The open file. For one event loop. All of its methods raise DataError where it cannot be used."""

    def __init__(self, path: Path, journal: Journal = "wal", only_read: bool = False) -> None:
        """Nothing is opened before it is used."""
        self.path, self.only_read = path, only_read
        self._file = database(path, journal)
        self.batches: Batches[Look | Answered, Found | None] = Batches(self._do, "tape")
        self._written: set[bytes] = set()
        """Digests of texts and parties that are known to be in the file."""
        self._used: set[tuple[str, bytes]] = set()
        """What is to be added to `uses`."""

    async def find(self, look: Look) -> Found | None:
        """Look for an answer."""
        # With a WAL a look takes microseconds, and waits for no writer.
        return self._found(self.reader, look) if self._file.journal == "wal" else await self.batches.add(look)

    async def write(self, answered: Answered) -> str:
        """Write a call, which is on the disk when this returns; cancelled, it is written all the same.

        Returns the answer that stands: where another process was first with the same job's call, it is that one's.
        """
        found = await asyncio.shield(self.batches.add(answered))
        return found.answer if found else answered.answer

    def note(self, job: str, key: bytes) -> None:
        """Note that a job was answered with another one's call; it is written with the next call, or by `close`."""
        self._used.add((job, key))

    def close(self) -> None:
        """Write what is pending, and let go of the file."""
        opened = vars(self)
        try:
            self.batches.close()
            if self._used:
                self._commit(())
        finally:
            for name in ("reader", "_writer"):
                if name in opened:
                    opened.pop(name).close()

    def _do(self, items: Sequence[Look | Answered]) -> list[Found | None]:
        answered = [item for item in items if isinstance(item, Answered)]
        if answered:
            self._commit(answered)
        # The thread has a connection of its own: two that bind the same statement at once would mix up their keys.
        db = self.reader if self.only_read else self._writer
        return [self._found(db, item if isinstance(item, Look) else Look(item.request.key, item.job, own=True))
                for item in items]

    def _found(self, db: sqlite3.Connection, look: Look) -> Found | None:
        with self._file.sentence():
            row = db.execute(_OWN if look.own else _FIRST, (look.key, look.job)).fetchone()
        return row and Found(*row)

    def _commit(self, batch: Sequence[Answered]) -> None:
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
                           [(request.key, job, request.party.digest, request.told, answer, at)
                            for request, answer, job in batch])
            db.executemany("INSERT OR IGNORE INTO uses VALUES (?, ?)", used)
        self._used.difference_update(used)
        self._remember((*texts, *parties))

    def _remember(self, digests: Iterable[bytes]) -> None:
        if len(self._written) > _REMEMBERED:
            self._written.clear()
        self._written.update(digests)

    @cached_property
    def reader(self) -> sqlite3.Connection:
        """The connection that only reads."""
        if not self.only_read:
            return self._file.connect()
        if not self.path.exists():
            raise DataError(f"{self.path} does not exist, and tape.mode=strict plays from the tape alone; check "
                            "tape.file, or record it with tape.mode=replay")
        return self._file.read()

    @cached_property
    def _writer(self) -> sqlite3.Connection:
        return self._file.connect()
