"""Exact match and F1, yes and no, letters; and the scores of FireAct's released runs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.dataset.scoring import (
    choice,
    exact_match,
    f1,
    fold,
    normalize,
    read_choice,
    read_yes_no,
    score,
    short_answer,
    yes_no,
)
from fireact.types import Score
from tests.helpers import real_data


@pytest.mark.parametrize(("text", "normal"), [
    ("The Beatles!", "beatles"),
    ("  An   apple,\na day ", "apple day"),
    ("theatre and anthem", "theatre and anthem"),
    ("U.S.", "us"),
    ("31,122,387", "31122387"),
    ("Bhutan's", "bhutans"),
    ("São Tomé", "são tomé"),
    ("The", ""),
    ("", ""),
])
def test_normalisation(text: str, normal: str) -> None:
    assert normalize(text) == normal


@given(st.text(max_size=60))
def test_what_is_normalised_has_single_spaces_and_no_punctuation(text: str) -> None:
    normal = normalize(text)
    assert " ".join(normal.split()) == normal
    assert not set(normal) & set(".,'!?-[]")


@pytest.mark.parametrize(("answer", "gold", "em", "overlap"), [
    ("The Eiffel Tower", "eiffel tower", 1.0, 1.0),
    ("Barack Obama", "Obama", 0.0, 2 / 3),
    ("new new york", "new york york", 0.0, 2 / 3),
    ("Paris", "London", 0.0, 0.0),
    ("yes", "Yes.", 1.0, 1.0),
    ("yes", "yes it is", 0.0, 0.0),
    ("no idea at all", "no", 0.0, 0.0),
    ("noanswer", "noanswer given", 0.0, 0.0),
    ("yes sir", "yes indeed", 0.0, 0.5),
])
def test_exact_match_and_f1(answer: str, gold: str, em: float, overlap: float) -> None:
    assert exact_match(answer, gold) == em
    assert f1(answer, gold) == pytest.approx(overlap)


def test_the_best_alias_counts_each_for_itself() -> None:
    assert score("USA", ("United States", "U.S.A.")) == Score(1.0, 1.0)
    assert score("United States of America", ("the United States", "USA")) == Score(0.0, pytest.approx(2 / 3))


@pytest.mark.parametrize("answer", [None, "", "  ", "the", "?!"])
def test_no_answer_scores_nothing(answer: str | None) -> None:
    assert score(answer, ("a", "")) == Score(0.0, 0.0)


@pytest.mark.parametrize("gold", ["The The", "!!!"])
def test_an_answer_that_is_all_articles_or_signs_can_be_right(gold: str) -> None:
    """Two of HotpotQA's dev questions have such a one."""
    assert score(gold, (gold,)) == Score(1.0, 1.0)
    assert score("???", (gold,)) == Score(0.0, 0.0)


def test_without_a_gold_answer_nothing_is_right() -> None:
    assert score("Paris", ()) == Score(0.0, 0.0)


words = st.text(st.sampled_from("ab cthe."), max_size=12)


@given(words, words)
def test_scores_are_fractions_and_f1_is_symmetric(answer: str, gold: str) -> None:
    result = score(answer, (gold,))
    assert 0 <= result.em <= result.f1 <= 1 + 1e-9
    assert f1(answer, gold) == pytest.approx(f1(gold, answer))


@pytest.mark.parametrize(("run", "em", "overlap"), [("gpt-3.5", 40.0, 54.2), ("llama-2-13b", 34.4, 47.9),
                                                    ("llama-2-7b", 26.2, 38.0)])
def test_the_released_runs_score_as_in_the_paper(run: str, em: float, overlap: float) -> None:
    """Over all 500 questions; those without a record count as wrong."""
    path = next(path for path in real_data("fireact", "trajs").iterdir() if run in path.name)
    records = json.loads(path.read_text(encoding="utf-8")).values()
    scores = [score(record["pred"], (record["gt"],)) for record in records if "pred" in record]
    assert round(sum(one.em for one in scores) / 5, 1) == em
    assert round(sum(one.f1 for one in scores) / 5, 1) == overlap


@given(words, words)
def test_scores_do_not_change_when_normalised_twice(answer: str, gold: str) -> None:
    """The original normalises before it calls its F1, which normalises again."""
    assert normalize(normalize(answer)) == normalize(answer)
    assert f1(normalize(answer), normalize(gold)) == f1(answer, gold)


@pytest.mark.parametrize(("answer", "golds", "faithful", "strict"), [
    ("Beyonce", ("Beyoncé",), 0, 1),
    ("Łódź", ("Lodz",), 0, 1),
    ("1900\u20131950", ("1900-1950",), 0, 1),
    ("O\u2019Brien", ("O'Brien",), 0, 1),
    ("NYC", ("New York", "NYC"), 0, 1),
    ("The New York", ("new york!", "NYC"), 1, 1),
    ("New York City", ("New York",), 0, 0),
    ("yes, both", ("yes",), 0, 0),
    (None, ("yes",), 0, 0),
])
def test_short_answers(answer: str | None, golds: tuple[str, ...], faithful: int, strict: int) -> None:
    assert short_answer(answer, golds, "faithful").em == faithful
    assert short_answer(answer, golds, "strict").em == strict


@given(st.text(max_size=20), st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_strict_gives_a_short_answer_no_less_than_faithful(answer: str, golds: list[str]) -> None:
    faithful, strict = (short_answer(answer, golds, how) for how in ("faithful", "strict"))
    assert faithful.em <= strict.em
    assert faithful.f1 <= strict.f1
    assert short_answer(golds[0], golds, "strict").em == bool(golds[0].strip())


@given(st.text(max_size=20))
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(("answer", "said"), [
    ("yes", "yes"), ("Yes.", "yes"), ("**Yes**", "yes"), ("Yes, both are.", "yes"), ("Yes both are", "yes"),
    ("True", "yes"), ("The answer is yes", "yes"), ("Answer: Yes", "yes"), ("The final answer: yes!", "yes"),
    ("So the answer is yes", "yes"), ("no", "no"), ("No, it is not", "no"), ("No - he did", "no"), ("(No)", "no"),
    ('"no"', "no"), ("no he did not", "no"), ("False.", "no"), ("The answer is no", "no"), ("answer: no", "no"),
    ("No; so the answer is yes", "yes"), ("I think yes", "yes"), ("I think no", "no"), ("Probably yes", "yes"),
    ("Most likely no.", "no"), ("It is false", "no"), ("It is true.", "yes"), ("It's false, since he was", "no"),
    ("I believe that it is true", "yes"), ("I'd say yes", "yes"), ("Nope", "no"), ("Yep.", "yes"), ("Yeah", "yes"),
    ("Nope, he did not", "no"), ("The statement is false.", "no"), ("Final answer - no", "no"), ("\\boxed{yes}", "yes"),
    ("It is true that both are old, but the answer is no", "no"), ("False, as there is no evidence", "no"),
    ("It is no longer there", None), ("I think no one knows", None), ("Probably not enough", None),
    ("I think it is unclear", None), ("Probably", None), ("I think yes or no", None), ("It is truly old", None),
    ("I think yes, but I am not sure", None), ("noped", None), ("I don't think so", None), ("\\boxed{}", None),
    ("not sure", None), ("None", None), ("Nobody knows", None), ("No one knows", None), ("no idea", None),
    ("no information", None), ("unknown", None), ("I don't know", None), ("No, I am not sure", None),
    ("yes and no", None), ("yes/no", None), ("yes or no", None), ("northern", None), ("yesterday", None),
    ("It is not possible", None), ("", None), ("maybe", None),
])
def test_yes_and_no_are_read_as_they_are_meant(answer: str, said: str | None) -> None:
    assert read_yes_no(answer) == said


@pytest.mark.parametrize(("answer", "gold", "faithful", "strict"), [
    ("Yes, it is", "yes", 1, 1), ("not sure", "no", 1, 0), ("None", "no", 1, 0), ("Nobody knows", "no", 1, 0),
    ("The answer is no", "no", 0, 1), ("yesterday", "yes", 1, 0), ("No", "yes", 0, 0), (None, "no", 0, 0),
    ("", "no", 0, 0),
])
def test_yes_and_no_in_both_ways(answer: str | None, gold: str, faithful: int, strict: int) -> None:
    assert yes_no(answer, gold, "faithful").em == faithful
    assert yes_no(answer, gold, "strict").em == strict


OPTIONS = ("Paris", "All of the above", "-1", "1.", "/")


@pytest.mark.parametrize(("answer", "letters"), [
    ("C", "C"), ("c", "C"), ("(C)", "C"), ("C.", "C"), ("**C**", "C"), ("[C]", "C"), ("C) -1", "C"), ("C. -1", "C"),
    ("(C) -1", "C"), ("C: something", "C"), ("Answer: C", "C"), ("The answer is (C).", "C"), ("Option C", "C"),
    ("the correct answer is option C", "C"), ("I think the answer is C", "C"), ("C because it is less", "C"),
    ("The best choice is C. Since it is less", "C"), ("C\nbecause", "C"), ("-1", "C"), ("\u22121", "C"), ("$-1$", "C"),
    ("The answer is -1.", "C"), ("1", "D"), ("All of the above", "B"), ("all of the above.", "B"),
    ("B - All of the above", "B"), ("answer: 'Paris'", "A"), ("E. /", "E"),
    ("C is correct", "C"), ("(C) is correct.", "C"), ("C is the answer", "C"), ("C is the correct answer.", "C"),
    ("C is the best option because it is less", "C"), ("C is correct. B is not.", "C"), ("**C** is correct", "C"),
    ("B, because it is all", "B"), ("(B), because it is all", "B"), ("A, Paris", "A"), ("I choose C", "C"),
    ("I would go with option C", "C"), ("I think (C)", "C"), ("It is (C)", "C"), ("It is C.", "C"), ("It's Paris", "A"),
    ("Final answer - C", "C"), ("Final answer \u2014 C", "C"), ("Answer -1", "C"), ("\\boxed{C}", "C"),
    ("$\\boxed{\\text{C}}$", "C"), ("The answer is $\\boxed{C}$.", "C"), ("So it is less: \\boxed{(C)}.", "C"),
    ("C is not correct", ""), ("(C) is not correct", ""), ("C is correct and B is correct", ""),
    ("C is correct, B is correct", ""), ("C is correct or D is", ""), ("A is a city", ""),
    ("It is a city", ""), ("(A), (B)", ""), ("I choose", ""),
    ("C is the answer to another question", ""), ("\\boxed{A, B}", ""), ("Both A and C are correct", ""),
    ("A lot", ""), ("Paris is nice", ""), ("A and B", ""), ("A, B", ""), ("C or D", ""), ("(A) or (B)", ""),
    ("C. Paris", ""), ("F", ""), ("", ""), ("choice", ""), ("None", ""),
])
def test_an_option_is_read_as_it_is_meant(answer: str, letters: str) -> None:
    assert read_choice(answer, OPTIONS) == set(letters)


def test_options_of_the_same_text_are_both_meant() -> None:
    assert read_choice("12", ("12", "-4", "4", "12")) == {"A", "D"}
    assert choice("12", "D", ("12", "-4", "4", "12"), "strict").em == 1


@pytest.mark.parametrize(("answer", "gold", "faithful", "strict"), [
    ("C", "C", 1, 1), ("All of the above", "A", 1, 0), ("Answer: C", "A", 1, 0), ("Answer: C", "C", 0, 1),
    ("(C)", "C", 0, 1), ("All of the above", "B", 0, 1), ("D", "C", 0, 0), (None, "A", 0, 0), ("", "A", 0, 0),
])
def test_letters_in_both_ways(answer: str | None, gold: str, faithful: int, strict: int) -> None:
    assert choice(answer, gold, OPTIONS, "faithful").em == faithful
    assert choice(answer, gold, OPTIONS, "strict").em == strict


@given(st.text(max_size=40), st.lists(st.text(max_size=10), max_size=6))
def test_any_answer_can_be_read(answer: str, options: list[str]) -> None:
    assert read_yes_no(answer) in ("yes", "no", None)
    assert read_choice(answer, options) <= set("ABCDEF"[:len(options)])
