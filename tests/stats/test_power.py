"""What a number of questions can show: held against sums done by hand and against simulated studies."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from fireact.stats import contrast, detectable, mcnemar_power, smallest_difference
from tests.stats.studies import outcomes


@pytest.mark.parametrize(("n", "difference", "disagree", "alpha"), [
    (1, 0.5, 0.5, 0.05), (12, 0.3, 0.5, 0.05), (30, -0.2, 0.2, 0.05), (40, 0.1, 0.9, 0.01), (25, 0.0, 1.0, 0.2)])
def test_the_power_is_the_sum_over_all_outcomes(n, difference, disagree, alpha) -> None:
    gain, total = (disagree + difference) / 2, 0.0
    for better, worse in product(range(n + 1), repeat=2):
        if 0 < better + worse <= n and binomtest(better, better + worse).pvalue < alpha:
            total += (binom.pmf(better + worse, n, disagree)
                      * binom.pmf(better, better + worse, gain / disagree))
    assert mcnemar_power(n, difference, disagree, alpha) == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize(("n", "difference", "disagree"), [(50, 0.2, 0.3), (200, 0.1, 0.3), (500, 0.0, 0.2)])
def test_the_power_is_how_often_simulated_studies_find_the_difference(n, difference, disagree) -> None:
    rng = np.random.default_rng(n)
    chances = [(disagree + difference) / 2, (disagree - difference) / 2, 1 - disagree]
    found = [binomtest(int(better), int(better + worse)).pvalue < 0.05 if better + worse else False
             for better, worse, _ in rng.multinomial(n, chances, 1500)]
    assert mcnemar_power(n, difference, disagree) == pytest.approx(np.mean(found), abs=0.035)


def test_many_questions_have_the_power_of_the_normal_approximation() -> None:
    from scipy.stats import norm

    z = (10_000 * 0.02 - norm.ppf(0.975) * np.sqrt(10_000 * 0.3)) / np.sqrt(10_000 * (0.3 - 0.02**2))
    assert mcnemar_power(10_000, 0.02, 0.3) == pytest.approx(norm.cdf(z), abs=0.01)


def test_the_smallest_difference_has_just_that_power() -> None:
    for n, disagree, alpha in [(50, 0.5, 0.05), (200, 0.3, 0.05), (200, 0.3, 0.05 / 20), (10_000, 0.2, 0.05)]:
        found = smallest_difference(n, disagree, alpha=alpha)
        assert found is not None
        assert mcnemar_power(n, found, disagree, alpha) == pytest.approx(0.8, abs=1e-3)


def test_more_questions_and_fewer_contrasts_show_less() -> None:
    sizes = [smallest_difference(n, 0.3) or 1 for n in (50, 100, 200, 400, 2000)]
    assert sizes == sorted(sizes, reverse=True)
    assert (smallest_difference(200, 0.3, alpha=0.05 / 50) or 1) > (smallest_difference(200, 0.3) or 1)


def test_too_few_questions_or_too_little_disagreement_show_nothing() -> None:
    """Of 5 that disagree all one way p is 1/16; 6 are needed, so at 0.8 most of 200 questions' 4% must be."""
    assert smallest_difference(5) is None
    assert smallest_difference(6) == pytest.approx(0.8 ** (1 / 6), abs=1e-5)
    assert smallest_difference(200, 0.01) is None
    assert smallest_difference(200) == pytest.approx(0.0392, abs=1e-3)


@pytest.mark.parametrize(("difference", "disagree"), [(0.3, 0.2), (0.1, 1.2), (float("nan"), 0.3)])
def test_an_impossible_truth_is_refused(difference, disagree) -> None:
    with pytest.raises(ValueError, match=r"\|difference\| <= disagree <= 1 .* are needed"):
        mcnemar_power(100, difference, disagree)


def test_a_contrast_shows_what_its_disagreement_lets_it() -> None:
    first, second = np.repeat([0, 1, 0], [30, 20, 150]), np.repeat([1, 0, 0], [30, 20, 150])
    assert detectable(contrast(outcomes(first), outcomes(second))) == smallest_difference(200, 0.25)
    alike = contrast(outcomes(first), outcomes(first))
    assert detectable(alike) == smallest_difference(200)


def test_over_seeds_it_follows_from_the_standard_error() -> None:
    rng = np.random.default_rng(0)
    found = contrast(outcomes(rng.integers(0, 2, (100, 3))), outcomes(rng.integers(0, 2, (100, 3))))
    assert found.se is not None
    assert detectable(found) == pytest.approx(2.802 * found.se, rel=1e-3)
