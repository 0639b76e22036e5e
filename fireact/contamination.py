"""Contamination: which training questions are asked again in an evaluation, word for word or nearly so.

    index = Index(("strategyqa", question) for question in dataset.questions("dev"))
    index.find("Yes or no: Did Aristotle use a laptop?")

FireAct's released multi-task data hold 37 and 55 of StrategyQA's 229 dev questions, all word for word, and none of
HotpotQA's dev, Bamboogle's or a sample of MMLU's.

A near match has the same words of weight, nearly in the same order. The share of n-grams alone cannot tell a question
that was edited from another one of its template: 396 of factbook's 2,400 training questions hold 80% or more of a test
question's word trigrams, and all of them ask for something else. The price is that a question put in other words is not
found: of HotpotQA's 1,093 training questions four hold 60% or more of a dev question's, and one of the four is such.

Two kinds are found that need not be the same question. A comparison whose sides are swapped is a near match where they
are names of several words ("Is the Eiffel Tower larger than the Empire State Building?"), and none where each is one
word. Questions that differ in punctuation alone, as -1 and 1 do, are exact matches. To drop a training question too
many is harmless, to miss one is not.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_uppercase
from typing import Any
from unicodedata import combining
from unicodedata import normalize as unicode_form

from fireact.dataset.scoring import normalize
from fireact.types import Question

N = 2
"""Words in an n-gram. Without light words most of StrategyQA's questions have six or fewer: longer n-grams would leave
little to compare."""
SHARE = 0.5
"""The least share of the evaluation question's n-grams that a near match holds: clauses may change places, but not
single words, as in "Is Niger larger than Chad?"."""
WORDS = 3
"""The fewest words of weight of a near match; shorter questions are found if they are equal."""
STEM = 8
"""The words from which a multiple-choice question is known by its stem, where the other side has no options. Shorter
ones ("Which of the following is true?") belong to many questions."""

_LABEL = re.compile(r"^\s*(?:(?:(?:yes or no|single choice|multiple choice)\b\s*[:.,]?|(?:question|q)\s*:)\s*)+", re.I)
_OPTION = re.compile(r"\s\(?([A-Z])[.):](?=\s)")
_SENTENCE = re.compile(r"[.:;?!]\s|\s[-\u2013\u2014]\s|\n")
_WORD = re.compile(r"\w+(?:'\w+)*")
_LIGHT_WORDS = """
    a an the of in on at to for by with from as into and or is are was were be been being am do does did has have had
    will would shall should can could may might must it its this that these those there which what ever also please
    """
"""Words that may be added, dropped or changed without making another question; `not`, `more` or `when` may not."""
_LIGHT = frozenset(_LIGHT_WORDS.split())


@dataclass(frozen=True)
class Match:
    """A training question that is also an evaluation's."""

    text: str
    """The training question."""
    dataset: str
    """The name of the evaluation set."""
    id: str
    """The id of the evaluation's question."""
    question: str
    """Its text."""
    exact: bool
    """Both are equal after normalisation, but for a label in front and the order of options."""
    share: float
    """The share of the evaluation question's n-grams that the training question holds; 1 for exact matches."""


@dataclass(frozen=True)
class _Entry:
    """An evaluation question, taken apart."""

    dataset: str
    question: Question
    options: frozenset[str]
    grams: frozenset[tuple[str, ...]]
    known: bool
    """The stem is long enough to know it by."""

    def allows(self, options: frozenset[str]) -> bool:
        """Whether a text with these options can be the same question: half of them are, or one side lists none."""
        if self.options and options:
            return 2 * len(self.options & options) >= max(len(self.options), len(options))
        return self.known or self.options == options

    def share(self, words: Sequence[str]) -> float:
        """The share of the n-grams that `words` hold."""
        return len(self.grams & _grams(words)) / len(self.grams)

    def match(self, text: str, exact: bool, share: float) -> Match:
        return Match(text, self.dataset, self.question.id, self.question.text, exact, share)


class Index:
    """Evaluation questions, to be searched by training questions: 100,000 in 10,000 take seconds."""

    def __init__(self, evaluation: Iterable[tuple[str, Question]]) -> None:
        """`evaluation` yields each question with the name of its set; of equal ones the first is found."""
        import Stemmer

        self._stemmer = Stemmer.Stemmer("english")
        self._exact: dict[str, list[_Entry]] = {}
        self._near: dict[tuple[str, ...], list[_Entry]] = {}
        for name, question in evaluation:
            stem, options = _taken_apart(question.text, question.choices)
            words = self._words(stem)
            entry = _Entry(name, question, options, _grams(words), len(stem.split()) >= STEM)
            self._exact.setdefault(normalize(stem), []).append(entry)
            if len(words) >= WORDS:
                self._near.setdefault(tuple(sorted(words)), []).append(entry)
        self._exact.pop("", None)
        self._sizes = {len(words) for words in self._near}

    def find(self, text: str) -> Match | None:
        """Return the evaluation question that `text` asks: an equal one, else the nearest."""
        stem, options = _taken_apart(text)
        for entry in self._exact.get(normalize(stem), ()):
            if entry.allows(options):
                return entry.match(text, True, 1.0)
        near = [(entry.share(words), entry) for words in self._runs(stem)
                for entry in self._near.get(tuple(sorted(words)), ()) if entry.allows(options)]
        share, entry = max(near, key=lambda pair: pair[0], default=(0.0, None))
        return entry.match(text, False, round(share, 4)) if entry and share >= SHARE else None

    def _runs(self, text: str) -> Iterator[list[str]]:
        """Yield the words of every run of sentences that is as long as some question.

        Whole sentences, so that what stands before or after a question does not hide it, and that "the man who founded
        Microsoft" does not ask who founded Microsoft.
        """
        words: list[str] = []
        ends = [0]
        for sentence in _SENTENCE.split(text):
            words += self._words(sentence)
            ends.append(len(words))
        for start, end in combinations(dict.fromkeys(ends), 2):
            if end - start in self._sizes:
                yield words[start:end]

    def _words(self, text: str) -> list[str]:
        """The words of weight, without case, accents and endings."""
        if not text.isascii():
            plain = unicode_form("NFKD", text).replace("\u2019", "'")
            text = "".join(letter for letter in plain if not combining(letter))
        return self._stemmer.stemWords([word for word in _WORD.findall(text.lower()) if word not in _LIGHT])


def report(matches: Iterable[Match]) -> dict[str, dict[str, Any]]:
    """List by evaluation set the distinct questions found, and count those found exactly and those only nearly."""
    exact: dict[str, dict[str, bool]] = {}
    for match in matches:
        found = exact.setdefault(match.dataset, {})
        found[match.id] = match.exact or found.get(match.id, False)
    return {name: {"exact": sum(found.values()), "near": len(found) - sum(found.values()), "questions": sorted(found)}
            for name, found in exact.items()}


def _taken_apart(text: str, choices: Sequence[str] = ()) -> tuple[str, frozenset[str]]:
    """Return a question's stem and its normalised options: a row of A, B, ... behind it, or else `choices`."""
    text = _LABEL.sub("", text)
    stem, *rest = _OPTION.split(text)
    labels, options = rest[::2], rest[1::2]
    if len(labels) < 2 or "".join(labels) != ascii_uppercase[: len(labels)]:
        stem, options = text, list(choices)
    return stem, frozenset(normalize(option) for option in options)


def _grams(words: Sequence[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(words[i: i + N]) for i in range(len(words) - N + 1))
