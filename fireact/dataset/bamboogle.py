"""Bamboogle: 125 two-hop questions that a search engine did not answer at once (Press et al., 2022, arXiv 2210.03350).

    python main.py dataset=bamboogle                                    # from the hub
    python main.py dataset=bamboogle dataset.test=data/bamboogle/test.csv
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from fireact.dataset import scoring
from fireact.dataset.rows import cell, plain_text, rows, text_cell
from fireact.dataset.scoring import Scoring
from fireact.dataset.splits import PAPER_SEED, Source, read, source_of, sources_of
from fireact.errors import DataError
from fireact.options import CONTENT
from fireact.types import Question, Score


@dataclass(kw_only=True)
class Bamboogle:
    """Questions with short answers, for evaluation only."""

    prompt: ClassVar[str] = "hotpotqa"
    evaluation_split: ClassVar[str] = "test"

    train: Source = None
    """The source of each split, see `rows`; None where there is none. Bamboogle itself is a test set."""
    validation: Source = None
    test: Source = "hub:chiayewken/bamboogle/test"
    passages: Annotated[str | None, CONTENT] = None
    """The corpus to search in: a jsonl file of {id, title, text}."""
    shuffle: int | None = PAPER_SEED
    """The seed that orders the questions; None leaves them in the source's order."""
    prefix: str = ""
    """Put before every question."""
    scoring: Scoring = "strict"
    """`faithful`: exact match and F1 as FireAct has them; `strict`: aliases, accents and typographic signs allowed."""

    def questions(self, split: str) -> list[Question]:
        """All questions of a split. Raises DataError, ConfigError."""
        source = source_of(sources_of(self), split)
        return read(source, split, rows(source), self._question, self.shuffle)

    def corpus(self) -> Path | None:
        """The passages to search in."""
        return None if self.passages is None else Path(self.passages)

    def score(self, question: Question, answer: str | None) -> Score:
        """Exact match and F1."""
        return scoring.short_answer(answer, question.answers, self.scoring)

    def _question(self, row: Mapping[str, Any], id: str, where: str) -> Question:
        answers = cell(row, ("answers", "Answer", "answer"), where)
        texts = [plain_text(answer, "answer", where) for answer in (answers if isinstance(answers, list) else [answers])
                 if answer is not None and str(answer).strip()]
        if not texts:
            raise DataError(f"{where}: the answer is {str(answers)[:80]!r}; expected text, or a list of texts")
        return Question(id, self.prefix + text_cell(row, ("Question", "question"), where), tuple(dict.fromkeys(texts)))
