"""Your own questions, or any dataset of the hub, with a column for the question and one for the answer.

    python main.py dataset=table dataset.test=my/questions.csv dataset.passages=my/passages.jsonl
    python main.py dataset=table dataset.test=hub:OWNER/NAME/validation dataset.answer=target
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fireact.dataset import scoring
from fireact.dataset.rows import plain_text, rows
from fireact.dataset.splits import Source, ordered, source_of, sources_of
from fireact.errors import DataError, suggest
from fireact.options import CONTENT, RUNTIME
from fireact.types import Question, Score


@dataclass(kw_only=True)
class Table:
    """A dataset of files. Each row is one question."""

    train: Source = None
    """The source of each split: a .jsonl, .json, .csv (with a header) or .parquet file, a folder of csv files, or
    hub:OWNER/NAME[/CONFIG]/SPLIT; None where there is none."""
    validation: Source = None
    test: Source = None
    passages: Annotated[str | None, CONTENT] = None
    """The corpus to search in: a jsonl file of {id, title, text}."""
    question: str = "question"
    """The column that holds the question."""
    answer: str = "answer"
    """The column that holds the answer: text, a number, true or false (read as yes or no), or but for csv a list of
    these, the canonical one first."""
    id: str = "id"
    """The column that tells rows apart. Where there is none, a hash of the question does."""
    kind: str = "kind"
    """The column by whose values results are broken down; it may be missing."""
    shuffle: int | None = None
    """The seed that orders the questions; None leaves them in the source's order."""
    prefix: str = ""
    """Put before every question."""
    prompt: str = "hotpotqa"
    """The few-shot texts that are shown: a name in strategy/prompts/*/, or a path."""
    evaluation_split: Annotated[Literal["train", "validation", "test"], RUNTIME] = "test"
    """The split that results are reported on."""

    def questions(self, split: str) -> list[Question]:
        """All questions of a split.

        Raises ConfigError for a split that has none, DataError for one that cannot be read.
        """
        source = source_of(sources_of(self), split)
        return ordered(source, ((where, self._question(row, where)) for where, row in rows(source)),
                       self.shuffle)

    def corpus(self) -> Path | None:
        """The passages to search in."""
        return None if self.passages is None else Path(self.passages)

    def score(self, question: Question, answer: str | None) -> Score:
        """Exact match and F1 against the best of the answers."""
        return scoring.score(answer, question.answers)

    def _question(self, row: Mapping[str, Any], where: str) -> Question:
        text = plain_text(_cell(row, self.question, "question", where), "question", where)
        id = self._optional(row, "id", where)
        return Question(
            id=id or hashlib.sha256(text.encode()).hexdigest()[:16],
            text=self.prefix + text,
            answers=_answers(_cell(row, self.answer, "answer", where), where),
            kind=self._optional(row, "kind", where),
        )

    def _optional(self, row: Mapping[str, Any], role: Literal["id", "kind"], where: str) -> str:
        """A cell as text, '' where it is empty. A column that was named on purpose must be there."""
        column, default = getattr(self, role), getattr(Table, role)
        value = row.get(column) if column == default else _cell(row, column, role, where)
        return "" if value in (None, "") else plain_text(value, role, where)


def _answers(cell: Any, where: str) -> tuple[str, ...]:
    answers = [plain_text(value, "answer", where) for value in (cell if isinstance(cell, list) else [cell])]
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
