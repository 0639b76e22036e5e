"""Verdicts in sentences: what cannot be told apart is called so, and how small a difference could have been shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.stats import (
    MCNEMAR,
    SIGN_FLIPS,
    Contrast,
    Measure,
    Needed,
    Outside,
    adjust,
    contrast,
    samples_needed,
    verdict,
)
from tests.stats.studies import outcomes


def pair(better: int, worse: int, n: int) -> Contrast:
    counts = [better, worse, n - better - worse]
    return contrast(outcomes(np.repeat([0, 1, 0], counts)), outcomes(np.repeat([1, 0, 0], counts)))


def test_a_difference_that_can_be_believed() -> None:
    assert verdict(pair(40, 10, 200), "cot", "react") == (
        "react is better than cot: +15.0 points of EM (95% interval +8.4 to +21.9, p < 0.001, n = 200).")
    assert verdict(pair(10, 40, 200), "cot", "react").startswith("react is worse than cot: -15.0 points")


def test_what_cannot_be_told_apart_says_what_could_have_been() -> None:
    said = verdict(pair(22, 18, 200), "cot", "react")
    assert said.startswith("react and cot are not distinguishable: +2.0 points of EM (95% interval -4.3 to +8.4")
    assert said.endswith("n = 200). "
                         "A true difference of 9.1 points of EM or more would have been found with 80% power.")


def test_too_few_questions_are_said() -> None:
    said = verdict(pair(5, 0, 5), "cot", "react")
    assert said == ("react and cot are not distinguishable: +100.0 points of EM (95% interval +13.1 to +100.0, "
                    "p = 0.062, n = 5). react looks better than cot, but on too few questions to be sure. "
                    "So few questions show no difference with 80% power.")


def test_among_many_contrasts_the_adjusted_p_decides() -> None:
    family = adjust({"a": pair(12, 2, 100), "b": pair(5, 5, 100), "c": pair(7, 4, 100), "d": pair(0, 0, 100)})
    said = verdict(family["a"], "cot", "react")
    assert "not distinguishable" in said
    assert "p = 0.013, by Holm among 4 contrasts p = 0.052, n = 100" in said
    assert "react looks better than cot, but not surely so among 4 contrasts." in said
    assert "react is better than cot" in verdict(pair(12, 2, 100), "cot", "react")


def test_amounts_are_higher_or_lower_in_their_unit() -> None:
    rng = np.random.default_rng(0)
    first = rng.exponential(500, 60)
    less = contrast(outcomes(first), outcomes(first * 0.5), share=False)
    tokens = Measure("tokens an episode", more="longer", less="shorter")
    assert verdict(less, "cot", "direct", tokens).startswith("direct is shorter than cot: -2")
    alone = verdict(contrast({"a": [1.0]}, {"a": [4.0]}, share=False), "cot", "react", tokens)
    assert alone == "react and cot are not distinguishable: +3 tokens an episode (no interval, p = 1.00, n = 1)."


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1), st.none() | st.floats(0, 1))
def test_not_distinguishable_is_said_wherever_it_holds(value, low, high, p, adjusted) -> None:
    found = Contrast(value, 0.1, min(low, high), max(low, high), p, SIGN_FLIPS, 50, 5, 5, adjusted=adjusted, family=3)
    decides = p if adjusted is None else adjusted
    expected = decides >= 0.05 or min(low, high) <= 0 <= max(low, high)
    assert ("not distinguishable" in verdict(found, "a", "b")) == expected


def test_what_was_kept_of_a_difference_is_enough() -> None:
    kept = Contrast(0.02, None, -0.05, 0.09, 0.7, MCNEMAR, 50)
    assert verdict(kept, "prompted", "Fine-tuned").endswith("(95% interval -5.0 to +9.0, p = 0.70, n = 50).")


@pytest.mark.parametrize(("samples", "low", "high", "words"), [
    (342.0, 208.0, Outside.BEYOND, "about 340 samples (95% interval from 210 to beyond the largest size;"),
    (Outside.BEYOND, 1234.0, Outside.BEYOND,
     "not reached within the sizes that were measured (95% interval from 1,200 to beyond the largest size;"),
    (Outside.SMALLEST, Outside.SMALLEST, 57.0,
     "reached already at the smallest size (95% interval from the smallest size to 57;")])
def test_samples_for_a_target_in_words(samples, low, high, words) -> None:
    said = samples_needed(Needed(0.3, samples, low, high, (50, 100, 2000), 200))
    assert said == f"30.0 points of EM: {words} 50 to 2,000 samples were measured, n = 200)."
