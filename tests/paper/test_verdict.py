"""Intervals and verdicts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.paper.verdict import Estimate, interval, judge, share

shares = st.tuples(st.integers(0, 500), st.just(500)).map(lambda pair: share(pair[0] / pair[1], pair[1]))


def test_the_interval_of_a_known_case() -> None:
    """7 of 8 and 5 of 8 with Agresti and Caffo's added: (8/10, 6/10), and an error of sqrt(.16/10 + .24/10) = .2."""
    low, high = interval(share(7 / 8, 8), share(5 / 8, 8)) or (0, 0)
    assert (low, high) == pytest.approx((-0.2 - 1.959964 * 0.2, -0.2 + 1.959964 * 0.2))


def test_the_verdict_goes_by_the_side_of_the_interval() -> None:
    assert judge((-0.1, 0.1)) == "within error"
    assert judge((0.01, 0.1)) == "above"
    assert judge((-0.1, -0.01)) == "below"


def test_nothing_is_certain_of_none_of_a_hundred() -> None:
    low, high = interval(share(0, 100), share(0, 100)) or (0, 0)
    assert low < 0 < high
    assert interval(share(0, 100), share(0.005, 200)) is not None


def test_without_a_spread_there_is_no_interval() -> None:
    assert interval(Estimate(2.2e-3), Estimate(2.0e-3)) is None
    assert interval(share(0.3, 500), Estimate(0.3)) is None


def test_means_have_the_normal_interval() -> None:
    assert interval(Estimate(3.2, 0.3), Estimate(3.0, 0.4)) == pytest.approx((-0.2 - 0.979982, -0.2 + 0.979982))


@given(shares, shares)
def test_swapping_the_sides_turns_the_interval_around(first: Estimate, second: Estimate) -> None:
    low, high = interval(first, second) or (0, 0)
    assert interval(second, first) == pytest.approx((-high, -low))


@given(shares)
def test_equal_shares_are_within_error(one: Estimate) -> None:
    low, high = interval(one, one) or (1, 1)
    assert judge((low, high)) == "within error"


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5])
def test_the_interval_holds_the_truth_95_times_of_100(p: float) -> None:
    """Two samples of the same share, 500 and 125 questions: the verdict errs about one time in twenty."""
    draw, wrong, rounds = random.Random(0), 0, 2000
    for _ in range(rounds):
        first, second = (share(sum(draw.random() < p for _ in range(n)) / n, n) for n in (500, 125))
        wrong += judge(interval(first, second) or (1, 1)) != "within error"
    assert 0.03 <= wrong / rounds <= 0.065
