"""Answers of the web on disk, under their address and parameters: what was told once is never asked for again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from threading import Lock
from weakref import finalize

from fireact.database import Database, Journal


@dataclass(frozen=True)
class Request:
    """A GET request without what is secret of it."""

    url: str
    params: Mapping[str, str | list[str]]

    @classmethod
    def of(cls, url: str, params: Mapping[str, str | Sequence[str]]) -> "Request":
        """One whose values may be a model's words: lone halves of surrogate pairs have no UTF-8 form."""
        return cls(url, {name: _sendable(value) if isinstance(value, str) else list(map(_sendable, value))
                         for name, value in params.items()})

    @property
    def asked(self) -> str:
        """The parameters, as answers are kept under them."""
        return json.dumps(self.params, sort_keys=True, ensure_ascii=False)


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


_TABLE = """CREATE TABLE IF NOT EXISTS answers (url TEXT NOT NULL, params TEXT NOT NULL, answer TEXT NOT NULL,
            at TEXT NOT NULL, PRIMARY KEY (url, params))"""


class Kept:
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
