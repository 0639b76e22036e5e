"""The part of a tape that a capsule carries, as text: nobody has to open another person's database.

One row of the tape's tables a line, `{"table": "calls", "row": [...]}`, in a fixed order.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fireact.errors import DataError
from fireact.jsonl import decode_text, open_file
from fireact.tape.copying import copy, jobs
from fireact.tape.file import database

_COLUMNS = {"texts": "bbt", "parties": "bt", "calls": "btbttt", "uses": "tb"}
"""The tables in the order of their columns: b for bytes, which are written in hex, t for text."""


def write_calls(tape: Path, wanted: Sequence[str], to: Path) -> set[str]:
    """Write what the jobs `wanted` were answered with; return those of them that the tape knows. Raises DataError."""
    known = jobs(tape) & set(wanted) if tape.exists() else set()
    with TemporaryDirectory() as folder, to.open("w", encoding="utf-8") as file:
        if known:
            part = Path(folder) / "tape.sqlite"
            copy(tape, sorted(known), part)
            with closing(database(part, "delete").read()) as db:
                file.writelines(_lines(db))
    return known


def _lines(db: sqlite3.Connection) -> Iterator[str]:
    for table, columns in _COLUMNS.items():
        for row in db.execute(f"SELECT * FROM {table} ORDER BY 1, 2"):
            told = [cell.hex() if kind == "b" else cell for kind, cell in zip(columns, row, strict=True)]
            yield json.dumps({"table": table, "row": told}, ensure_ascii=False) + "\n"


def read_calls(path: Path, to: Path) -> Counter[str]:
    """Make a tape of such a file; return how many answers each job has on it. Raises DataError."""
    tape, found = database(to, "delete"), Counter[str]()
    with closing(tape.connect()) as db, tape.sentence(), db:
        db.execute("BEGIN")
        for table, row in _rows(path):
            marks = ", ".join("?" * len(row))
            db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
            if table in ("calls", "uses"):
                found[row[_COLUMNS[table].index("t")]] += 1
    return found


def _rows(path: Path) -> Iterable[tuple[str, list[Any]]]:
    with open_file(path) as file:
        for number, line in enumerate(file, 1):
            where = f"{path.name}:{number}"
            try:
                told = json.loads(decode_text(line, where))
                table, row = told["table"], told["row"]
                yield table, [bytes.fromhex(cell) if kind == "b" else _text(cell)
                              for kind, cell in zip(_COLUMNS[table], row, strict=True)]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise DataError(f"{where}: {line[:60].decode('utf-8', 'replace')!r} is no row of a tape") from None


def _text(cell: Any) -> str:
    if not isinstance(cell, str):
        raise TypeError(cell)
    return cell
