"""Standard errors and the paired test."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact.stats import mean, paired_difference, standard_error

outcomes = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30)


def test_the_standard_error_of_a_known_case() -> None:
    """Of 2, 4, 4, 4, 5, 5, 7, 9: the sum of squares about 5 is 32, so the error is sqrt(32 / 7 / 8)."""
    assert standard_error([2, 4, 4, 4, 5, 5, 7, 9]) == pytest.approx(math.sqrt(32 / 7 / 8))
    assert standard_error([1] * 200 + [0] * 300) == pytest.approx(math.sqrt(0.4 * 0.6 / 499))


def test_fewer_than_two_values_have_none() -> None:
    assert standard_error([]) is None
    assert standard_error([1.0]) is None
    assert standard_error([1.0, 1.0]) == 0
    assert mean([]) == 0


def pairs(better: int, worse: int, both: int = 0, neither: int = 0) -> tuple[list[int], list[int]]:
    return ([0] * better + [1] * worse + [1] * both + [0] * neither,
            [1] * better + [0] * worse + [1] * both + [0] * neither)


@pytest.mark.parametrize(("better", "worse"), [(5, 0), (8, 2), (3, 3), (1, 0), (12, 4), (2, 9)])
def test_the_exact_mcnemar_test_by_hand(better: int, worse: int) -> None:
    """Twice the smaller tail of a fair coin thrown once for each question on which the two differ."""
    n = better + worse
    tail = sum(math.comb(n, k) for k in range(min(better, worse) + 1)) / 2**n
    result = paired_difference(*pairs(better, worse, both=4, neither=7))
    assert result.p == pytest.approx(min(1.0, 2 * tail))
    assert result.em == pytest.approx((better - worse) / (n + 11))
    assert result.n == n + 11


def test_equal_sequences_do_not_differ() -> None:
    result = paired_difference([1, 0, 1], [1, 0, 1])
    assert (result.em, result.p) == (0.0, 1.0)


def test_one_question_proves_nothing() -> None:
    result = paired_difference([0], [1])
    assert (result.em, result.p, result.n) == (1.0, 1.0, 1)
    assert result.ci95[0] < 0 < result.ci95[1]


@pytest.mark.parametrize("n", [1, 2, 10, 200])
def test_the_interval_keeps_its_width_where_all_pairs_agree(n: int) -> None:
    """Solved by hand: z^2 / (n + z^2) where none differs, (n - z^2) / (n + z^2) where all gain."""
    z = 1.959964
    same, gained = z**2 / (n + z**2), (n - z**2) / (n + z**2)
    assert paired_difference(*pairs(0, 0, both=n)).ci95 == pytest.approx((-same, same))
    assert paired_difference(*pairs(n, 0)).ci95 == pytest.approx((gained, 1.0))
    assert paired_difference(*pairs(0, n)).ci95 == pytest.approx((-1.0, -gained))


@pytest.mark.parametrize(("better", "worse", "same"), [(12, 2, 36), (9, 1, 5), (4, 4, 12), (1, 0, 29), (3, 17, 30)])
def test_the_interval_ends_where_the_score_test_just_rejects(better: int, worse: int, same: int) -> None:
    """The share of losses that is likeliest under a difference is found by search here, not by formula."""
    n = better + worse + same

    def z(difference: float) -> float:
        def likelihood(share: float) -> float:
            chances = (share + difference, share, 1 - 2 * share - difference)
            return sum(count * math.log(chance) for count, chance in zip((better, worse, same), chances, strict=True)
                       if count)

        low, high = max(0.0, -difference) + 1e-9, (1 - difference) / 2 - 1e-9
        share = max((low + (high - low) * step / 20_000 for step in range(20_001)), key=likelihood)
        return (better - worse - n * difference) / math.sqrt(n * (2 * share + difference - difference**2))

    low, high = paired_difference(*pairs(better, worse, neither=same)).ci95
    assert [z(low), z(high)] == pytest.approx([1.96, -1.96], abs=2e-3)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_the_interval_leaves_0_out_where_mcnemars_score_test_rejects(better: int, worse: int, same: int) -> None:
    low, high = paired_difference(*pairs(better, worse, neither=same + 1)).ci95
    assert (low <= 0 <= high) == ((better - worse) ** 2 <= 1.959964**2 * (better + worse))


def test_the_interval_is_that_of_the_normal_approximation() -> None:
    first, second = pairs(60, 20, both=120, neither=200)
    result = paired_difference(first, second)
    error = standard_error([b - a for a, b in zip(first, second, strict=True)])
    assert error is not None
    assert result.ci95[0] == pytest.approx(result.em - 1.96 * error, abs=0.006)
    assert result.ci95[1] == pytest.approx(result.em + 1.96 * error, abs=0.006)


@pytest.mark.parametrize(("gains", "losses"), [(0.3, 0.1), (0.6, 0.05), (0.9, 0.0), (0.97, 0.01), (0.02, 0.02), (0, 0)])
def test_the_interval_covers_the_truth_as_often_as_it_says(gains: float, losses: float) -> None:
    dice, kinds = random.Random(0), [(0, 1), (1, 0), (0, 0)]
    covered = 0
    for _ in range(400):
        drawn = dice.choices(kinds, [gains, losses, 1 - gains - losses], k=50)
        low, high = paired_difference([first for first, _ in drawn], [second for _, second in drawn]).ci95
        covered += low <= gains - losses <= high
    assert covered / 400 >= 0.93


@settings(max_examples=40)
@given(outcomes)
def test_both_directions_say_the_same(results: list[tuple[int, int]]) -> None:
    first, second = zip(*results, strict=True)
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert there.em == -back.em
    assert there.p == pytest.approx(back.p)
    assert -1 <= there.ci95[0] <= there.em <= there.ci95[1] <= 1
    assert there.ci95[0] < there.ci95[1]
    assert there.ci95 == (-back.ci95[1], -back.ci95[0])


def test_many_questions_are_no_burden() -> None:
    result = paired_difference(*pairs(30_000, 20_000, 30_000, 20_000))
    assert 0.09 < result.ci95[0] < 0.1 < result.ci95[1] < 0.11


@pytest.mark.parametrize(("first", "second"), [([], []), ([1], [1, 0])])
def test_different_questions_cannot_be_paired(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError, match=f"the same questions on both sides, got {len(first)} and {len(second)}"):
        paired_difference(first, second)
