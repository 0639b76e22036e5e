"""Several attempts at a question: how often one of k is right, and whether the majority is."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fireact.dataset.scoring import normalize
from fireact.stats import mean, pass_at, standard_error
from fireact.types import Trajectory


@dataclass
class Attempts:
    """What is known of one question's attempts: whether each was right, and the answers that were given."""

    right: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    score: dict[str, float] = field(default_factory=dict)
    """Whether an answer is right, by the answer."""

    def majority(self) -> float:
        """Whether the most frequent answer is right; of equally frequent ones the one that came first."""
        return self.score[self.answers.most_common(1)[0][0]] if self.answers else 0.0


def by_question(records: Iterable[Trajectory]) -> dict[str, Attempts]:
    """Gather the attempts of each question; records of a question are in the order of its attempts."""
    found: dict[str, Attempts] = {}
    for record in records:
        mine = found.setdefault(record.id, Attempts())
        mine.right.append(record.score.em)
        if record.answer is not None:
            text = normalize(record.answer)
            mine.answers[text] += 1
            mine.score.setdefault(text, record.score.em)
    return found


def summarize(records: Iterable[Trajectory]) -> dict[str, Any]:
    """Return pass@k for k = 1, 2, 4, ... up to all attempts, and the majority's exact match, with standard errors.

    Empty where each question has one attempt. Where some have more than others, as attempts that end with the first
    right answer, there is only the share of questions that were `solved`.
    """
    questions = list(by_question(records).values())
    n, most = (choose((len(question.right) for question in questions), default=0) for choose in (min, max))
    if most < 2:
        return {}
    solved = {"attempts": most, "solved": mean([float(any(question.right)) for question in questions])}
    if n < most:
        return solved
    powers = [k for k in (2**power for power in range(11)) if k < n] + [n]
    passes = {k: [pass_at(k, question.right) for question in questions] for k in powers}
    majority = [question.majority() for question in questions]
    return {**solved, "pass": {str(k): mean(values) for k, values in passes.items()},
            "pass_se": {str(k): standard_error(values) for k, values in passes.items()},
            "majority": mean(majority), "majority_se": standard_error(majority)}
