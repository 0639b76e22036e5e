"""The rows of results.jsonl as columns: an array or list a value, 500,000 rows in seconds.

A row that is damaged is skipped, by the name of its file and line. What rows of earlier versions lack is NaN or empty.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fireact.study.types import Asked, Series

NUMBERS = ("em", "f1", "rounds", "tool_calls", "prompt_tokens", "completion_tokens", "seconds", "cost")
"""The columns of `Series.values`."""
_SHARES = ("em", "f1")
_TEXTS = ("dataset", "guise", "id", "question", "stop")
_ANY_TEXTS = ("fault", "method", "kind", "gold", "failure", "answer")
"""Those that may be missing, or null."""
_LARGEST = 1e15


@dataclass
class Questions:
    """The questions of a study by dataset, numbered as they are met. One with another text is another question."""

    found: dict[str, list[Asked]] = field(default_factory=dict)
    _numbers: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)

    def number(self, row: dict[str, Any]) -> int:
        """The index of a row's question in its dataset."""
        name = row["dataset"], row["id"], row["question"]
        number = self._numbers.get(name)
        if number is None:
            mine = self.found.setdefault(row["dataset"], [])
            number = self._numbers[name] = len(mine)
            mine.append(Asked(row["id"], row["question"], row.get("gold") or "", row.get("kind") or "",
                              row.get("hops")))
        return number

    def shared(self, text: str | None) -> str | None:
        """The same text as one object, however often it occurs."""
        return None if text is None else self._texts.setdefault(text, text)


@dataclass
class _Rows:
    """The rows of one series in the making."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    question: list[int] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)


def read_rows(path: Path, cell: int, questions: Questions, skipped: list[str]) -> list[Series]:
    """Return the series of the cell with this index, [] where there is no such file; add to `skipped` what is damaged.

    A last line without its newline is passed over: its writer was killed, or is still at it.
    """
    found: dict[tuple[str, str, str], _Rows] = {}
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n") and not line.isspace():
                    why = _take(line, questions, found)
                    if why:
                        skipped.append(f"{path}:{number}: {why}")
    except FileNotFoundError:
        pass
    except OSError as error:
        skipped.append(f"{path}: it cannot be read ({error.strerror})")
    return [_series(cell, name, part, questions) for name, part in found.items()]


def _take(line: bytes, questions: Questions, found: dict[tuple[str, str, str], _Rows]) -> str:
    """Put a row where it belongs; return why it cannot be used, if it cannot."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"no JSON ({error})"
    why = _fault(row)
    if why:
        return why
    part = found.setdefault((row["dataset"], row["guise"], row.get("fault") or ""), _Rows())
    number, attempt = questions.number(row), row.get("attempt", 0)
    if (number, attempt) in part.seen:
        return f"attempt {attempt} at the question {row['id']!r} was there before"
    part.seen.add((number, attempt))
    part.rows.append(row)
    part.question.append(number)
    return ""


def _fault(row: Any) -> str:
    if not isinstance(row, dict):
        return "no object"
    for name in _TEXTS:
        if not isinstance(row.get(name), str):
            return f"{name} is {_short(row.get(name))}, expected a text"
    for name in _ANY_TEXTS:
        if not isinstance(row.get(name), (str, type(None))):
            return f"{name} is {_short(row[name])}, expected a text or null"
    for name in NUMBERS:
        value = row.get(name)
        if value is not None and not (isinstance(value, (int, float)) and 0 <= value < _LARGEST):
            return f"{name} is {_short(value)}, expected a number from 0"
    for name in _SHARES:
        if row.get(name) is None or row[name] > 1:
            return f"{name} is {_short(row.get(name))}, expected a number from 0 to 1"
    for name, value in (("attempt", row.get("attempt", 0)), ("hops", row.get("hops") or 0)):
        if type(value) is not int or value < 0:
            return f"{name} is {_short(value)}, expected a whole number from 0"
    return ""


def _short(value: Any) -> str:
    return repr(value)[:60]


def _series(cell: int, name: tuple[str, str, str], part: _Rows, questions: Questions) -> Series:
    dataset, guise, fault = map(sys.intern, name)
    rows: Sequence[dict[str, Any]] = part.rows
    return Series(
        cell, dataset, guise, fault, sys.intern(rows[0].get("method") or ""),
        question=np.array(part.question, np.int32),
        attempt=np.array([row.get("attempt", 0) for row in rows], np.int32),
        values={number: np.array([row.get(number) for row in rows], np.float64) for number in NUMBERS},
        stop=[sys.intern(row["stop"]) for row in rows],
        failure=[sys.intern(row.get("failure") or "") for row in rows],
        answer=[questions.shared(row.get("answer")) for row in rows])
