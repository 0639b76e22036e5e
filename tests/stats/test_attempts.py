"""pass@k over questions."""

import numpy as np
import pytest

from fireact.stats import pass_at, pass_estimate, standard_error
from tests.stats.studies import outcomes


def test_a_question_is_one_value_however_many_attempts_it_had() -> None:
    right = {"a": [1.0, 0.0, 0.0, 0.0], "b": [0.0, 0.0], "c": [1.0, 1.0, 0.0]}
    result = pass_estimate(2, right)
    values = [pass_at(2, attempts) for attempts in right.values()]
    assert values == pytest.approx([0.5, 0.0, 1.0])
    assert (result.value, result.se, result.n) == (pytest.approx(0.5), pytest.approx(standard_error(values)), 3)


def test_the_interval_covers_the_truth() -> None:
    """Chances of success are spread evenly over 0..1: pass@4 is 1 - 1/5."""
    rng = np.random.default_rng(0)
    studies = [pass_estimate(4, outcomes(rng.random((40, 8)) < rng.random((40, 1)))) for _ in range(400)]
    assert 0.92 <= np.mean([each.low <= 0.8 <= each.high for each in studies]) <= 0.98


@pytest.mark.parametrize("k", [0, 3])
def test_more_attempts_than_there_were_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match=rf"pass@{k} needs {k} attempts, at least 1, and question 'a' has 2"):
        pass_estimate(k, {"a": [0.0, 1.0]})
