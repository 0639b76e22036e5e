"""p values adjusted over all contrasts that were planned together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.stats import adjust, contrast, holm
from tests.stats.studies import outcomes

ps = st.lists(st.floats(0, 1), max_size=30)


def test_holms_method_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_holms_method_is_that_of_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(0)
    for m in (1, 2, 7, 30):
        values = [*(rng.random(m) ** 4).tolist(), 0.0, 0.01, 0.01, 1.0]
        assert holm(values) == pytest.approx(multitest.multipletests(values, method="holm")[1])


@given(ps)
def test_adjusted_values_keep_the_order_and_are_never_smaller(values) -> None:
    adjusted = holm(values)
    assert all(before <= after <= 1 for before, after in zip(values, adjusted, strict=True))
    assert sorted(adjusted) == [after for _, after in sorted(zip(values, adjusted, strict=True))]


@given(ps, st.integers(0, 10))
def test_contrasts_that_are_missing_count_as_ones_that_found_nothing(values, missing) -> None:
    assert holm(values, len(values) + missing) == pytest.approx(holm(values + [1.0] * missing)[:len(values)])


@pytest.mark.parametrize(("values", "planned", "words"), [
    ([0.1, 1.2], None, "between 0 and 1, got 1.2"), ([float("nan")], None, "got nan"),
    ([0.1, 0.2], 1, "2 p values of 1 planned contrasts")])
def test_what_are_no_p_values_is_refused(values, planned, words) -> None:
    with pytest.raises(ValueError, match=words):
        holm(values, planned)


def test_verdicts_follow_the_adjusted_p() -> None:
    nothing, clear, alone = (contrast(outcomes(np.zeros(40)), outcomes(np.arange(40) < right)) for right in (0, 20, 6))
    assert alone.distinguishable
    family = adjust({"clear": clear, "alone": alone, "nothing": nothing})
    assert family["clear"].distinguishable
    assert not family["alone"].distinguishable
    assert (family["alone"].adjusted, family["alone"].family) == (pytest.approx(2 * alone.p), 3)
    assert family["alone"].p == alone.p


def test_a_family_of_nulls_has_one_finding_in_20_at_most() -> None:
    rng = np.random.default_rng(0)
    assert np.mean([min(holm(row)) < 0.05 for row in rng.random((2000, 12)).tolist()]) <= 0.065
