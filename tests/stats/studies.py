"""Simulated studies, whose truth is known: questions differ in difficulty, which all attempts at one share."""

import numpy as np
from numpy.typing import NDArray

from fireact.stats import Outcomes


def seeds(rng: np.random.Generator, studies: int, questions: int, attempts: int, share: float,
          alike: float) -> NDArray:
    """Mean EM of shape (studies, questions) with the true mean `share`; `alike` is the correlation of two attempts."""
    if not alike:
        return rng.binomial(attempts, share, (studies, questions)) / attempts
    size = (1 - alike) / alike
    return rng.binomial(attempts, rng.beta(share * size, (1 - share) * size, (studies, questions))) / attempts


def f1(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> NDArray:
    """F1 as it comes: mostly 0 and 1, some between; the true mean is `share`, at most 0.6."""
    drawn = rng.random(shape)
    return np.where(drawn < 0.7 * share, 1.0, np.where(drawn < 1.45 * share, rng.beta(2, 3, shape), 0.0))


def outcomes(values: NDArray) -> Outcomes:
    """Questions by name, from an array of shape (questions,) or (questions, attempts)."""
    return {f"q{number}": row for number, row in enumerate(values.reshape(len(values), -1).tolist())}
