"""StrategyQA: yes/no questions whose steps are not spelled out (Geva et al., 2021, arXiv 2101.02235).

    python main.py dataset=strategyqa                                           # from the hub
    python main.py dataset=strategyqa dataset.train=data/strategyqa_train.json \
        dataset.validation=data/strategyqa_dev.json dataset.passages=data/strategyqa_train_paragraphs.json
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from fireact.dataset import scoring
from fireact.dataset.paragraphs import build_corpus, find_ids
from fireact.dataset.rows import cell, read_json, rows, text_cell
from fireact.dataset.scoring import Scoring
from fireact.dataset.splits import PAPER_SEED, Source, read, source_of, sources_of
from fireact.errors import ConfigError, DataError
from fireact.options import CONTENT, RUNTIME
from fireact.retrieval import Passage
from fireact.types import Question, Score

_ANSWERS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_NO_PARAGRAPH = {"operation", "no_evidence"}
"""What stands in the original's evidence where an annotator named no paragraph."""


@dataclass(kw_only=True)
class StrategyQA:
    """Questions whose answer is yes or no."""

    prompt: ClassVar[str] = "strategyqa"
    evaluation_split: ClassVar[str] = "validation"

    home: Annotated[Path, RUNTIME]
    """Where a corpus is kept that was made of the original paragraphs."""
    train: Source = "hub:ChilleD/StrategyQA/train"
    """The source of each split, see `rows`; None where there is none. The original test questions have no answers."""
    validation: Source = "hub:ChilleD/StrategyQA/test"
    test: Source = None
    passages: Annotated[str | None, CONTENT] = None
    """The corpus to search in: a jsonl file of {id, title, text}, or the original strategyqa_train_paragraphs.json."""
    shuffle: int | None = PAPER_SEED
    """The seed that orders the questions; None leaves them in the source's order."""
    prefix: str = ""
    """Put before every question; the few-shot texts of the paper have 'Yes or no: '."""
    scoring: Scoring = "strict"
    """`faithful`: how the answer begins, as FireAct has it; `strict`: what it says."""

    def questions(self, split: str) -> list[Question]:
        """All questions of a split. Raises DataError, ConfigError."""
        source = source_of(sources_of(self), split)
        questions = read(source, split, rows(source), self._question, self.shuffle)
        corpus = self.corpus()
        known = find_ids(corpus, {id for question in questions for id in question.gold}) if corpus else set()
        return [replace(question, gold=tuple(id for id in question.gold if id in known)) for question in questions]

    def corpus(self) -> Path | None:
        """The passages to search in. Raises DataError for paragraphs that cannot be read."""
        path = None if self.passages is None else Path(self.passages)
        if path and path.suffix.lower() == ".json":
            return build_corpus(self.home, [str(path)], lambda: _paragraphs(path))
        return path

    def score(self, question: Question, answer: str | None) -> Score:
        """1 for the right answer, else 0, as exact match and as F1."""
        return scoring.yes_no(answer, question.answers[0], self.scoring)

    def _question(self, row: Mapping[str, Any], id: str, where: str) -> Question:
        if row.get("answer") is None:
            raise ConfigError(f"{where}: the question has no answer; StrategyQA's test split is without labels, "
                              "so play another split, or name a source with the column 'answer'")
        value = row["answer"]
        answer = _ANSWERS.get(str(value).strip().lower())
        if answer is None:
            raise DataError(f"{where}: the answer is {str(value)[:80]!r}; expected true, false, yes or no")
        evidence = row.get("evidence_by_annotator") or row.get("evidence") or ()
        return Question(id, self.prefix + text_cell(row, ("question",), where), (answer,), "yes_no",
                        tuple(dict.fromkeys(_ids(evidence))))


def _ids(evidence: Any) -> Iterator[str]:
    """The ids of all paragraphs that an annotator named, however deep they are nested."""
    if isinstance(evidence, str):
        if evidence not in _NO_PARAGRAPH:
            yield evidence
    elif isinstance(evidence, (list, tuple)):
        for part in evidence:
            yield from _ids(part)


def _paragraphs(path: Path) -> Iterator[Passage]:
    """The original paragraphs: {id: {title, section, content, ...}}."""
    values = read_json(path)
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected an object of paragraphs by id, got {type(values).__name__}; "
                        "a corpus of your own is a jsonl file of {id, title, text}")
    for id, value in values.items():
        where = f"{path}: {id}"
        if not isinstance(value, dict):
            raise DataError(f"{where}: expected an object with title and content, got {str(value)[:80]!r}")
        yield Passage(id, text_cell(value, ("title",), where), str(cell(value, ("content",), where)))
