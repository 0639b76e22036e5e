"""MMLU: questions of 57 subjects with four options each (Hendrycks et al., 2021, arXiv 2009.03300).

    python main.py dataset=mmlu                                                 # from the hub
    python main.py dataset=mmlu dataset.train=data/auxiliary_train dataset.validation=data/val dataset.test=data/test
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Any, ClassVar

from fireact.dataset import scoring
from fireact.dataset.rows import Row, cell, parts, rows, text_cell
from fireact.dataset.scoring import Scoring
from fireact.dataset.splits import PAPER_SEED, Source, read, source_of, sources_of
from fireact.errors import ConfigError, DataError
from fireact.options import CONTENT
from fireact.types import Question, Score

_LETTERS = ("A", "B", "C", "D")
_HEADER = ("question", *_LETTERS, "answer")
"""The columns of the original csv files, which have no header."""
_SPLIT = re.compile(r"_(?:dev|val|test|train)$")


@dataclass(kw_only=True)
class MMLU:
    """Questions whose answer is the letter of an option."""

    prompt: ClassVar[str] = "mmlu"
    evaluation_split: ClassVar[str] = "test"

    train: Source = "hub:cais/mmlu/all/auxiliary_train"
    """The source of each split, see `rows`: also a folder of the original csv files, read in the order of their names,
    so that the seeded order is the same on every machine. None where there is none."""
    validation: Source = "hub:cais/mmlu/all/validation"
    test: Source = "hub:cais/mmlu/all/test"
    passages: Annotated[str | None, CONTENT] = None
    """The corpus to search in: a jsonl file of {id, title, text}."""
    shuffle: int | None = PAPER_SEED
    """The seed that orders the questions; None leaves them in the source's order."""
    prefix: str = ""
    """Put before every question; the few-shot texts of the paper have 'Single choice: '."""
    scoring: Scoring = "strict"
    """`faithful`: the answer's first character, as FireAct has it; `strict`: the option that it names."""

    def questions(self, split: str) -> list[Question]:
        """All questions of a split, its subject as `kind`. Raises DataError, ConfigError."""
        source = source_of(sources_of(self), split)
        return read(source, f"mmlu-{split}", _rows(source), self._question, self.shuffle)

    def corpus(self) -> Path | None:
        """The passages to search in."""
        return None if self.passages is None else Path(self.passages)

    def score(self, question: Question, answer: str | None) -> Score:
        """1 for the right option, else 0, as exact match and as F1."""
        return scoring.choice(answer, question.answers[0], question.choices, self.scoring)

    def _question(self, row: Mapping[str, Any], id: str, where: str) -> Question:
        choices = _choices(row, where)
        letter = _letter(row.get("answer"), len(choices), where)
        listed = "".join(f"\n{letter}. {text}" for letter, text in zip(ascii_uppercase, choices, strict=False))
        return Question(id, f"{self.prefix}{text_cell(row, ('question',), where)}{listed}", (letter,),
                        str(row.get("subject") or ""), choices=choices)


def _rows(source: str) -> Iterator[Row]:
    """The rows of a source; those of a csv file get its name as their subject."""
    for part in parts(source):
        subject = _SPLIT.sub("", Path(part).stem) if part.lower().endswith(".csv") else ""
        for where, row in rows(part, _HEADER):
            yield where, {"subject": subject, **row}


def _choices(row: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The options as they are written: "None" and "NA" are texts."""
    options = row["choices"] if "choices" in row else [cell(row, (letter,), where) for letter in _LETTERS]
    if not isinstance(options, list) or not 2 <= len(options) <= len(ascii_uppercase):
        raise DataError(f"{where}: the choices are {str(options)[:80]!r}; expected a list of 2 texts or more")
    if None in options:
        raise DataError(f"{where}: option {ascii_uppercase[options.index(None)]} is missing; if it was the text "
                        '"None" or "NA", the file was written by a program that drops these: take the original')
    return tuple(str(option).strip() for option in options)


def _letter(value: Any, count: int, where: str) -> str:
    """The answer as a letter: written as one, or counted from 0 as on the hub."""
    if value is None or value == "":
        raise ConfigError(f"{where}: the question has no answer; name a source with the column 'answer'")
    letters = ascii_uppercase[:count]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count:
        return letters[value]
    if isinstance(value, str) and value.strip().upper() in tuple(letters):
        return value.strip().upper()
    raise DataError(f"{where}: the answer is {str(value)[:80]!r}; expected one of {', '.join(letters)}, "
                    f"or 0 to {count - 1}; the original csv files have no header")
