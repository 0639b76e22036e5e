"""HotpotQA: questions that take two Wikipedia paragraphs to answer (Yang et al., 2018, arXiv 1809.09600).

    python main.py dataset=hotpotqa                                             # from the hub
    python main.py dataset=hotpotqa dataset.train=null dataset.validation=hotpot_dev_distractor_v1.json
    python main.py dataset=hotpotqa dataset.train=null dataset.validation=dev.jsonl dataset.passages=corpus.jsonl

The paragraphs that come along with the questions can be the corpus of the search tool: everything then runs offline.
Where the gold paragraphs are known, a question has a plan, for the scripted expert.
"""

import hashlib
import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from fireact.dataset import scoring
from fireact.dataset.paragraphs import Paragraph, build_corpus, find_titles
from fireact.dataset.rows import plain_text, rows, text_cell
from fireact.dataset.scoring import Scoring
from fireact.dataset.splits import PAPER_SEED, Source, ordered, row_id, source_of, sources_of
from fireact.errors import ConfigError, DataError
from fireact.options import CONTENT, RUNTIME
from fireact.plan import Plan, source_hop
from fireact.retrieval import Passage
from fireact.types import Question, Score

Facts = dict[str, list[int]]
"""The numbers of the supporting sentences, counted from 0, by the title of their paragraph."""


@dataclass(kw_only=True)
class HotpotQA:
    """Questions with short answers, or yes and no."""

    prompt: ClassVar[str] = "hotpotqa"
    evaluation_split: ClassVar[str] = "validation"

    home: Annotated[Path, RUNTIME]
    """Where a corpus is kept that was made of the questions' paragraphs."""
    train: Source = "hub:hotpotqa/hot_pot_qa/distractor/train"
    """The source of each split, see `rows`; None where there is none. The original test questions have no answers."""
    validation: Source = "hub:hotpotqa/hot_pot_qa/distractor/validation"
    test: Source = None
    setting: Literal["distractor", "fullwiki"] = "distractor"
    """`distractor`: without `passages`, the paragraphs of all splits' questions are the corpus (ten a question; of the
    whole of HotpotQA some 500,000); `fullwiki`: without `passages` there is none, for tools that search the web."""
    passages: Annotated[str | None, CONTENT] = None
    """The corpus to search in: a jsonl file of {id, title, text}."""
    shuffle: int | None = PAPER_SEED
    """The seed that orders the questions; None leaves them in the source's order."""
    prefix: str = ""
    """Put before every question."""
    scoring: Scoring = "strict"
    """`faithful`: exact match and F1 as FireAct has them; `strict`: accents and typographic signs allowed."""

    def questions(self, split: str) -> list[Question]:
        """All questions of a split, with plans where their gold paragraphs are known. Raises DataError, ConfigError."""
        source = source_of(sources_of(self), split)
        facts: dict[str, Facts] = {}
        own: dict[str, dict[str, Paragraph]] = {}
        located: list[tuple[str, Question]] = []
        for i, (where, row) in enumerate(rows(source)):
            question = self._question(row, row_id(row, split, i), where)
            cited = facts[question.id] = _facts(row, where)
            own[question.id] = {title: found for title, found in _context(row, where).items() if title in cited}
            located.append((where, question))
        titles = {title for cited in facts.values() for title in cited}
        in_file = find_titles(Path(self.passages), titles) if self.passages else {}
        return [self._explained(question, facts[question.id], own[question.id], in_file)
                for question in ordered(source, located, self.shuffle)]

    def corpus(self) -> Path | None:
        """The passages to search in: those named, or else the questions' own, collected once. Raises DataError."""
        if self.passages is not None:
            return Path(self.passages)
        if self.setting == "fullwiki":
            return None
        sources = [str(source) for source in sources_of(self).values() if source is not None]
        return build_corpus(self.home, sources, lambda: _passages(sources))

    def score(self, question: Question, answer: str | None) -> Score:
        """Exact match and F1."""
        return scoring.short_answer(answer, question.answers, self.scoring)

    def _question(self, row: Mapping[str, Any], id: str, where: str) -> Question:
        if row.get("answer") in (None, ""):
            raise ConfigError(f"{where}: the question has no answer; HotpotQA's test split is without labels, "
                              "so play the split validation, or name a source with the column 'answer'")
        return Question(id, self.prefix + text_cell(row, ("question",), where),
                        (plain_text(row["answer"], "answer", where),), str(row.get("type") or ""))

    def _explained(self, question: Question, facts: Facts, own: Mapping[str, Paragraph],
                   in_file: Mapping[str, Paragraph]) -> Question:
        """Add the gold passages' ids and, where all are known, the plan."""
        searched = in_file if self.passages else own if self.setting == "distractor" else {}
        found = [paragraph for title in facts if (paragraph := in_file.get(title) or own.get(title))]
        # A brace in a title would be taken for a slot of the plan.
        complete = len(found) == len(facts) > 0 and not any("{" in title for title in facts)
        return replace(question, gold=tuple(searched[title].id for title in facts if title in searched),
                       plan=_plan(question, found, facts) if complete else None)


def _plan(question: Question, paragraphs: Sequence[Paragraph], facts: Facts) -> Plan:
    """One search a gold title; in a bridge question the title that the question leads to comes first."""
    first, *rest = paragraphs
    if len(rest) == 1 and _leads(question, rest[0], first) > _leads(question, first, rest[0]):
        first, rest = rest[0], [first]
    hops = []
    for paragraph in (first, *rest):
        cited = [paragraph.sentences[i] for i in facts[paragraph.title] if i < len(paragraph.sentences)]
        hops.append(source_hop(paragraph.title, cited or paragraph.sentences, len(hops) + 1))
    return Plan(tuple(hops), "given", answer=question.answers[0])


def _leads(question: Question, first: Paragraph, second: Paragraph) -> int:
    """How much speaks for reading `first` before `second`."""
    answer = question.answers[0].casefold()
    return ((_bare(first.title) in question.text.casefold())
            + (_bare(second.title) in first.text.casefold())
            + (answer in second.text.casefold()))


def _bare(title: str) -> str:
    return title.partition(" (")[0].casefold()


def _context(row: Mapping[str, Any], where: str) -> dict[str, Paragraph]:
    """The paragraphs of a row by title: [[title, [sentence, ...]], ...], or as on the hub two lists."""
    found = {}
    for title, sentences in _pairs(row.get("context"), "sentences", where):
        if not isinstance(sentences, list):
            raise DataError(f"{where}: the context is not of the form [[title, [sentence, ...]], ...]")
        title, sentences = html.unescape(title), tuple(html.unescape(str(sentence)) for sentence in sentences)
        id = hashlib.sha256("\n".join((title, *sentences)).encode("utf-8", "replace")).hexdigest()[:16]
        found.setdefault(title, Paragraph(id, title, sentences))
    return found


def _facts(row: Mapping[str, Any], where: str) -> Facts:
    found: Facts = {}
    for title, sentence in _pairs(row.get("supporting_facts"), "sent_id", where):
        if not isinstance(sentence, int) or sentence < 0:
            raise DataError(f"{where}: the supporting_facts are not of the form [[title, number], ...]")
        found.setdefault(html.unescape(title), []).append(sentence)
    return found


def _pairs(value: Any, second: str, where: str) -> list[tuple[str, Any]]:
    """Pairs of a title and something, from a list of pairs or from the two lists of the hub."""
    if isinstance(value, Mapping):
        columns = [value.get("title", []), value.get(second, [])]
        value = list(zip(*columns, strict=False)) if all(isinstance(column, list) for column in columns) else str(value)
    if value is not None and not isinstance(value, list):
        raise DataError(f"{where}: expected pairs of a title and {second}, got {str(value)[:80]!r}")
    pairs = [tuple(pair) for pair in value or () if isinstance(pair, (list, tuple)) and len(pair) == 2]
    if len(pairs) != len(value or ()) or not all(isinstance(title, str) for title, _ in pairs):
        raise DataError(f"{where}: expected pairs of a title and {second}, got {str(value)[:80]!r}")
    return pairs


def _passages(sources: Sequence[str]) -> Iterator[Passage]:
    for source in sources:
        for where, row in rows(source):
            for paragraph in _context(row, where).values():
                yield Passage(paragraph.id, paragraph.title, paragraph.text)
