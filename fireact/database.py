"""SQLite files that threads and processes share: opened carefully, and with a sentence for every failure."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fireact.errors import DataError

Journal = Literal["wal", "delete"]
"""How SQLite keeps a file whole. `wal` is fast, and for one machine; `delete` works on a network file system too."""


@dataclass(frozen=True)
class Database:
    """What a file is for."""

    path: Path
    what: str
    """What is in it, for sentences: 'where answers are kept'."""
    schema: str
    """The statements that make its tables where they are missing."""
    version: int = 1
    """Of the schema; a file of another version is refused and left as it is."""
    journal: Journal = "wal"
    durable: bool = True
    """Whether a commit waits for the disk. Without, a kill loses nothing, and a power cut may lose the last commits."""

    def connect(self) -> sqlite3.Connection:
        """Open the file, and make it where there is none. May be used from any thread, one at a time.

        Raises DataError for a file that is damaged, of another version, or none of ours.
        """
        from filelock import FileLock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite waits for no one when a file is turned to WAL, so that two processes may not begin at once.
        with self.sentence(), FileLock(f"{self.path}.lock"):
            db = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        found = db.execute("PRAGMA user_version").fetchone()[0]
        empty = not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        if found != self.version and not (empty and found == 0):
            raise DataError(f"{self.path}, {self.what}, is of version {found}, and this program writes version "
                            f"{self.version}; it is left as it is: name another file, or move it away")
        db.execute(f"PRAGMA journal_mode={self.journal}")
        db.execute(f"PRAGMA synchronous={'FULL' if self.durable else 'NORMAL'}")
        db.executescript(self.schema)
        db.execute(f"PRAGMA user_version={self.version}")

    @contextmanager
    def sentence(self) -> Iterator[None]:
        """Turn SQLite's exceptions into a DataError that names the file."""
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(f"{self.path}, {self.what}, cannot be used ({error}); make room on the disk, or move the "
                            "file away if it is damaged: a new one is begun") from None
