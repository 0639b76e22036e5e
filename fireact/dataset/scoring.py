"""How an answer is judged: HotpotQA's exact match and F1 (its official evaluation script, 2018)."""

import re
import string
from collections import Counter
from collections.abc import Iterable

from fireact.types import Score

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CLOSED = {"yes", "no", "noanswer"}


def normalize(text: str) -> str:
    """Lower the case, drop punctuation and the articles a, an, the, squeeze spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: str) -> float:
    """1.0 where both are equal after normalisation, else 0.0."""
    return float(normalize(answer) == normalize(gold))


def f1(answer: str, gold: str) -> float:
    """The harmonic mean of token precision and recall; 0 where one side is yes, no or noanswer and they differ."""
    ours, theirs = normalize(answer), normalize(gold)
    if ours != theirs and _CLOSED & {ours, theirs}:
        return 0.0
    shared = sum((Counter(ours.split()) & Counter(theirs.split())).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(ours.split()), shared / len(theirs.split())
    return 2 * precision * recall / (precision + recall)


def score(answer: str | None, answers: Iterable[str]) -> Score:
    """The best score of an answer against the canonical one and its aliases.

    No answer, or one that is empty once normalised, scores 0, and so does any answer where no gold one is known.
    """
    if not answer or not normalize(answer):
        return Score(em=0.0, f1=0.0)
    golds = list(answers)
    return Score(em=max((exact_match(answer, gold) for gold in golds), default=0.0),
                 f1=max((f1(answer, gold) for gold in golds), default=0.0))
