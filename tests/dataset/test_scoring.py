"""HotpotQA's exact match and F1, and the scores of FireAct's released runs."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.dataset.scoring import exact_match, f1, normalize, score
from fireact.types import Score

ROOT = Path(__file__).parent.parent.parent
TRAJECTORIES = Path(os.environ.get("FIREACT_DATA", ROOT.parent / "shared" / "data")) / "fireact" / "trajs"


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
    assert score(answer, ("the", "")) == Score(0.0, 0.0)


def test_without_a_gold_answer_nothing_is_right() -> None:
    assert score("Paris", ()) == Score(0.0, 0.0)


words = st.text(st.sampled_from("ab cthe."), max_size=12)


@given(words, words)
def test_scores_are_fractions_and_f1_is_symmetric(answer: str, gold: str) -> None:
    result = score(answer, (gold,))
    assert 0 <= result.em <= result.f1 <= 1 + 1e-9
    assert f1(answer, gold) == pytest.approx(f1(gold, answer))


@pytest.mark.skipif(not TRAJECTORIES.is_dir(), reason=f"FireAct's released trajectories are not at {TRAJECTORIES}")
@pytest.mark.parametrize(("run", "em", "overlap"), [("gpt-3.5", 40.0, 54.2), ("llama-2-13b", 34.4, 47.9),
                                                    ("llama-2-7b", 26.2, 38.0)])
def test_the_released_runs_score_as_in_the_paper(run: str, em: float, overlap: float) -> None:
    """Over all 500 questions; those without a record count as wrong."""
    path = next(path for path in TRAJECTORIES.iterdir() if run in path.name)
    records = json.loads(path.read_text(encoding="utf-8")).values()
    scores = [score(record["pred"], (record["gt"],)) for record in records if "pred" in record]
    assert round(sum(one.em for one in scores) / 5, 1) == em
    assert round(sum(one.f1 for one in scores) / 5, 1) == overlap
