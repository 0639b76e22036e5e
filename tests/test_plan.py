"""Gold plans: fill in, read, conclude."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.plan import conclude, fill, magnitude, read
from fireact.types import Hop, Plan


def hop(pattern: str) -> Hop:
    return Hop("I need it.", "query", pattern, "It is {1}.")


def test_slots_are_filled_once() -> None:
    assert fill("from {1} to {2} and {1}", ["a", "{1}"]) == "from a to {1} and a"
    assert fill("no slot, {x}, {}", []) == "no slot, {x}, {}"


@pytest.mark.parametrize("template", ["{3}", "{0}"])
def test_a_value_that_is_not_read_yet_is_an_index_error(template: str) -> None:
    with pytest.raises(IndexError, match=re.escape(template)):
        fill(template, ["a", "b"])
    with pytest.raises(IndexError, match=re.escape(template)):
        read(hop(f"{template} (.*)"), ["a", "b"], "text")


def test_a_value_is_read_as_it_stands() -> None:
    assert read(hop(r"The capital of (.+?) is Thimphu"), [], "Bhutan: The capital of Bhutan is Thimphu.") == "Bhutan"
    assert read(hop(r"The capital of (.+?) is Thimphu"), [], "The capital of Nepal is Kathmandu.") is None
    assert read(hop(r"is ( x )?y"), [], "is y") is None
    assert read(hop(r"is( x )y"), [], "is x y") == "x"


def test_a_value_in_a_pattern_is_no_pattern() -> None:
    assert read(hop(r"{1} has (\w+)"), ["Congo (Dem. Rep.)"], "Congo (Dem. Rep.) has francs") == "francs"
    assert read(hop(r"{1} has (\w+)"), ["a.c"], "abc has it") is None


@given(value=st.text(min_size=1, max_size=20), found=st.from_regex(r"[a-z]{1,8}", fullmatch=True))
def test_any_value_can_stand_in_a_pattern(value: str, found: str) -> None:
    assert read(hop(r"of {1} is ([a-z]+)"), [value], f"of {value} is {found}.") == found


@pytest.mark.parametrize(("rule", "choices", "values", "answer"), [
    ("last", (), ["x", "y"], "y"),
    ("same", (), ["euro", "euro"], "yes"),
    ("same", (), ["euro", "lev"], "no"),
    ("larger", (), ["31,122,387", "900,000"], "yes"),
    ("larger", (), ["5", "5"], "no"),
    ("smaller", (), ["26 January 1950", "1 July 1962"], "yes"),
    ("smaller", (), ["5", "5"], "no"),
    ("largest", ("A", "B"), ["8,849 m", "7,570 m"], "A"),
    ("smallest", ("A", "B"), ["8,849 m", "7,570 m"], "B"),
    ("largest", ("A", "B"), ["Asia", "3", "12"], "B"),
    ("smallest", ("A", "B", "C"), ["-3", "2", "-3.5"], "C"),
])
def test_the_answer_follows_from_the_values(rule, choices, values, answer) -> None:
    assert conclude(Plan((), rule, choices), values) == answer


def test_what_cannot_be_compared_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no number or date in 'many'"):
        conclude(Plan((), "larger"), ["many", "3"])


@pytest.mark.parametrize(("text", "value"), [
    ("31,122,387", 31122387.0), ("8,849 m", 8849.0), ("about 1.5 percent", 1.5), ("-12", -12.0), ("in 1950.", 1950.0),
])
def test_a_number_is_read(text: str, value: float) -> None:
    assert magnitude(text) == value


def test_dates_are_compared_by_day() -> None:
    dates = ["5 May 987", "26 January 1950", "27 January 1950", "1 February 1950", "14 August 1997"]
    days = [magnitude(f"on {date}") for date in dates]
    assert days == sorted(days)
    assert days[2] - days[1] == 1
