"""SQLite files that threads and processes share: opened carefully, and with a sentence for every failure."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fireact.errors import DataError

Journal = Literal["wal", "delete"]
"""How SQLite keeps a file whole. `wal` is fast, and for one machine; `delete` works on a network file system too."""


_PATIENCE = 20
"""Seconds for which a file that another process opens is waited for; to open one takes a moment."""


@dataclass(frozen=True)
class Database:
    """What a file is for."""

    path: Path
    what: str
    """What is in it, for sentences: 'where answers are kept'."""
    schema: str
    """The statements that make its tables."""
    version: int = 1
    """Of the schema; a file of another version is refused and left as it is."""
    journal: Journal = "wal"
    durable: bool = True
    """Whether a commit waits for the disk. Without, a kill loses nothing, and a power cut may lose the last commits."""

    def connect(self) -> sqlite3.Connection:
        """Open the file, and make it where there is none. May be used from any thread, one at a time.

        Raises DataError for a file that is damaged, of another version, or none of ours.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(f"{self.path}.lock", timeout=_PATIENCE)
        try:
            with self.sentence():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # SQLite waits for no one when a file is turned to WAL, so that two processes may not begin at once.
                with lock:
                    return self._open(str(self.path), self._prepare)
        except Timeout:
            raise DataError(f"{self.path}, {self.what}, cannot be opened: another process holds {lock.lock_file} for "
                            f"more than {_PATIENCE} seconds, or it cannot be made; end that process, or name another "
                            "file") from None

    def read(self) -> sqlite3.Connection:
        """Open the file for reading alone, whoever may be writing it. Raises DataError as `connect`, or for no file."""
        if not self.path.is_file():
            raise DataError(f"{self.path}, {self.what}, is no file; check the path")
        wal, folder = Path(f"{self.path}-wal"), self.path.absolute().parent
        # Beside a file in WAL mode SQLite makes others, even to read; where it cannot, nobody else writes either.
        alone = not wal.exists() and not os.access(folder, os.W_OK)
        with self.sentence():
            return self._open(f"{self.path.absolute().as_uri()}?{'immutable=1' if alone else 'mode=ro'}", self._check)

    def _open(self, address: str, look: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection:
        db = sqlite3.connect(address, timeout=60, isolation_level=None, check_same_thread=False,
                             uri=address.startswith("file:"))
        try:
            look(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        new = not db.execute("PRAGMA user_version").fetchone()[0] and not _tables(db)
        if not new:
            self._check(db)
        db.execute(f"PRAGMA journal_mode={self.journal}")
        db.execute(f"PRAGMA synchronous={'FULL' if self.durable else 'NORMAL'}")
        if new:
            # All or nothing: a process that is killed here leaves no file that has tables and no version.
            db.executescript(f"BEGIN IMMEDIATE; {self.schema}; PRAGMA user_version={self.version}; COMMIT")

    def _check(self, db: sqlite3.Connection) -> None:
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if _tables(db).isdisjoint(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", self.schema)):
            raise DataError(f"{self.path} is to be {self.what}, and holds something else; it is left as it is: name "
                            "another file, or move it away")
        if found != self.version:
            raise DataError(f"{self.path}, {self.what}, is of version {found}, and this program writes version "
                            f"{self.version}; it is left as it is: name another file, or move it away")

    @contextmanager
    def sentence(self) -> Iterator[None]:
        """Turn SQLite's and the system's exceptions into a DataError that names the file."""
        try:
            yield
        except TimeoutError:
            raise
        except (sqlite3.Error, OSError) as error:
            why = getattr(error, "strerror", None) or error
            damaged = re.search("malformed|not a database", str(why))
            mend = ("move the file away" if damaged else "make room on the disk, see that it may be written, or move "
                    "the file away if it is damaged")
            raise DataError(f"{self.path}, {self.what}, cannot be used ({why}); {mend}: a new one is begun") from None


def _tables(db: sqlite3.Connection) -> set[str]:
    return {name for name, in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
