"""Standard errors and paired tests: which difference between two models on the same questions can be believed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


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


@dataclass(frozen=True)
class Difference:
    """How much better the second of two is on the same questions."""

    em: float
    ci95: tuple[float, float]
    """Percentile bootstrap over questions."""
    p: float
    """Exact McNemar test, two-sided."""
    n: int


def paired_difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Difference:
    """Compare two sequences of 0 or 1, one value a question in the same order.

    Raises ValueError where their lengths differ or are 0.
    """
    import numpy as np
    from scipy.stats import binomtest

    if len(first) != len(second) or not first:
        raise ValueError(f"a paired test needs the same questions on both sides, got {len(first)} and {len(second)}")
    gains = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    # Drawing questions with replacement is drawing how often each gain comes: thousands of questions cost no memory.
    values, counts = np.unique(gains, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(len(gains), counts / len(gains), 10_000)
    low, high = np.percentile(draws @ values / len(gains), [2.5, 97.5])
    better, worse = int((gains > 0).sum()), int((gains < 0).sum())
    p = binomtest(better, better + worse, 0.5).pvalue if better + worse else 1.0
    return Difference(float(gains.mean()), (float(low), float(high)), float(p), len(gains))
