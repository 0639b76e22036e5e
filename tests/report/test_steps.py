"""How the steps of every framework are shown."""

import pytest

from fireact.report.steps import shown
from fireact.toolspec import Call
from fireact.types import Completion, Step


@pytest.mark.parametrize(("step", "told"), [
    (Step("ask", "Thought: a\nAction: search[b]", form="react"), [("Thought", "a"), ("Action", "search[b]")]),
    (Step("ask", "Thought: a\nAction: search[b] and more", form="react"),
     [("Reply", "Thought: a\nAction: search[b] and more")]),
    (Step("ask", "Thought: a\nPlan:\n1. Find b.", form="plan"), [("Thought", "a"), ("Plan", "1. Find b.")]),
    (Step("ask", "Thought: a\nAction: search[b]", form="plan"), [("Thought", "a"), ("Action", "search[b]")]),
    (Step("ask", "Thought: a\nE1 = search[b]\nfinish[{E1}]", form="program"),
     [("Thought", "a"), ("Program", "E1 = search[b]\nfinish[{E1}]")]),
    (Step("ask", "E1 = search[b", form="program"), [("Reply", "E1 = search[b")]),
    (Step("ask", "Value: sure", form="value", node="0.1"), [("Reply at 0.1", "Value: sure")]),
    (Step("ask", "I look.", form="react", completion=Completion("I look.", calls=(Call("search", '{"query": "b"}'),))),
     [("Thought", "I look."), ("Action", 'search({"query": "b"})')]),
    (Step("act", "seen", tool="search", argument="b", name="E1"), [("Observation E1", "seen")]),
    (Step("tell", "Step 1 of 2: Find b."), [("Told", "Step 1 of 2: Find b.")]),
    (Step("choose", "0.1", node="0.1"), [("Chosen", "0.1")]),
    (Step("recall", "skill a[x]\nreturn[x]", argument="q"), [("Skills", "skill a[x]\nreturn[x]")]),
    (Step("learn", "a is kept.", argument="skill a[x]\nreturn[x]"), [("Learnt", "skill a[x]\nreturn[x]\na is kept.")]),
])
def test_each_kind_has_its_label(step: Step, told: list[tuple[str, str]]) -> None:
    assert shown(step) == told
