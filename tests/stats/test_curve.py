"""Learning curves: what they reach, with how many samples, and how sure that is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from fireact.stats import Outside, estimate, learning_curve, needed
from fireact.stats.curve import Curve
from tests.stats.studies import outcomes

SIZES = (50, 100, 200, 400, 800)


def measured(rng: np.random.Generator, truth: list[float], n: int) -> Curve:
    """Single outcomes whose questions are as hard at one size as at another, so that sizes are correlated."""
    hardness = np.sqrt(0.6) * rng.normal(size=(n, 1)) + np.sqrt(0.4) * rng.normal(size=(n, len(truth)))
    right = (hardness < norm.ppf(truth)).astype(float)
    return learning_curve({size: outcomes(right[:, place]) for place, size in enumerate(SIZES)})


def exact(*shares: float) -> Curve:
    """A curve through these shares of 1,000 questions."""
    return learning_curve({size: outcomes(np.arange(1000) < round(1000 * share))
                           for size, share in zip(SIZES, shares, strict=False)})


def test_sizes_are_estimated_on_the_questions_that_all_have() -> None:
    curve = learning_curve({200: {"b": [1.0], "a": [1.0]}, 100: {"a": [0.0], "b": [1.0], "c": [1.0]}})
    assert list(curve.estimates) == [100, 200]
    assert (curve.n, curve.left_out) == (2, 1)
    assert curve.estimates[100] == estimate({"a": [0.0], "b": [1.0]})


def test_a_target_is_found_between_sizes_by_the_logarithm() -> None:
    curve = exact(0.1, 0.2, 0.3, 0.4, 0.5)
    assert needed(curve, 0.25).samples == pytest.approx(np.sqrt(100 * 200))
    assert needed(curve, 0.2).samples == pytest.approx(100)
    assert needed(curve, 0.5).samples == pytest.approx(800)


def test_a_dip_is_evened_out() -> None:
    """0.4 and 0.2 are taken for 0.3 twice, so 0.35 lies half way from the second of them to 0.4."""
    assert needed(exact(0.1, 0.4, 0.2, 0.4), 0.35).samples == pytest.approx(np.sqrt(200 * 400))


def test_nothing_is_extrapolated() -> None:
    curve = exact(0.1, 0.2, 0.3)
    early, late = needed(curve, 0.02), needed(curve, 0.6)
    assert (early.samples, early.low, early.high) == (Outside.SMALLEST,) * 3
    assert (late.samples, late.low, late.high) == (Outside.BEYOND,) * 3
    near = needed(curve, 0.29)
    assert isinstance(near.samples, float)
    assert near.high is Outside.BEYOND
    assert needed(curve, 0.1).samples is Outside.SMALLEST


def test_few_questions_that_all_fail_do_not_rule_a_target_out() -> None:
    curve = learning_curve({size: outcomes(np.zeros(10)) for size in SIZES})
    result = needed(curve, 0.2)
    assert (result.samples, result.low, result.high) == (Outside.BEYOND, Outside.SMALLEST, Outside.BEYOND)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5), st.floats(0, 1))
def test_the_interval_holds_the_answer(shares, target) -> None:
    def place(samples) -> float:
        return {Outside.SMALLEST: -np.inf, Outside.BEYOND: np.inf}.get(samples, samples)

    result = needed(exact(*shares), target)
    assert place(result.low) <= place(result.samples) <= place(result.high)


@pytest.mark.parametrize("truth", [[0.1, 0.17, 0.24, 0.31, 0.38], [0.02, 0.04, 0.06, 0.09, 0.12],
                                   [0.1, 0.25, 0.33, 0.35, 0.36], [0.8, 0.85, 0.9, 0.95, 0.99]])
@pytest.mark.parametrize("n", [20, 200])
def test_the_interval_covers_the_truth(truth: list[float], n: int) -> None:
    rng, targets = np.random.default_rng(n), [(truth[place] + truth[place + 1]) / 2 for place in range(4)]
    held = np.zeros(4)
    for _ in range(80):
        curve = measured(rng, truth, n)
        for place, target in enumerate(targets):
            result, true = needed(curve, target), np.sqrt(SIZES[place] * SIZES[place + 1])
            held[place] += ((result.low is Outside.SMALLEST or (isinstance(result.low, float) and result.low <= true))
                            and (result.high is Outside.BEYOND
                                 or (isinstance(result.high, float) and true <= result.high)))
    assert (held / 80).min() >= 0.92


@pytest.mark.parametrize(("points", "words"), [
    ({}, "there are no sizes"), ({1: {"a": [1.0]}, 2: {"b": [1.0]}}, r"no question .* all of the sizes \[1, 2\]"),
    ({100: {"a": [1.0]}}, r"two sizes or more, .* got \[100\]"),
    ({0: {"a": [1.0]}, 5: {"a": [1.0]}}, "at least 1 sample")])
def test_what_is_no_curve_is_refused(points, words) -> None:
    with pytest.raises(ValueError, match=words):
        needed(learning_curve(points), 0.5)


def test_amounts_on_one_question_have_no_interval() -> None:
    curve = learning_curve({1: {"a": [10.0]}, 2: {"a": [20.0]}}, share=False)
    with pytest.raises(ValueError, match="one question says nothing"):
        needed(curve, 15.0)
