"""Contamination: training questions that an evaluation asks again are found, and others of their template are not."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.contamination import SHARE, Index, Match, report
from fireact.dataset.factbook import Factbook
from fireact.jsonl import decode, encode
from fireact.types import Question
from tests.helpers import real_data

ASKED = "Did Aristotle use a laptop?"
FLAGS = "Which of these colours is on the flag of Bhutan?\nA. Blue\nB. Orange\nC. Black\nD. Green"


def index(*texts: str, name: str = "dev") -> Index:
    return Index((name, Question(f"q{i}", text, ())) for i, text in enumerate(texts))


def found(asked: str, text: str) -> Match | None:
    return index("Who wrote Hamlet, and when?", asked).find(text)


# --- equal questions


@pytest.mark.parametrize("text", [
    ASKED, "did aristotle use laptop", "  DID ARISTOTLE USE THE LAPTOP?!", f"Yes or no: {ASKED}", f"Question: {ASKED}",
    f"Yes or no {ASKED}", f"Question: Yes or no: {ASKED}", f"Q: {ASKED}"])
def test_equal_after_normalisation(text: str) -> None:
    assert found(ASKED, text) == Match(text, "dev", "q1", ASKED, True, 1.0)
    again = found(text, ASKED)
    assert again is not None
    assert again.exact


def test_of_equal_questions_the_first_is_found() -> None:
    both = Index([("first", Question("a", ASKED, ())), ("second", Question("b", ASKED, ()))])
    match = both.find(ASKED)
    assert match is not None
    assert (match.dataset, match.id) == ("first", "a")


def test_an_equal_question_goes_before_a_near_one() -> None:
    match = index("Would Aristotle use a laptop?", ASKED).find(ASKED)
    assert match is not None
    assert (match.id, match.exact) == ("q1", True)


def test_what_has_no_words_asks_nothing() -> None:
    for text in ("", "?", "\n", "the", "Question: "):
        assert index("", "???", "the").find(text) is None


# --- nearly equal ones


@pytest.mark.parametrize("text", [
    "Would Aristotle have used laptops?",
    "Did Aristotle ever use a laptop?",
    "Answer with yes or no, please. Did Aristotle use a laptop?",
    "Context: Aristotle was a Greek philosopher. He taught Alexander.\nQuestion: Did Aristotle use a laptop?\nAnswer:",
    "Did Aristotle use a laptop? Let us think step by step.",
    "Did Aristotl\u00e9 use a laptop",
])
def test_small_edits_do_not_hide_a_question(text: str) -> None:
    match = found(ASKED, text)
    assert match is not None
    assert (match.id, match.exact, match.share) == ("q1", False, 1.0)


def test_clauses_may_change_places() -> None:
    match = found("In 1994, which team won the FIFA World Cup?", "Which team won the FIFA World Cup in 1994?")
    assert match is not None
    assert not match.exact
    assert SHARE <= match.share < 1


@pytest.mark.parametrize(("asked", "text"), [
    (ASKED, "Did Aristotle use a lamp?"),
    (ASKED, "Did Aristotle not use a laptop?"),
    (ASKED, "Did Plato use a laptop?"),
    (ASKED, "Did the man who taught Aristotle use a laptop?"),
    ("Who founded Microsoft?", "Where was the man who founded Microsoft born?"),
    ("When was Cuba discovered?", "Where was Cuba discovered?"),
    ("Is Niger larger than Chad?", "Is Nigeria larger than Chad?"),
    ("Is Niger larger than Chad?", "Is Chad larger than Niger?"),
    ("Was Rome founded before 753 BC?", "Was Rome founded before 735 BC?"),
    ("Find the largest order of an element of S_n, n = 6.", "Find the largest order of an element of S_n, n = 7."),
    ("What is the capital of the country whose currency is the lek?",
     "What is the capital of the country whose neighbour is the country whose currency is the lek?"),
])
def test_another_question_is_another_question(asked: str, text: str) -> None:
    assert found(asked, text) is None
    assert found(text, asked) is None


WORDS = st.lists(st.sampled_from(["aristotle", "laptop", "river", "bridge", "older", "founded", "novel", "capital"]),
                 min_size=3, unique=True)
LIGHT = st.lists(st.sampled_from(["the", "of", "in", "did", "was", "which", "it", "also"]), max_size=3).map(" ".join)


@given(WORDS, st.data())
def test_light_words_and_punctuation_do_not_count(words: list[str], data: st.DataObject) -> None:
    text = " ".join(f"{data.draw(LIGHT)} {word}{data.draw(st.sampled_from(['', ',', ' ']))}" for word in words)
    match = index(" ".join(words)).find(f"{text}?")
    assert match is not None
    assert match.share == 1.0


@given(WORDS, st.integers(0, 7))
def test_a_changed_word_counts(words: list[str], place: int) -> None:
    changed = [*words]
    changed[place % len(words)] = "something"
    assert index(" ".join(words)).find(" ".join(changed)) is None


# --- questions with options


@pytest.mark.parametrize("text", [
    FLAGS,
    "Single choice: " + FLAGS,
    "Question: Which of these colours is on the flag of Bhutan? (A) Green (B) Blue (C) Orange (D) Black",
    "Which of these colours is on the flag of Bhutan?\n\nA) Black\nB) Green\nC) Orange\nD) Red",
    "Which of these colours is on the flag of Bhutan?",
])
def test_options_may_change_their_order_and_their_form(text: str) -> None:
    assert found(FLAGS, text) is not None


def test_options_that_are_not_in_the_text_are_known_too() -> None:
    asked = Index([("dev", Question("a", "Which is true?", ("A",), choices=("Snow is white", "Snow is black")))])
    assert asked.find("Which is true?\nA. Snow is black\nB. Snow is white") is not None
    assert asked.find("Which is true?\nA. Grass is green\nB. Grass is blue") is None


def test_a_stem_that_many_questions_have_needs_its_options() -> None:
    asked = "Which of the following is true?\nA. Snow is white\nB. Snow is black"
    assert found(asked, "Which of the following is true?") is None
    assert found(asked, "Which of the following is true?\nA. Grass is green\nB. Grass is blue") is None
    assert found(asked, "Which of the following is true?\nA. Snow is black\nB. Snow is white") is not None


def test_initials_are_no_options() -> None:
    asked = "Did Thomas A. Edison know the Wright brothers and Booker T. Washington?"
    assert found(asked, asked) is not None
    assert found(asked, asked.replace("Wright", "Grimm")) is None


# --- the report


def test_the_report_lists_each_question_once() -> None:
    dev = Index([("dev", Question("a", ASKED, ())), ("dev", Question("b", "Who wrote Hamlet, and when?", ())),
                 ("test", Question("c", "How many legs has a spider?", ()))])
    texts = ["Would Aristotle use a laptop?", ASKED, "Who wrote Hamlet and when", "How many legs does a spider have?",
             "How many legs did the spider have?"]
    assert report(match for text in texts if (match := dev.find(text))) == {
        "dev": {"exact": 2, "near": 0, "questions": ["a", "b"]}, "test": {"exact": 0, "near": 1, "questions": ["c"]}}
    assert report([]) == {}


def test_a_match_is_a_line_of_json() -> None:
    match = found(ASKED, "Would Aristotle use a laptop?")
    assert match is not None
    assert decode(Match, encode(match), "x:1") == match


# --- real data


def questions(*parts: str) -> list[str]:
    """The question of each record; options are listed below it."""
    rows = map(json.loads, real_data(*parts).read_bytes().splitlines())
    return [row["question"] + "".join(f"\n{letter}. {text}" for letter, text in
                                      zip("ABCD", row.get("choices", ()), strict=False)) for row in rows]


def matches(asked: Iterable[str], texts: Iterable[str]) -> list[Match]:
    them = index(*asked)
    return [match for text in texts if (match := them.find(text))]


def released(form: str, name: str) -> list[str]:
    """The training questions of a released file."""
    if form == "alpaca":
        path = real_data("fireact", "finetune", "alpaca_format", f"{name}.json")
        return [row["instruction"] for row in json.loads(path.read_text(encoding="utf-8"))]
    path = real_data("fireact", "finetune", "gpt_format", f"{name}.jsonl")
    return [json.loads(line)["messages"][0]["content"] for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("form", ["alpaca", "gpt"])
@pytest.mark.parametrize(("name", "records", "distinct"), [
    ("hotpotqa", 0, 0), ("multitask", 37, 37), ("multitask_multimethod", 59, 55)])
def test_strategyqas_dev_questions_in_the_released_data(form: str, name: str, records: int, distinct: int) -> None:
    dev = questions("strategyqa", "dev.jsonl")
    assert len(dev) == 229
    plain = matches(dev, released(form, name))
    assert (len(plain), len({match.id for match in plain})) == (records, distinct)
    assert all(match.exact for match in plain)
    prefixed = matches((f"Yes or no: {text}" for text in dev), released(form, name))
    assert [match.id for match in prefixed] == [match.id for match in plain]


@pytest.mark.parametrize(("folder", "file"), [("bamboogle", "test"), ("hotpotqa", "dev"), ("mmlu", "test_2000"),
                                           ("mmlu", "val"), ("mmlu", "dev")])
def test_no_other_evaluation_question_is_in_the_released_data(folder: str, file: str) -> None:
    for form in ("alpaca", "gpt"):
        assert matches(questions(folder, f"{file}.jsonl"), released(form, "multitask_multimethod")) == []


def test_training_questions_that_are_not_in_the_evaluation() -> None:
    assert matches(questions("strategyqa", "dev.jsonl"), questions("strategyqa", "train.jsonl")) == []
    with open(real_data("fireact", "hotpotqa_dev.json"), encoding="utf-8") as file:
        dev = [row["question"] for row in json.load(file)]
    assert matches(dev, questions("hotpotqa", "train.jsonl")) == []


def test_mmlus_own_repetitions_are_found_and_its_passages_are_not() -> None:
    """Of `val` two questions are in `test`, and a third one with other options; 125 share a passage or a template."""
    twice = matches(questions("mmlu", "test_2000.jsonl"), questions("mmlu", "val.jsonl"))
    assert sorted(match.exact for match in twice) == [False, True, True]


def test_no_question_of_factbook_is_taken_for_another_of_its_template(shared_home: Path) -> None:
    """396 of its training questions hold 80% or more of a test question's word trigrams."""
    book = Factbook(home=shared_home / "dataset")
    texts = {split: [question.text for question in book.questions(split)] for split in ("train", "validation", "test")}
    assert matches(texts["test"], texts["train"] + texts["validation"]) == []
    assert matches(texts["validation"], texts["train"]) == []
    assert len(matches(texts["test"], (f"Question: {text}" for text in texts["test"]))) == len(texts["test"])
