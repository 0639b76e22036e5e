"""Whether two values can be told apart: standard errors from the true n, a 95% interval, and a verdict.

The rule. Ours is `within error` of the paper's where the 95% interval of the difference holds 0, else `above` or
`below`. For exact match the interval is Agresti and Caffo's for two independent proportions (The American Statistician
54 (2000), 280-288): a success and a failure are added to either side, so that 0 of 100 is not taken to be certain. For
means (F1, turns) it is the normal one. Both sides mostly played the same questions, and how the paper's model did on
each is not known, so the pairs cannot be used: the rule errs towards `within error`.
"""

import math
from dataclasses import dataclass
from typing import Literal

from fireact.stats import Z

Verdict = Literal["within error", "above", "below", "not comparable"]


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error, None where there is none, and the number of questions or episodes behind it."""

    value: float
    se: float | None = None
    n: int | None = None
    share: bool = False
    """Whether it counts successes, as exact match does."""


def share(value: float, n: int) -> Estimate:
    """The estimate of a proportion, between 0 and 1."""
    return Estimate(value, bounded_error(value, n), n, share=True)


def bounded_error(value: float, n: int) -> float:
    """The standard error of a proportion; the largest one that a mean of values between 0 and 1 can have."""
    return math.sqrt(value * (1 - value) / n)


def interval(paper: Estimate, ours: Estimate) -> tuple[float, float] | None:
    """The 95% interval of ours - paper, or None where one of them has no standard error."""
    if paper.se is None or ours.se is None:
        return None
    if paper.share and ours.share and paper.n and ours.n:
        return _agresti_caffo(paper.value, paper.n, ours.value, ours.n)
    middle, reach = ours.value - paper.value, Z * math.hypot(paper.se, ours.se)
    return middle - reach, middle + reach


def judge(difference: tuple[float, float]) -> Verdict:
    """Say on which side of the paper's value ours is, from the interval of the difference."""
    low, high = difference
    if low <= 0 <= high:
        return "within error"
    return "above" if low > 0 else "below"


def _agresti_caffo(first: float, n: int, second: float, m: int) -> tuple[float, float]:
    p, q = (first * n + 1) / (n + 2), (second * m + 1) / (m + 2)
    reach = Z * math.sqrt(p * (1 - p) / (n + 2) + q * (1 - q) / (m + 2))
    return q - p - reach, q - p + reach
