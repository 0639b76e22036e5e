"""Means, standard errors, and the values of many questions that several attempts were made at."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z = 1.959964
"""The 97.5% point of the normal distribution."""

Outcomes = Mapping[str, Sequence[float]]
"""Question id -> its values, one for each seed or attempt: EM, F1, tokens, seconds."""


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def standard_error(values: Sequence[float]) -> float | None:
    """The standard error of the mean from the real n, or None for fewer than two values."""
    if len(values) < 2:
        return None
    centre = mean(values)
    variance = sum((value - centre) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance / len(values))


def question_means(outcomes: Outcomes, *, share: bool) -> "NDArray":
    """The mean of each question's values, in the order of the mapping.

    Raises ValueError for no questions, a question without values, values that are no finite numbers, and, for a share,
    values outside 0..1.
    """
    import numpy as np

    if not outcomes:
        raise ValueError("there are no questions")
    for question, values in outcomes.items():
        if not len(values):
            raise ValueError(f"question {question!r} has no values")
        if share and not (min(values) >= 0 and max(values) <= 1):
            raise ValueError(f"question {question!r} has {list(values)}, expected a share between 0 and 1; "
                             "amounts, such as tokens, need share=False")
    means = np.array([sum(values) / len(values) for values in outcomes.values()])
    if not np.isfinite(means).all():
        question = list(outcomes)[int(np.flatnonzero(~np.isfinite(means))[0])]
        raise ValueError(f"question {question!r} has {list(outcomes[question])}, expected finite numbers")
    return means


def t_quantile(level: float, questions: int) -> float:
    """A quantile of Student's t for a mean over that many questions; of one, that for two."""
    from scipy.special import stdtrit

    return float(stdtrit(max(questions - 1, 1), level))
