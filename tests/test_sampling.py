"""Several attempts at a question: pass@k against counting all choices, and the majority."""

from itertools import combinations
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.sampling import by_question, pass_at, summarize
from fireact.types import Trajectory
from tests.episodes import record


def attempts(id: str, *answers: str | None) -> list[Trajectory]:
    """Attempts with these answers, of which Paris is right."""
    return [record(id, number, em=float(answer is not None and answer.strip().lower() == "paris"), answer=answer)
            for number, answer in enumerate(answers)]


@given(right=st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=8), data=st.data())
def test_pass_at_k_is_the_share_of_all_choices_that_hold_a_right_one(right: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(right)))
    assert pass_at(k, right) == pytest.approx(mean(max(chosen) for chosen in combinations(right, k)))


def test_pass_at_k_stays_exact_for_many_attempts() -> None:
    assert pass_at(1, [1.0] + [0.0] * 999) == pytest.approx(0.001)
    assert pass_at(500, [1.0] + [0.0] * 999) == pytest.approx(0.5)
    assert pass_at(1000, [1.0] + [0.0] * 999) == 1.0


@pytest.mark.parametrize(("answers", "right"), [
    (["Paris", "Rome", "paris"], 1.0), (["Rome", "Rome", "Paris"], 0.0),
    (["Paris", "Rome"], 1.0), (["Rome", "Paris"], 0.0), (["Rome", "Paris", "Paris", "Rome"], 0.0),
    ([None, None, "Paris"], 1.0), ([None, None], 0.0), (["the Rome", "Paris", "rome!", "Paris", "a Rome"], 0.0)])
def test_the_majority_is_the_most_frequent_answer(answers: list[str | None], right: float) -> None:
    """Of equally frequent ones the first; no answer is no vote."""
    (found,) = by_question(attempts("q", *answers)).values()
    assert found.majority() == right


@given(st.lists(st.sampled_from(["Paris", "Rome", "Oslo", None]), max_size=8))
def test_the_majority_against_counting(answers: list[str | None]) -> None:
    given = [answer for answer in answers if answer]
    most = max((given.count(answer) for answer in given), default=0)
    winner = next((answer for answer in given if given.count(answer) == most), None)
    found = by_question(attempts("q", *answers)).get("q")
    assert (found.majority() if found else 0.0) == float(winner == "Paris")


def test_one_attempt_each_is_nothing_to_summarize() -> None:
    assert summarize([*attempts("a", "Paris"), *attempts("b", None)]) == {}
    assert summarize([]) == {}


def test_a_summary() -> None:
    found = summarize([*attempts("a", "Paris", "Rome", "Rome"), *attempts("b", "Rome", None, None)])
    assert (found["attempts"], found["solved"]) == (3, 0.5)
    assert found["pass"] == {"1": pytest.approx(1 / 6), "2": pytest.approx(1 / 3), "3": 0.5}
    assert found["majority"] == 0.0
    assert found["pass_se"].keys() == found["pass"].keys()
    assert found["pass_se"]["3"] == pytest.approx(0.5)


def test_the_powers_of_two_and_all_are_told() -> None:
    found = summarize([each for id in "ab" for each in attempts(id, *["Paris"] * 8)])
    assert found["pass"] == {"1": 1.0, "2": 1.0, "4": 1.0, "8": 1.0}


def test_of_unlike_numbers_of_attempts_only_the_solved_are_told() -> None:
    found = summarize([*attempts("a", "Paris"), *attempts("b", "Rome", "Rome", "Paris"), *attempts("c", "Rome", None)])
    assert found == {"attempts": 3, "solved": pytest.approx(2 / 3)}
