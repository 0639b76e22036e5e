"""Standard errors and paired tests: which difference between two models on the same questions can be believed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z = 1.959964
"""The 97.5% point of the normal distribution."""


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
    """Tango's score interval for paired proportions: all differences that the score test does not reject."""
    p: float
    """Exact McNemar test, two-sided."""
    n: int


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Compare two sequences of 0 or 1, one value a question in the same order.

    Raises ValueError where their lengths differ or are 0.
    """
    from scipy.stats import binomtest

    if len(first) != len(second) or not first:
        raise ValueError(f"a paired test needs the same questions on both sides, got {len(first)} and {len(second)}")
    pairs = list(zip(first, second, strict=True))
    better, worse, n = sum(b > a for a, b in pairs), sum(b < a for a, b in pairs), len(pairs)
    p = binomtest(better, better + worse, 0.5).pvalue if better + worse else 1.0
    # What is true of one side is true of the other once they are swapped, so one end is enough to be found.
    ci95 = (-_upper_end(worse, better, n), _upper_end(better, worse, n))
    return Difference((better - worse) / n, ci95, float(p), n)


def _upper_end(better: int, worse: int, n: int) -> float:
    """Return the largest difference that the score test does not reject at 5%, by bisection.

    Unlike the bootstrap it keeps its width where all pairs agree: of n pairs without a difference it goes up to
    z^2 / (n + z^2). Source: T. Tango, Statistics in Medicine 17 (1998), 891-908.
    """
    kept, rejected = (better - worse) / n, 1.0
    for _ in range(50):
        middle = (kept + rejected) / 2
        if (better - worse - n * middle) ** 2 <= Z**2 * _variance(better, worse, n, middle):
            kept = middle
        else:
            rejected = middle
    return kept


def _variance(better: int, worse: int, n: int, difference: float) -> float:
    """The variance of `better - worse` under a true difference, at the likeliest share of pairs that got worse."""
    linear = (2 * n - better + worse) * difference - better - worse
    root = math.sqrt(max(0.0, linear**2 + 8 * n * worse * difference * (1 - difference)))
    share = (root - linear) / (4 * n)
    return n * max(0.0, 2 * share + difference * (1 - difference))
