"""Plan and execute as a generator, driven by hand; and the grammar of plans."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import FormatError
from fireact.requests import Act, Ask, Refuse, Tell
from fireact.strategy.calling import FINISH, PLAN
from fireact.strategy.plan_execute import PlanExecute
from fireact.strategy.plans import format_plan, has_plan, parse_plan
from fireact.toolspec import Call, ToolSpec, text_argument
from fireact.types import Completion, Message, Refusal
from tests.strategy.driving import finish

SEARCH = ToolSpec("search", "looks words up", text_argument("query", "what to look up"))
TWO = "Plan:\n1. Find the country whose capital is Thimphu.\n2. Find the currency of that country."


def test_steps_are_told_one_by_one_and_the_observation_comes_first() -> None:
    play = PlanExecute().play("Q?", few_shot=False, tools=(SEARCH,))
    assert next(play).messages == (Message("user", "Q?"),)
    told = play.send(TWO)
    assert told == Tell("Step 1 of 2: Find the country whose capital is Thimphu.")
    ask = play.send(told.text)
    assert ask.messages[-1] == Message("user", f"Observation: {told.text}")
    assert play.send("Action: search[capital Thimphu]") == Act("search", "capital Thimphu")
    told = play.send("The capital of Bhutan is Thimphu.")
    ask = play.send(told.text)
    assert ask.messages[-1].content == ("Observation: The capital of Bhutan is Thimphu.\n"
                                        "Step 2 of 2: Find the currency of that country.")
    play.send("Action: search[currency of Bhutan]")
    told = play.send("It is the ngultrum.")
    assert told == Tell("All steps are done. Finish with the answer, or write another plan.")
    play.send("All steps are done.")
    assert finish(play, "Action: finish[ngultrum]") == "ngultrum"


def test_another_plan_begins_at_its_first_step_and_there_is_a_most() -> None:
    play = PlanExecute(max_plans=2).play("Q?", few_shot=False)
    next(play)
    play.send(play.send(TWO).text)
    play.send("Action: search[x]")
    play.send("nothing")
    play.send("Step 2")
    assert play.send("Thought: That did not help.\nPlan:\n1. Find it elsewhere.") == Tell(
        "Step 1 of 1: Find it elsewhere.")
    ask = play.send("Step 1 of 1: Find it elsewhere.")
    assert ask.messages[-2].content == "Thought: That did not help.\nPlan:\n1. Find it elsewhere."
    refused = play.send(TWO)
    assert isinstance(refused, Refuse)
    assert "2 plans were written" in refused.text


def test_what_is_no_plan_is_refused_with_what_to_write() -> None:
    for reply in ("Action: search[x]", "Plan:", "Plan:\nThen we shall see.", "I think", "Action: finish[x]"):
        play = PlanExecute().play("Q?", few_shot=False)
        next(play)
        refused = play.send(reply)
        assert isinstance(refused, Refuse), reply
        assert "e.g." in refused.text or "plan" in refused.text


def test_a_call_that_is_refused_leaves_the_step_where_it_was() -> None:
    play = PlanExecute().play("Q?", few_shot=False, tools=(SEARCH,))
    next(play)
    play.send(play.send(TWO).text)
    assert play.send("Action: guess[x]") == Act("guess", "x")
    assert play.send(Refusal("there is no tool 'guess'")).text.startswith("Step 1 of 2")


def test_it_ends_without_an_answer_after_its_rounds() -> None:
    play = PlanExecute(max_rounds=1).play("Q?", few_shot=False)
    next(play)
    assert finish(play, *[play.send(TWO).text]) is None


def test_plans_are_calls_of_a_function_where_functions_are_offered() -> None:
    play = PlanExecute(wire="tools").play("Q?", few_shot=False, tools=(SEARCH,))
    ask = next(play)
    assert ask.tools == (SEARCH, PLAN, FINISH)
    told = play.send(Completion("I plan.", calls=(Call("plan", '{"steps": ["Find a.", "Find b."]}'),)))
    assert told == Tell("Step 1 of 2: Find a.")
    ask = play.send(told.text)
    assert ask.messages[1:] == (Message("assistant", "I plan.", (Call("plan", '{"steps": ["Find a.", "Find b."]}'),)),
                                Message("tool", "Step 1 of 2: Find a."))
    assert play.send(Completion("", calls=(Call("search", '{"query": "a"}'),))) == Act("search", "a")
    play.send("found a")
    play.send("Step 2 of 2")
    refused = play.send(Completion("", calls=(Call("search", '{"query": "b"}'), Call("finish", '{"answer": "c"}'))))
    assert isinstance(refused, Refuse)
    ask = play.send(refused.text)
    assert [message.role for message in ask.messages[-3:]] == ["assistant", "tool", "tool"]
    assert finish(play, Completion("", calls=(Call("finish", '{"answer": "c"}'),))) == "c"


def test_a_plan_that_is_no_list_is_refused() -> None:
    for arguments in ('{"steps": "Find a."}', '{"steps": []}', '{"steps": [" "]}', "{", '"x"', '{"step": ["a"]}',
                      '{"steps": [["a"], null]}'):
        play = PlanExecute(wire="tools").play("Q?", few_shot=False, tools=(SEARCH,))
        next(play)
        assert isinstance(play.send(Completion("", calls=(Call("plan", arguments),))), Refuse), arguments


def test_a_prompted_model_is_primed_for_a_plan_first() -> None:
    play = PlanExecute(prompt="factbook").play("Q?", few_shot=True)
    ask = next(play)
    assert isinstance(ask, Ask)
    assert ask.prime == "Plan:"
    assert play.send(play.send(TWO).text).prime == "Thought:"


_TEXTS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=30).map(
    lambda text: " ".join(text.replace("*", "").split())).filter(lambda text: text.strip(" *") == text and text)


@given(_TEXTS.filter(lambda text: "thought" not in text.lower() and "plan" not in text.lower()),
       st.lists(_TEXTS, min_size=1, max_size=6))
def test_what_is_written_is_read_again(thought: str, steps: list[str]) -> None:
    assert parse_plan(format_plan(thought, steps)) == (thought, tuple(steps))
    assert parse_plan(format_plan("", steps)) == ("", tuple(steps))


@given(st.text(max_size=200))
def test_any_text_is_a_plan_or_is_refused(text: str) -> None:
    try:
        _, steps = parse_plan(text)
    except FormatError:
        return
    assert steps
    assert has_plan(text)


@pytest.mark.parametrize("text", ["**Plan:**\n1) Find a.\n2) Find b.",
                                  "plan:\n\n Step 1: Find a.\n Step 2: Find b.\nOK",
                                  "Plan: 1. Find a.\n2. Find b.", "# Plan\n1. **Find a.**\n2. Find b.\nObservation: x"])
def test_what_models_write_is_read(text: str) -> None:
    assert parse_plan(text)[1] == ("Find a.", "Find b.")
