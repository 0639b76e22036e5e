"""What the episodes of some series came to, by question. Of several attempts at a question the first counts."""

from collections.abc import Sequence

import numpy as np

from fireact.stats import Estimate, Outcomes, estimate
from fireact.study.types import Series, Study


def table(study: Study, series: Sequence[int], name: str = "em") -> np.ndarray:
    """Return values of shape (series, questions of the dataset), NaN where a series lacks a question.

    All series are of one dataset. `name` is a column of `Series.values`.
    """
    wanted = [study.series[index] for index in series]
    found = np.full((len(wanted), len(study.questions[wanted[0].dataset])), np.nan)
    for row, part in zip(found, wanted, strict=True):
        first = part.attempt == 0
        row[part.question[first]] = part.values[name][first]
    return found


def mean_by_question(study: Study, series: Sequence[int], name: str = "em") -> np.ndarray:
    """Return the mean over some series for each question of their dataset, NaN where none has it."""
    values = table(study, series, name)
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def outcomes(values: np.ndarray) -> Outcomes:
    """Return the values of a `table`, or of one row of it, by the question's number as text."""
    values = np.atleast_2d(values)
    known = ~np.isnan(values)
    if known.all():
        return dict(zip(map(str, range(values.shape[1])), values.T.tolist(), strict=True))
    return {str(number): values[known[:, number], number].tolist() for number in np.flatnonzero(known.any(axis=0))}


def estimated(values: np.ndarray) -> Estimate:
    """Estimate the mean over questions of a `table` of shares, clustered by question. Raises ValueError for none."""
    return estimate(outcomes(values))


def counted(series: Series) -> np.ndarray:
    """The indices of the episodes that count in `series`: first attempts."""
    return np.flatnonzero(series.attempt == 0)
