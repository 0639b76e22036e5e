"""pass@k: the chance that one of k attempts at a question is right."""

from collections.abc import Sequence
from math import comb

from fireact.stats.intervals import Estimate, estimate
from fireact.stats.means import Outcomes


def pass_at(k: int, right: Sequence[float]) -> float:
    """Estimate the chance that one of k attempts is right, from n of them, without bias.

    Source: Chen et al., Evaluating Large Language Models Trained on Code (2021), equation 1.
    """
    n, correct = len(right), sum(value > 0 for value in right)
    return 1.0 - comb(n - correct, k) / comb(n, k)


def pass_estimate(k: int, outcomes: Outcomes) -> Estimate:
    """Estimate pass@k over questions; a question is one value, however many attempts it had.

    Raises ValueError where a question has fewer than k attempts, and for no questions.
    """
    for question, right in outcomes.items():
        if not 1 <= k <= len(right):
            raise ValueError(f"pass@{k} needs {k} attempts, at least 1, and question {question!r} has {len(right)}")
    return estimate({question: [pass_at(k, right)] for question, right in outcomes.items()})
