"""Copy what some jobs were answered with onto a tape of their own."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from fireact.errors import DataError, suggest
from fireact.tape.file import database
from fireact.tape.request import CHAINS


def jobs(path: Path) -> set[str]:
    """The jobs that a tape has answers for. Raises DataError."""
    tape = database(path)
    with closing(tape.read()) as db, tape.sentence():
        return _jobs(db)


def copy(path: Path, jobs: Sequence[str], to: Path) -> int:
    """Copy the calls of jobs onto a new tape; return their number. Raises DataError."""
    if to.exists():
        raise DataError(f"{to} is there already, and is left as it is; name a new file")
    # Nothing lies beside a file with this journal, not even while it is read.
    source, target = database(path), database(to, "delete")
    with closing(source.read()) as db, source.sentence():
        db.execute("BEGIN")
        known = _jobs(db)
        for job in jobs:
            if job not in known:
                raise DataError(f"{path} has no calls of the job {job!r}{suggest(job, known)}")
        marks = ", ".join(f"?{number}" for number in range(1, len(jobs) + 1))
        chosen = (f"FROM calls WHERE job IN ({marks}) OR key IN (SELECT key FROM uses WHERE job IN ({marks}))")
        try:
            with closing(target.connect()) as new, target.sentence(), new:
                new.execute("BEGIN")
                new.executemany("INSERT INTO texts VALUES (?, ?, ?)", _texts(
                    db, (request for request, in db.execute(f"SELECT request {chosen}", jobs))))
                new.executemany("INSERT INTO parties VALUES (?, ?)", db.execute(
                    f"SELECT * FROM parties WHERE digest IN (SELECT party {chosen})", jobs))
                new.executemany("INSERT INTO uses VALUES (?, ?)", db.execute(
                    f"SELECT * FROM uses WHERE job IN ({marks})", jobs))
                return new.executemany("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)",
                                       db.execute(f"SELECT * {chosen}", jobs)).rowcount
        except BaseException:
            to.unlink(missing_ok=True)
            raise
        finally:
            Path(f"{to}.lock").unlink(missing_ok=True)


def _jobs(db: sqlite3.Connection) -> set[str]:
    return {job for job, in db.execute("SELECT job FROM calls UNION SELECT job FROM uses")}


def _texts(db: sqlite3.Connection, requests: Iterable[str]) -> Iterator[tuple[bytes, bytes, str]]:
    """The links of the requests' chains, each once."""
    seen: set[bytes] = set()
    for told in map(json.loads, requests):
        for digest in (bytes.fromhex(told.get(chain, "")) for chain in CHAINS):
            while digest not in seen:
                row = db.execute("SELECT digest, before, text FROM texts WHERE digest = ?", (digest,)).fetchone()
                if row is None:
                    break  # The name of the field, before the first link.
                yield row
                seen.add(digest)
                digest = row[1]
