"""A mean over questions and its interval: known cases, and how often simulated studies hold the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.stats import Estimate, estimate, mean, seed_spread, standard_error
from fireact.stats.intervals import wilson
from tests.stats.studies import f1, outcomes, seeds

shares = st.sampled_from([0.0, 1.0, 0.25, 0.5, 1 / 3])
studies = st.lists(st.lists(shares, min_size=1, max_size=4), min_size=1, max_size=12).map(
    lambda rows: {f"q{number}": row for number, row in enumerate(rows)})


def test_questions_weigh_the_same_however_many_values_they_have() -> None:
    result = estimate({"a": [1.0], "b": [0.0, 0.0, 0.0], "c": [1.0, 0.0]})
    assert (result.value, result.n) == (pytest.approx(0.5), 3)
    assert result.se == pytest.approx(standard_error([1.0, 0.0, 0.5]))


@pytest.mark.parametrize(("right", "n"), [(0, 30), (1, 30), (15, 30), (30, 30), (7, 200), (1, 1), (0, 1)])
def test_one_outcome_a_question_has_wilsons_interval(right: int, n: int) -> None:
    from scipy.stats import binomtest

    result = estimate(outcomes(np.arange(n) < right))
    known = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert (result.low, result.high) == pytest.approx((known.low, known.high), abs=1e-6)


def test_wilsons_interval_is_that_of_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    result = estimate(outcomes(np.arange(50) < 4))
    assert (result.low, result.high) == pytest.approx(proportion.proportion_confint(4, 50, method="wilson"), abs=1e-6)


def test_the_standard_error_is_the_clustered_one_of_statsmodels() -> None:
    api = pytest.importorskip("statsmodels.api")
    values = np.random.default_rng(0).integers(0, 2, (40, 3)).astype(float)
    values[:15] = values[:15, :1]
    fit = api.OLS(values.ravel(), np.ones(120)).fit(cov_type="cluster", cov_kwds={"groups": np.repeat(range(40), 3)})
    result = estimate(outcomes(values))
    assert (result.value, result.se) == pytest.approx((fit.params[0], fit.bse[0]))


def test_amounts_have_students_interval() -> None:
    from scipy.stats import t

    values = np.random.default_rng(0).exponential(500, 20)
    result = estimate(outcomes(values), share=False)
    assert (result.low, result.high) == pytest.approx(
        t.interval(0.95, 19, values.mean(), values.std(ddof=1) / math.sqrt(20)))


@given(studies, st.randoms(use_true_random=False))
def test_the_order_of_questions_changes_nothing(study, dice) -> None:
    names = list(study)
    dice.shuffle(names)
    there, back = estimate(study), estimate({name: study[name] for name in names})
    assert (there.value, there.low, there.high) == pytest.approx((back.value, back.low, back.high))


@given(studies)
def test_wrong_for_right_mirrors_the_interval(study) -> None:
    there, back = estimate(study), estimate({name: [1 - value for value in row] for name, row in study.items()})
    assert (there.value, there.low, there.high) == pytest.approx((1 - back.value, 1 - back.high, 1 - back.low))
    assert 0 <= there.low <= there.value <= there.high <= 1
    assert there.low < there.high


@given(studies, st.integers(2, 5))
def test_seeds_that_say_the_same_do_not_shrink_the_error(study, copies) -> None:
    study = {name: row[:1] for name, row in study.items()}
    once, again = estimate(study), estimate({name: row * copies for name, row in study.items()})
    assert (again.value, again.se) == (pytest.approx(once.value), pytest.approx(once.se))
    assert again.high - again.low >= 0.98 * (once.high - once.low)


def test_independent_seeds_do_shrink_it() -> None:
    values = np.random.default_rng(0).integers(0, 2, (200, 4)).astype(float)
    one, four = estimate(outcomes(values[:, 0])), estimate(outcomes(values))
    assert (four.high - four.low) / (one.high - one.low) == pytest.approx(0.5, abs=0.06)


def test_what_is_all_alike_is_not_certain() -> None:
    result = estimate({f"q{number}": [0.0, 0.0, 0.0] for number in range(30)})
    assert (result.value, result.se, result.low) == (0, 0, 0)
    assert result.high == pytest.approx(1.959964**2 / (30 + 1.959964**2))
    assert estimate({"q": [700.0]}, share=False) == Estimate(700.0, None, None, None, 1)


@pytest.mark.parametrize("questions", [20, 30, 50, 200, 500])
@pytest.mark.parametrize(("attempts", "alike", "least"), [(1, 0, 0.905), (3, 0, 0.93), (3, 0.3, 0.915), (8, 0.3, 0.90)])
def test_em_covers_the_truth_near_0_and_1_and_over_seeds(questions, attempts, alike, least) -> None:
    rng = np.random.default_rng(questions + attempts)
    for share in (0.01, 0.03, 0.1, 0.5, 0.9):
        low, high = wilson(seeds(rng, 2000, questions, attempts, share, alike), questions * attempts)
        assert ((low <= share) & (share <= high)).mean() >= least - 0.01


def test_em_covers_it_as_often_as_it_says_on_average() -> None:
    rng, covered = np.random.default_rng(1), []
    for share in rng.uniform(0.02, 0.98, 150):
        low, high = wilson(seeds(rng, 200, 30, 3, share, 0.4), 90)
        covered.append(((low <= share) & (share <= high)).mean())
    assert mean(covered) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("questions", [20, 30, 200, 500])
def test_f1_covers_the_truth(questions: int) -> None:
    rng = np.random.default_rng(questions)
    for share in (0.03, 0.1, 0.3, 0.5):
        low, high = wilson(f1(rng, (2000, questions), share), questions)
        assert 0.905 <= ((low <= share) & (share <= high)).mean() <= 0.985


@pytest.mark.parametrize(("study", "words"), [
    ({}, "there are no questions"), ({"a": []}, "question 'a' has no values"),
    ({"a": [1.0], "b": [812.0]}, r"question 'b' has \[812.0\], expected a share .* need share=False"),
    ({"a": [float("nan")]}, "question 'a' has"), ({"a": [0.5, float("nan")]}, "expected finite numbers")])
def test_what_cannot_be_estimated_is_refused(study, words) -> None:
    with pytest.raises(ValueError, match=words):
        estimate(study)


def test_seeds_lie_apart() -> None:
    assert seed_spread({"a": [1.0, 0.0], "b": [1.0, 0.0]}) == pytest.approx(math.sqrt(0.5))
    assert seed_spread({"a": [1.0], "b": [0.0]}) is None
    assert seed_spread({"a": [1.0, 0.0], "b": [0.0]}) is None
