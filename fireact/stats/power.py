"""How small a difference a number of questions can show, before anything is run."""

from collections.abc import Callable

from fireact.stats.paired import ALPHA, MCNEMAR, Contrast

POWER = 0.8
"""How often a difference is to be found, by custom."""


def mcnemar_power(n: int, difference: float, disagree: float, alpha: float = ALPHA) -> float:
    """The chance that the exact McNemar test on n questions finds p < alpha.

    `difference` is the true one in EM (0..1 or negative), `disagree` the true share of questions on which just one of
    the two sides is right. Exact: summed over the binomial number of questions that disagree (all but 1e-13 of it),
    and the rejections among these. With m planned contrasts Holm's strictest level is alpha / m. 10,000 questions
    take some milliseconds.

    Raises ValueError unless |difference| <= disagree <= 1.
    """
    import numpy as np
    from scipy.special import bdtr
    from scipy.stats import binom

    if not (n >= 1 and 0 <= abs(difference) <= disagree <= 1 and 0 < alpha < 1):
        raise ValueError(f"|difference| <= disagree <= 1 and 0 < alpha < 1 are needed, and a question, "
                         f"got n={n}, difference={difference}, disagree={disagree}, alpha={alpha}")
    if disagree == 0:
        return 0.0
    low, high = binom.ppf([1e-13 / 2, 1 - 1e-13 / 2], n, disagree)
    pairs = np.arange(max(int(low), 1), int(high) + 1)
    # The most questions for the losing side with which the test still rejects; -1 where it never does.
    most = binom.ppf(alpha / 2, pairs, 0.5)
    most -= 2 * bdtr(most, pairs, 0.5) >= alpha
    rejects = most >= 0
    pairs, most, gains = pairs[rejects], most[rejects], (1 + difference / disagree) / 2
    found = bdtr(most, pairs, gains) + bdtr(most, pairs, 1 - gains)
    return float((binom.pmf(pairs, n, disagree) * found).sum())


def smallest_difference(n: int, disagree: float | None = None, power: float = POWER,
                        alpha: float = ALPHA) -> float | None:
    """The smallest true difference in EM that the exact McNemar test on n questions finds with that power.

    `disagree` is the share of questions on which just one side is right; None is the best case, in which every such
    question goes the same way. None is returned where not even the largest difference, `disagree`, is found.
    """
    if disagree is None:
        return _smallest(lambda difference: mcnemar_power(n, difference, difference, alpha), power, 1.0)
    return _smallest(lambda difference: mcnemar_power(n, difference, disagree, alpha), power, disagree)


def detectable(contrast: Contrast, power: float = POWER) -> float | None:
    """The smallest true difference that a contrast's questions would show with that power, among its family.

    By McNemar with the disagreement that was seen; where this is too little to show anything, with all disagreement
    going one way. By sign flips from the standard error and the normal approximation. None where it is not known.
    """
    from scipy.special import ndtri

    alpha = ALPHA / contrast.family
    if contrast.test != MCNEMAR:
        return float(contrast.se * (ndtri(1 - alpha / 2) + ndtri(power))) if contrast.se else None
    if contrast.better is None or contrast.worse is None:
        return None
    seen = (contrast.better + contrast.worse) / contrast.n
    found = smallest_difference(contrast.n, seen, power, alpha)
    return smallest_difference(contrast.n, None, power, alpha) if found is None else found


def _smallest(chance: Callable[[float], float], wanted: float, largest: float) -> float | None:
    """Return the smallest difference that has the wanted chance, which grows with it, to 1e-6."""
    if chance(largest) < wanted:
        return None
    missed, found = 0.0, largest
    while found - missed > 1e-6:
        middle = (missed + found) / 2
        missed, found = (missed, middle) if chance(middle) >= wanted else (middle, found)
    return found
