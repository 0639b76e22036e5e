"""Gold plans: fill in, read, conclude."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.plan import HEAD, Hop, Plan, conclude, fill, magnitude, read, source_hop


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


SENTENCES = ("He went to school in a small town near the river before he left for the city.", "He was 9.")


def test_a_source_is_read_where_a_cited_sentence_is_shown() -> None:
    hop = source_hop("Ann (singer)", SENTENCES, 2)
    assert (hop.query, hop.found) == ("Ann (singer)", "{2}")
    assert read(hop, [], f"Ann: {SENTENCES[0]} More.") == SENTENCES[0]
    assert read(hop, [], "He was  9. Else.") == "He was  9."
    assert read(hop, [], "He went to school in a small town near the river...") == \
        "He went to school in a small town near the river..."
    assert read(hop, [], "Ann (singer): She sang. He went to school.") is None


@given(st.lists(st.from_regex(r"[A-Z][a-z{}\[\]()|.*+?\\ 0-9]{0,90}[.]", fullmatch=True), min_size=1, max_size=3))
def test_any_sentence_is_found_whole_and_cut_off(cited: list[str]) -> None:
    hop = source_hop("Title", cited, 1)
    for sentence in cited:
        value = read(hop, [], f"Title: {sentence}")
        assert value is not None
        assert value in sentence
        words = sentence.split()
        cut = " ".join(words[:-1])
        if len(cut) >= HEAD + max(map(len, words)):
            assert read(hop, [], f"Title: {cut}...") is not None


def test_a_given_answer_is_told_only_with_all_sources() -> None:
    plan = Plan((source_hop("A", ("a b.",), 1), source_hop("B", ("c d.",), 2)), "given", answer="yes")
    assert conclude(plan, ["a b.", "c d."]) == "yes"
    with pytest.raises(ValueError, match="1 of 2 sources were found"):
        conclude(plan, ["a b."])
