"""The few-shot texts of plans, programs and skills: each example is an episode that the strategy would play."""

import re
from typing import Any

import pytest

from fireact.requests import Act, Ask, Learn, Recall, Refuse, Tell
from fireact.strategy.grammar import OBSERVATION, parse_step
from fireact.strategy.nodes import VALUES
from fireact.strategy.plan_execute import PlanExecute
from fireact.strategy.program import NEXT, Program
from fireact.strategy.prompts import preamble, value_preamble
from fireact.strategy.skills import Skills
from fireact.toolspec import ToolSpec, text_argument
from fireact.types import Message
from tests.strategy.test_prompts import ANSWERS, TASKS, examples

SEARCH = ToolSpec("search", "looks words up", text_argument("query", "what to look up"))
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
            if (method, task) not in (("skills", "factbook"), ("skills", "strategyqa")):
                assert any(NEXT in turn.content for example in examples(method, task) for turn in example)


def test_valuations_end_with_one_of_the_words() -> None:
    _, *turns = value_preamble()
    assert [turn.role for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
    words = [turn.content.removeprefix("Value: ") for turn in turns[1::2]]
    assert set(words) <= set(VALUES)
    assert len(set(words)) == 3
    assert all(turn.content.startswith("Question: ") for turn in turns[::2])
