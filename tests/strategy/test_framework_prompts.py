"""The few-shot texts of plans, programs and skills: each example is an episode that the strategy would play."""

import re
from typing import Any

import pytest

from fireact.requests import Act, Ask, Learn, Recall, Refuse, Tell
from fireact.strategy.calling import FINISH, PROGRAM
from fireact.strategy.grammar import OBSERVATION, format_step, parse_step
from fireact.strategy.language import parse
from fireact.strategy.plan_execute import PLAN, PlanExecute
from fireact.strategy.plans import format_plan, has_plan, parse_plan
from fireact.strategy.program import NEXT, Program
from fireact.strategy.prompts import called_preamble, preamble, value_preamble
from fireact.strategy.skills import Skills
from fireact.strategy.tree_search import VALUES
from fireact.toolspec import ToolSpec, text_argument
from fireact.types import Message
from tests.strategy.test_prompts import ANSWERS, TASKS, examples

SEARCH = ToolSpec("search", "looks words up", text_argument("query", "what to look up"))
SKILL = re.compile(r"^skill (\w+)\[", re.MULTILINE)
STRATEGIES = {"plan": PlanExecute(), "program": Program(), "skills": Skills()}


def found() -> dict[str, str]:
    """What each search of ReAct's examples shows."""
    results: dict[str, str] = {}
    for task in TASKS:
        for example in examples("react", task):
            for said, seen in zip(example[1::2], example[2::2], strict=False):
                results[parse_step(said.content).argument] = seen.content.removeprefix(OBSERVATION).strip()
    return results


FOUND = found()


def shown(act: Act, turn: str) -> str:
    """What a search shows in an example of its own."""
    turn = turn.removeprefix(OBSERVATION).strip()
    if act.name:
        told = re.search(rf"^{re.escape(act.name)}: (.*)$", turn, re.MULTILINE)
        return told[1] if told else FOUND[act.argument]
    return turn.partition("\nStep ")[0].partition("\nAll steps")[0]


def played(strategy: Any, example: list[Message]) -> tuple[tuple[Message, ...], str | None]:
    """The conversation in which the model says what it says in an example, and the answer."""
    question, _, skills = example[0].content.partition("\n\nSkills:")
    replies = iter(message.content for message in example[1::2])
    play = strategy.play(question, few_shot=False, tools=(SEARCH,))
    request, messages, reply = next(play), (), ""
    while True:
        assert not isinstance(request, Refuse), request
        if isinstance(request, Ask):
            messages = request.messages
            reply = next(replies)
            answer: Any = reply
        elif isinstance(request, Recall):
            answer = "" if skills.strip() == "none" else skills.strip()
        elif isinstance(request, Tell):
            answer = request.text
        elif isinstance(request, list) and isinstance(request[0], Learn):
            answer = ["kept"] * len(request)
        else:
            at = len(messages) + 1
            turn = example[at].content if at < len(example) else ""
            acts = request if isinstance(request, list) else [request]
            told = [FOUND.get(act.argument) or shown(act, turn) for act in acts]
            answer = told if isinstance(request, list) else told[0]
        try:
            request = play.send(answer)
        except StopIteration as ended:
            return (*messages, Message("assistant", reply)), ended.value


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", STRATEGIES)
def test_each_example_is_an_episode_of_its_strategy(method: str, task: str) -> None:
    assert preamble(method, task)[0].role == "system"
    several = examples(method, task)
    assert len(several) >= 2
    for example in several:
        messages, answer = played(STRATEGIES[method], example)
        assert list(messages) == example
        assert re.fullmatch(ANSWERS[task], answer or "")


@pytest.mark.parametrize("method", STRATEGIES)
def test_the_questions_are_those_of_react(method: str) -> None:
    for task in TASKS:
        asked = {example[0].content for example in examples("react", task)}
        assert {example[0].content.partition("\n\nSkills:")[0] for example in examples(method, task)} <= asked


def test_a_second_reply_is_shown_in_each_language_text() -> None:
    for method in ("program", "skills"):
        for task in TASKS:
            assert any(NEXT in turn.content for example in examples(method, task) for turn in example)


@pytest.mark.parametrize("task", TASKS)
def test_plans_and_programs_are_written_in_the_canonical_form(task: str) -> None:
    for turn in (turn.content for example in examples("plan", task) for turn in example[1::2]):
        if has_plan(turn):
            thought, steps = parse_plan(turn)
            assert turn == format_plan(thought, steps)
            assert all(re.fullmatch(r"[A-Z][a-z]+ .+\.", step) for step in steps)
        else:
            assert turn == format_step(parse_step(turn))
    for turn in (turn.content for example in examples("program", task) for turn in example[1::2]):
        assert turn == str(parse(turn, tools=["search"]))


@pytest.mark.parametrize("task", TASKS)
def test_a_search_of_a_plan_shows_what_it_shows_in_react(task: str) -> None:
    steps = [parse_step(turn.content) for example in examples("plan", task) for turn in example[1::2]
             if not has_plan(turn.content)]
    others = {step.argument for step in steps if step.name == "search"} - FOUND.keys()
    assert others == ({"Qatar"} if task == "factbook" else set())


@pytest.mark.parametrize("task", TASKS)
def test_skills_are_both_called_and_defined_in_each_text(task: str) -> None:
    called, defined = set(), set()
    for question, *turns in examples("skills", task):
        known = set(SKILL.findall(question.content))
        for turn in turns[::2]:
            own = set(SKILL.findall(turn.content))
            calls = set(re.findall(r"^E\d+ = (\w+)\[", turn.content, re.MULTILINE)) - {"search"}
            assert own <= calls <= own | known
            called |= calls & known
            defined |= own
    assert called
    assert defined


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("method", "offered"), [("plan", (SEARCH, PLAN, FINISH)), ("program", (PROGRAM, FINISH))])
def test_plans_and_programs_can_be_shown_as_calls(method: str, offered: tuple[ToolSpec, ...], task: str) -> None:
    words = [turn for example in examples(method, task) for turn in example]
    _, *called = called_preamble(method, task, offered)
    assert len(called) == len(words)
    for turn, call in zip(words, called, strict=True):
        assert len(call.calls) == (turn.role == "assistant")
        assert (call.role == "tool") == turn.content.startswith(OBSERVATION)


def test_valuations_end_with_one_of_the_words() -> None:
    _, *turns = value_preamble()
    assert [turn.role for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
    words = [turn.content.removeprefix("Value: ") for turn in turns[1::2]]
    assert set(words) <= set(VALUES)
    assert len(set(words)) == 3
    assert all(turn.content.startswith("Question: ") for turn in turns[::2])
