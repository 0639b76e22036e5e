"""An episode's steps are shown without losing a word."""

import pytest

from fireact.report.steps import LONGEST, shown
from fireact.types import Step


def ask(text: str, form: str = "react") -> Step:
    return Step("ask", text, form=form)


@pytest.mark.parametrize(("step", "labels"), [
    (ask("Thought: a b\nAction: search[c]"), ["Thought", "Action"]),
    (ask("Action: search[c]"), ["Action"]),
    (ask("Thought: a\nAction: search[c]\nand what the model added"), ["Reply"]),
    (ask("no step at all"), ["Reply"]),
    (ask("Thought: a Answer: b", "cot"), ["Thought", "Answer"]),
    (ask("Paris", "direct"), ["Reply"]),
    (Step("act", "seen", tool="search", argument="c"), ["Observation"]),
    (Step("refuse", "no"), ["Refused"])])
def test_a_step_is_taken_apart_only_where_nothing_is_lost(step, labels):
    assert [label for label, _ in shown(step)] == labels


def test_long_texts_are_cut_and_say_so():
    (_, text), = shown(Step("act", "x" * (LONGEST + 1500)))
    assert text.endswith("… (1,500 more characters)")
