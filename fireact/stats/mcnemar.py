"""Two sides with one outcome of 0 or 1 a question: the exact McNemar test and Tango's interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fireact.stats.means import Z


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
    return Difference((better - worse) / n, tango(better, worse, n), float(p), n)


def tango(better: float, worse: float, n: float, z: float = Z) -> tuple[float, float]:
    """All differences of two paired proportions that the score test does not reject; counts may be fractions.

    Unlike the bootstrap it keeps its width where all pairs agree: of n pairs without a difference it goes up to
    z^2 / (n + z^2). Source: T. Tango, Statistics in Medicine 17 (1998), 891-908.
    """
    # What is true of one side is true of the other once they are swapped, so one end is enough to be found.
    return -_upper_end(worse, better, n, z), _upper_end(better, worse, n, z)


def _upper_end(better: float, worse: float, n: float, z: float) -> float:
    """Return the largest difference that the score test does not reject, by bisection."""
    kept, rejected = (better - worse) / n, 1.0
    for _ in range(50):
        middle = (kept + rejected) / 2
        if (better - worse - n * middle) ** 2 <= z**2 * _variance(better, worse, n, middle):
            kept = middle
        else:
            rejected = middle
    return kept


def _variance(better: float, worse: float, n: float, difference: float) -> float:
    """The variance of `better - worse` under a true difference, at the likeliest share of pairs that got worse."""
    linear = (2 * n - better + worse) * difference - better - worse
    root = math.sqrt(max(0.0, linear**2 + 8 * n * worse * difference * (1 - difference)))
    share = (root - linear) / (4 * n)
    return n * max(0.0, 2 * share + difference * (1 - difference))
