"""What a report says in words and in the cells of its tables."""

import pytest

from fireact.report.text import KindRow, by_guise, difference, kind_rows, minus, p_value, percent


@pytest.mark.parametrize(("em", "ci95", "p", "words"), [
    (0.31, [0.2, 0.42], 1e-6,
     "Fine-tuned is better than prompted: +31.0 points of EM (95% interval +20.0 to +42.0, p < 0.001, n = 50)."),
    (-0.2, [-0.3, -0.1], 0.004, "Fine-tuned is worse than prompted: -20.0 points"),
    (0.02, [-0.05, 0.09], 0.7, "not distinguishable: +2.0 points of EM (95% interval -5.0 to +9.0, p = 0.70, n = 50)"),
    (0.0, [0.0, 0.0], 1.0, "not distinguishable"),
    (1.0, [1.0, 1.0], 0.0625, "looks better than prompted, but on too few questions to be sure")])
def test_the_difference_in_words(em, ci95, p, words):
    assert words in difference({"em": em, "ci95": ci95, "p": p, "n": 50})


def test_kinds_stand_side_by_side():
    summaries = by_guise({"finetuned": {"em_by_kind": {"hop": {"n": 2, "em": 1.0}, "yes": {"n": 1, "em": 0.0}}},
                          "prompted": {"em_by_kind": {"hop": {"n": 2, "em": 0.5}}}})
    assert list(summaries) == ["prompted", "fine-tuned"]
    assert kind_rows(summaries) == [KindRow("hop", 2, (0.5, 1.0)), KindRow("yes", 1, (None, 0.0))]


def test_numbers_have_the_digits_that_mean_something():
    assert [percent(0.41, 0.049), percent(1.0), percent(None)] == ["41.0 ± 4.9", "100.0", "-"]
    assert [p_value(p) for p in (1e-9, 0.004, 0.7)] == ["p < 0.001", "p = 0.004", "p = 0.70"]


@pytest.mark.parametrize(("text", "written"), [
    ("-5.0 to -0.3", "−5.0 to −0.3"), ("(-12.4 points)", "(−12.4 points)"), ("-.5", "−.5"),  # noqa: RUF001
    *((same, same) for same in ("learning_rate=1e-4", "2026-11-03", "-", "fine-tuned", "+3.0"))])
def test_only_numbers_below_zero_get_the_minus_sign(text, written):
    assert minus(text) == written
