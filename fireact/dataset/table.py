"""Your own questions, from jsonl or csv files with a column for the question and one for the answer.

    python main.py dataset=table dataset.test=my/questions.csv dataset.passages=my/passages.jsonl
"""

import csv
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from fireact.dataset import scoring
from fireact.errors import ConfigError, DataError, suggest
from fireact.jsonl import decode_text, distinct, open_file, read_located
from fireact.types import Question, Score


@dataclass(kw_only=True)
class Table:
    """A dataset of files. Each row is one question."""

    train: Path | None = None
    """The file of each split, .jsonl or .csv with a header; None where there is none."""
    validation: Path | None = None
    test: Path | None = None
    passages: Path | None = None
    """The corpus to search in: a jsonl file of {id, title, text}."""
    question: str = "question"
    """The column that holds the question."""
    answer: str = "answer"
    """The column that holds the answer: text, a number, true or false (read as yes or no), or in jsonl a list of these,
    the canonical one first."""
    id: str = "id"
    """The column that tells rows apart. Where there is none, a hash of the question does."""
    kind: str = "kind"
    """The column by whose values results are broken down; it may be missing."""

    def questions(self, split: str) -> list[Question]:
        """All questions of a split, in the order of its file.

        Raises ConfigError for a split that has no file, DataError for a file that cannot be read as one.
        """
        path = self._path(split)
        questions = list(distinct((where, self._question(row, where)) for where, row in _rows(path)))
        if not questions:
            raise DataError(f"{path} is empty; expected one question a row, "
                            f"with the columns {self.question!r} and {self.answer!r}")
        return questions

    def corpus(self) -> Path | None:
        """The passages to search in."""
        return self.passages

    def score(self, question: Question, answer: str | None) -> Score:
        """Exact match and F1 against the best of the answers."""
        return scoring.score(answer, question.answers)

    def _path(self, split: str) -> Path:
        files = {"train": self.train, "validation": self.validation, "test": self.test}
        if split not in files:
            raise ConfigError(f"the dataset has no split {split!r}{suggest(split, files)}")
        path = files[split]
        if path is None:
            raise ConfigError(f"the dataset has no file for the split {split!r}; "
                              f"name one, e.g. dataset.{split}=my/questions.jsonl")
        return path

    def _question(self, row: Mapping[str, Any], where: str) -> Question:
        text = _text(_cell(row, self.question, "question", where), "question", where)
        id = self._optional(row, "id", where)
        return Question(
            id=id or hashlib.sha256(text.encode()).hexdigest()[:16],
            text=text,
            answers=_answers(_cell(row, self.answer, "answer", where), where),
            kind=self._optional(row, "kind", where),
        )

    def _optional(self, row: Mapping[str, Any], role: Literal["id", "kind"], where: str) -> str:
        """A cell as text, '' where it is empty. A column that was named on purpose must be there."""
        column, default = getattr(self, role), getattr(Table, role)
        value = row.get(column) if column == default else _cell(row, column, role, where)
        return "" if value in (None, "") else _text(value, role, where)


def _answers(cell: Any, where: str) -> tuple[str, ...]:
    answers = [_text(value, "answer", where) for value in (cell if isinstance(cell, list) else [cell])]
    if not answers:
        raise DataError(f"{where}: the list of answers is empty; expected at least one")
    for answer in answers:
        if not scoring.normalize(answer):
            raise DataError(f"{where}: the answer {answer!r} is empty once articles and punctuation are dropped, "
                            "so that no reply could match it; write the answer out")
    return tuple(dict.fromkeys(answers))


def _cell(row: Mapping[str, Any], column: str, role: str, where: str) -> Any:
    if column not in row:
        raise DataError(f"{where}: there is no column {column!r}{suggest(column, row)}; "
                        f"name the column with dataset.{role}=...")
    return row[column]


def _text(value: Any, role: str, where: str) -> str:
    """A cell as text: true is yes, 3.0 is 3."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: the {role} is {str(value)[:80]!r}; expected text, a number, true or false")
    return value.strip()


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each row with the place where it stands."""
    if path.suffix.lower() == ".jsonl":
        return read_located(path, dict)
    if path.suffix.lower() == ".csv":
        return _csv_rows(path)
    raise DataError(f"{path}: the ending {path.suffix!r} is unknown; expected a .jsonl or .csv file")


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with open_file(path) as file:
        text = decode_text(file.read(), str(path))
    reader = csv.DictReader(StringIO(text, newline=""), strict=True)
    line = 0
    try:
        for row in reader:
            line = reader.line_num
            where = f"{path}:{line}"
            if None in row or None in row.values():
                raise DataError(f"{where}: the row has not the {len(reader.fieldnames or ())} cells of the header; "
                                "put a cell that holds a comma into double quotes")
            yield where, row
    except csv.Error as error:
        raise DataError(f"{path}:{line + 1}: {error}; expected comma-separated values with a header") from None
