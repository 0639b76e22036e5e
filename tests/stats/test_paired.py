"""Contrasts of two cells: the exact test, its interval, and what simulated studies say of both."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fireact.stats import MCNEMAR, SIGN_FLIPS, contrast, paired_difference
from fireact.stats.paired import paired_interval, sign_flips
from tests.stats.studies import f1, outcomes

thirds = st.lists(st.integers(-3, 3), min_size=1, max_size=9).map(lambda counts: np.array(counts) / 3)
sides = st.lists(st.tuples(*[st.lists(st.integers(0, 1), min_size=1, max_size=3)] * 2), min_size=1, max_size=12).map(
    lambda rows: tuple({f"q{number}": row[side] for number, row in enumerate(rows)} for side in (0, 1)))


def enumerated(differences: NDArray) -> float:
    """The share of all choices of signs that lie as far out, one by one."""
    sums = np.array(list(product([-1, 1], repeat=len(differences)))) @ differences
    return float((np.abs(sums) >= abs(differences.sum()) - 1e-9).mean())


def test_one_outcome_a_question_is_compared_by_mcnemars_test() -> None:
    first, second = [0, 0, 0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1, 0, 1]
    result = contrast(outcomes(np.array(first)), outcomes(np.array(second)))
    known = paired_difference(first, second)
    assert (result.value, (result.low, result.high), result.p, result.n) == (known.em, known.ci95, known.p, known.n)
    assert (result.test, result.better, result.worse) == (MCNEMAR, 6, 1)


def test_mcnemars_test_is_that_of_statsmodels() -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    for better, worse in [(9, 2), (30, 18), (1, 0), (4, 4)]:
        first = np.repeat([0, 1, 1, 0], [better, worse, 20, 30])
        second = np.repeat([1, 0, 1, 0], [better, worse, 20, 30])
        known = tables.mcnemar([[20, worse], [better, 30]], exact=True).pvalue
        assert contrast(outcomes(first), outcomes(second)).p == pytest.approx(min(1.0, known))


@given(thirds)
def test_sign_flips_of_several_seeds_are_counted_exactly(differences: NDArray) -> None:
    assert sign_flips(differences) == pytest.approx(enumerated(differences))


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 11))
def test_sign_flips_of_any_values_are_exact_but_for_rounding(seed: int, n: int) -> None:
    differences = np.random.default_rng(seed).standard_normal(n)
    assert sign_flips(differences) == pytest.approx(enumerated(differences), abs=4 / 2**n + 1e-12)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
def test_sign_flips_of_single_outcomes_are_mcnemars_test(better: int, worse: int, same: int) -> None:
    differences = np.repeat([1.0, -1.0, 0.0], [better, worse, same + 1])
    assert sign_flips(differences) == pytest.approx(paired_difference(
        (differences < 0).astype(int).tolist(), (differences > 0).astype(int).tolist()).p)


def test_sign_flips_are_those_of_scipy() -> None:
    from scipy.stats import permutation_test

    rng = np.random.default_rng(3)
    few, many = rng.normal(0.4, 1, 12), rng.normal(0.08, 1, 500)
    exact = permutation_test((few,), np.sum, permutation_type="samples", n_resamples=2**12)
    assert sign_flips(few) == pytest.approx(exact.pvalue, abs=0.002)
    drawn = permutation_test((many,), lambda x, axis: x.sum(axis), permutation_type="samples", n_resamples=9999,
                             vectorized=True, rng=1)
    assert sign_flips(many) == pytest.approx(drawn.pvalue, abs=0.012)


def test_a_p_is_as_small_as_many_contrasts_need() -> None:
    assert sign_flips(np.full(60, 1 / 3)) == pytest.approx(2.0**-59)
    assert sign_flips(np.full(3000, 0.7)) < 1e-200


def test_many_questions_come_close_to_the_normal_distribution() -> None:
    from scipy.stats import norm

    differences = np.random.default_rng(0).normal(0.02, 0.3, 3000)
    z = differences.sum() / np.sqrt((differences**2).sum())
    assert sign_flips(differences) == pytest.approx(2 * norm.sf(abs(z)), rel=0.05)


@given(sides)
def test_swapping_the_sides_mirrors_the_contrast(pair) -> None:
    there, back = contrast(*pair), contrast(*reversed(pair))
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert (there.p, there.se) == (pytest.approx(back.p), pytest.approx(back.se))
    assert (there.better, there.worse) == (back.worse, back.better)
    assert there.low <= there.value + 1e-9
    assert there.value - 1e-9 <= there.high
    assert there.low < there.high


@given(sides, st.randoms(use_true_random=False))
def test_the_order_of_questions_changes_nothing(pair, dice) -> None:
    names = list(pair[0])
    dice.shuffle(names)
    there, back = contrast(*pair), contrast({name: pair[0][name] for name in names}, pair[1])
    assert (there.value, there.low, there.high, there.p) == pytest.approx((back.value, back.low, back.high, back.p))


@given(sides, st.integers(2, 4))
def test_seeds_that_say_the_same_prove_nothing_more(pair, copies) -> None:
    single = [{name: row[:1] for name, row in side.items()} for side in pair]
    once = contrast(*single)
    again = contrast(*({name: row * copies for name, row in side.items()} for side in single))
    assert again.test == SIGN_FLIPS
    assert (again.value, again.se, again.p) == pytest.approx((once.value, once.se, once.p))
    assert again.low <= once.low + 1e-6
    assert again.high >= once.high - 1e-6


def test_the_same_values_in_another_order_are_no_difference() -> None:
    result = contrast({"a": [0.1, 0.2, 0.3], "b": [0.5, 0.5, 0.5]}, {"a": [0.3, 0.2, 0.1], "b": [0.5, 0.5, 0.5]})
    assert (result.value, result.p, result.better, result.worse) == (0, 1, 0, 0)


def test_only_shared_questions_are_compared_and_the_others_counted() -> None:
    result = contrast({"a": [1.0], "b": [0.0], "c": [0.0]}, {"b": [1.0], "c": [0.0], "d": [1.0], "e": [1.0]})
    assert (result.value, result.n, result.only_first, result.only_second) == (0.5, 2, 1, 2)


@pytest.mark.parametrize(("first", "second", "words"), [
    ({"a": [1.0]}, {"b": [1.0]}, "no question is on both sides, which have 1 and 1"),
    ({"a": [1.0]}, {"a": [90.0]}, "need share=False"), ({}, {}, "no question is on both sides")])
def test_what_cannot_be_compared_is_refused(first, second, words) -> None:
    with pytest.raises(ValueError, match=words):
        contrast(first, second)


def test_amounts_have_students_interval_and_one_question_none() -> None:
    from scipy.stats import ttest_rel

    first, second = np.random.default_rng(0).exponential(300, (2, 25))
    result = contrast(outcomes(first), outcomes(second), share=False)
    known = ttest_rel(second, first).confidence_interval(0.95)
    assert (result.low, result.high) == pytest.approx((known.low, known.high))
    alone = contrast({"a": [10.0]}, {"a": [30.0]}, share=False)
    assert (alone.value, alone.low, alone.high, alone.p, alone.distinguishable) == (20, None, None, 1.0, False)


def two_sides(rng: np.random.Generator, n: int, gain: float, alike: float) -> NDArray:
    """Differences of EM over 3 seeds; most questions are as hard on either side; the true mean is 0.7 gain."""
    size = (1 - alike) / alike
    first, other = rng.beta(0.3 * size, 0.7 * size, (2, n))
    second = np.where(rng.random(n) < 0.8, first, other)
    return (rng.binomial(3, second + gain * (1 - second)) - rng.binomial(3, first)) / 3


@pytest.mark.parametrize("n", [20, 50, 200])
@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_the_interval_over_seeds_covers_the_truth(n: int, gain: float) -> None:
    rng = np.random.default_rng(n)
    ends = [paired_interval(two_sides(rng, n, gain, 0.5), share=True) for _ in range(500)]
    covered = np.mean([low <= 0.7 * gain <= high for low, high in ends])
    assert 0.93 <= covered <= 0.99


@pytest.mark.parametrize(("n", "most"), [(20, 1), (50, 1), (200, 0.98)])
def test_the_interval_of_f1_covers_it_where_few_questions_differ(n: int, most: float) -> None:
    rng = np.random.default_rng(n + 1)
    ends = []
    for _ in range(1000):
        first = f1(rng, (n,), 0.1)
        ends.append(paired_interval(np.where(rng.random(n) < 0.2, f1(rng, (n,), 0.1), first) - first, share=True))
    covered = np.mean([low <= 0 <= high for low, high in ends])
    assert 0.935 <= covered <= most


@pytest.mark.parametrize("n", [15, 60, 200])
def test_two_that_are_alike_are_told_apart_in_5_percent_at_most(n: int) -> None:
    rng = np.random.default_rng(n)
    seeds = np.mean([sign_flips(two_sides(rng, n, 0.0, 0.3)) < 0.05 for _ in range(800)])
    scores = np.mean([sign_flips(f1(rng, (n,), 0.3) - f1(rng, (n,), 0.3)) < 0.05 for _ in range(800)])
    assert 0.015 <= seeds <= 0.068
    assert 0.02 <= scores <= 0.068
