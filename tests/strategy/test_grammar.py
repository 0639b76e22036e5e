"""The grammar of a step. ORIGINAL_MISTAKES is what FireAct's own `split('[')` got wrong (generation.py L68-133)."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import FormatError
from fireact.strategy.grammar import ParsedStep, clean_thought, format_step, join_prime, parse_answer, parse_step

ORIGINAL_MISTAKES = [
    ("nested brackets", "Action: search[a [b] c]", "search", "a [b] c"),
    ("a full stop behind", "Action: finish[Paris].", "finish", "Paris"),
    ("an observation behind", "Action: finish[Paris]\nObservation: Episode finished, reward = 1", "finish", "Paris"),
    ("all on one line", "Thought: x Action: search[foo]", "search", "foo"),
    ("a capital letter", "Thought: x\nAction: Search[foo]", "search", "foo"),
    ("a leading space", "Thought: x\nAction:  search[foo]", "search", "foo"),
    ("a space before the bracket", "Action: search [foo]", "search", "foo"),
    ("a numbered step", "Thought 1: x\nAction 1: search[foo]", "search", "foo"),
    ("markdown", "**Thought:** x\n**Action:** search[foo]", "search", "foo"),
    ("a second step behind", "Action: search[a]\nObservation: b\nThought: c\nAction: finish[d]", "search", "a"),
    ("a thought that speaks of an action", "Thought: my next action: look. Action: search[foo]", "search", "foo"),
    ("an empty argument", "Action: finish[]", "finish", ""),
]


@pytest.mark.parametrize(("text", "name", "argument"), [case[1:] for case in ORIGINAL_MISTAKES],
                         ids=[case[0] for case in ORIGINAL_MISTAKES])
def test_reads_what_the_original_misread(text: str, name: str, argument: str) -> None:
    step = parse_step(text)
    assert (step.name, step.argument) == (name, argument)


def test_brackets_within_the_texts_of_a_json_object_are_letters() -> None:
    given = '{"city": "a]b \\"[", "days": [1, 2]}'
    assert parse_step(f"Action: weather[{given}]") == ParsedStep("", "weather", given)


@pytest.mark.parametrize("text", [
    "I think it is Paris.", "", "Action: search Paris", "Action: search[Paris", "Action: [Paris]", "Thought: only this",
    "Observation: nothing\nAction: search[x]"[:20],
])
def test_refuses_the_rest_with_the_value_and_an_example(text: str) -> None:
    with pytest.raises(FormatError, match=r"Action: search\[Paris\]"):
        parse_step(text)


def test_the_thought_is_one_clean_line() -> None:
    assert parse_step("Thought: a.\nThought: b\n c\nAction: search[x]").thought == "a. b c"


def test_a_word_that_ends_in_action_is_no_action() -> None:
    step = parse_step("Thought: the transaction: done\nAction: finish[x]")
    assert step == ParsedStep("the transaction: done", "finish", "x")


@pytest.mark.parametrize("signs", ["*", "\n", "\n ", " **", "thought*", "final *"])
def test_a_long_row_of_signs_does_not_hang(signs: str) -> None:
    started = time.monotonic()
    with pytest.raises(FormatError, match="Answer: Paris"):
        parse_answer(signs * 100_000)
    assert time.monotonic() - started < 20


letters = st.characters(blacklist_characters="[]\n\r", blacklist_categories=("Cs", "Cc", "Zl", "Zp"))
balanced = st.recursive(st.text(letters, max_size=12),
                        lambda inner: st.lists(inner, max_size=3).map(lambda parts: "[" + "".join(parts) + "]"),
                        max_leaves=5)


@given(name=st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True), argument=balanced)
def test_format_then_parse_gives_the_step_back(name: str, argument: str) -> None:
    step = ParsedStep("I need this.", name, argument.strip())
    assert parse_step(format_step(step)) == step


@given(st.text(max_size=200))
def test_any_text_is_a_step_or_a_format_error(text: str) -> None:
    try:
        step = parse_step(text)
    except FormatError:
        return
    again = format_step(ParsedStep(clean_thought(step.thought), step.name, step.argument))
    assert parse_step(again).name == step.name


@pytest.mark.parametrize(("text", "expected"), [
    ("Thought: France's capital.\nAnswer: Paris", ("France's capital.", "Paris")),
    ("The capital is Paris. So the final answer: Paris", ("The capital is Paris. So the", "Paris")),
    ("Thought: t\nAction: finish[Paris]", ("t", "Paris")),
    ("**Answer:** Paris\n\nMore words", ("", "Paris")),
])
def test_reads_an_answer(text: str, expected: tuple[str, str]) -> None:
    assert parse_answer(text) == expected


def test_refuses_a_text_without_an_answer() -> None:
    with pytest.raises(FormatError, match=r"end with e\.g\. Answer: Paris"):
        parse_answer("I do not know what to say")


@pytest.mark.parametrize(("prime", "text", "joined"), [
    ("Thought:", " I see.\nAction: search[x]", "Thought: I see.\nAction: search[x]"),
    ("Thought:", "Thought: I see.", "Thought: I see."),
    ("Thought: Reflect now.", "Thought: I see.", "Thought: Reflect now. I see."),
    ("", "  as it is ", "as it is"),
    ("Thought: I look.\nAction:", " search[x]", "Thought: I look.\nAction: search[x]"),
    ("Thought: I look.\nAction:", "Thought: No.\nAction: search[y]", "Thought: No.\nAction: search[y]"),
])
def test_a_prime_is_joined_once(prime: str, text: str, joined: str) -> None:
    assert join_prime(prime, text) == joined
