"""From trajectory to training text: golden conversations, and the prompt the model sees when it plays."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from fireact.episode import Player
from fireact.examples import conversation, example
from fireact.model.oracle import Oracle
from fireact.model.scripted import Scripted
from fireact.render import render_prompt
from fireact.strategy.cot import Cot
from fireact.strategy.direct import Direct
from fireact.strategy.react import React
from fireact.strategy.reflexion import REFLECTIONS, Reflexion
from fireact.types import Ask, Hop, Message, Observation, Plan, Question, Refuse, Strategy, Trajectory
from tests.helpers import Gold
from tests.model.tiny import tiny_tokenizer

HOPS = (Hop("I need the country.", "capital Thimphu", r"capital of (\w+) is Thimphu", "Thimphu is in {1}."),
        Hop("I need the currency of {1}.", "currency {1}", r"currency of {1} is (\w+)", "{1} has {2}."))
QUESTION = Question("q1", "What is the currency of Thimphu?", ("ngultrum",), plan=Plan(HOPS))


@dataclass
class World:
    """Two facts."""

    name: str = "search"

    async def __call__(self, argument: str) -> Observation:
        if argument == "capital Thimphu":
            return Observation("The capital of Bhutan is Thimphu.")
        return Observation("The currency of Bhutan is ngultrum." if "Bhutan" in argument else "Nothing was found.")


def play(model: Any, strategy: Strategy, seed: int = 0) -> Trajectory:
    player = Player(method="x", strategy=strategy, few_shot=True, model=model, tools={"search": World()},
                    dataset=Gold(QUESTION), seed=seed)
    return asyncio.run(player.play(QUESTION))


def said(strategy: Strategy, *replies: str) -> Trajectory:
    return play(Scripted(replies=list(replies)), strategy)


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def test_react() -> None:
    record = said(React(), "thought: I look.  ACTION: Search[capital Thimphu].\nObservation: made up",
                  "Thought: Seen.\nAction: finish[ngultrum]")
    assert conversation(record) == ([
        user("What is the currency of Thimphu?"),
        assistant("Thought: I look.\nAction: search[capital Thimphu]"),
        user("Observation: The capital of Bhutan is Thimphu."),
        assistant("Thought: Seen.\nAction: finish[ngultrum]")], [1, 3])


def test_a_refused_reply_is_shown_but_not_learnt() -> None:
    record = said(React(), "Thought: hm\nAction:\nObservation: made up", "Thought: ok.\nAction: look[x]",
                  "Thought: I know.\nAction: finish[ngultrum]")
    assert conversation(record) == ([
        user("What is the currency of Thimphu?"),
        assistant("Thought: hm\nAction:"),
        user("Observation: the action '' is not of the form name[argument]; write e.g. Action: search[Paris]"),
        assistant("Thought: ok.\nAction: look[x]"),
        user("Observation: there is no tool 'look'; use one of search[...], finish[...]"),
        assistant("Thought: I know.\nAction: finish[ngultrum]")], [5])


def test_an_observation_that_nobody_answers_is_left_out() -> None:
    record = said(React(max_rounds=2), "Thought: a.\nAction: search[a]")
    messages, learnt = conversation(record)
    assert [message.role for message in messages] == ["user", "assistant", "user", "assistant"]
    assert learnt == [1, 3]


def test_reflexion_learns_its_reflections() -> None:
    replies = [f"Thought: look.\nAction: search[{number}]" for number in range(5)]
    record = said(Reflexion(), *replies, "Thought: I try another.\nAction: finish[ngultrum]")
    messages, learnt = conversation(record)
    assert messages[-1] == assistant(f"Thought: {REFLECTIONS[6]} I try another.\nAction: finish[ngultrum]")
    assert learnt == [1, 3, 5, 7, 9, 11]


def test_a_chain_of_thought_is_one_round_that_finishes() -> None:
    record = said(Cot(), "hm", "Thought: Bhutan has it.\nAnswer: Ngultrum.")
    assert conversation(record) == ([
        user("What is the currency of Thimphu?"),
        assistant("Thought: Bhutan has it.\nAction: finish[Ngultrum.]")], [1])


def test_a_direct_answer_is_a_round_without_a_thought() -> None:
    record = said(Direct(), "ngultrum")
    assert conversation(record) == ([
        user("What is the currency of Thimphu?"), assistant("Action: finish[ngultrum]")], [1])


@pytest.mark.parametrize(("strategy", "reply"), [(Cot(), "hm"), (Direct(), " ")])
def test_an_answer_that_never_came_is_not_learnt(strategy: Strategy, reply: str) -> None:
    assert conversation(said(strategy, reply))[1] == []


def prompts(strategy: Strategy, record: Trajectory) -> list[Ask]:
    """What a strategy without examples asks, where the model says what the record says."""
    running, asks = strategy.play(record.question.text, few_shot=False), []
    replies = [step.text for step in record.steps]
    request = next(running)
    for kind, reply in zip([step.kind for step in record.steps], replies, strict=True):
        if kind == "ask":
            assert isinstance(request, Ask)
            asks.append(request)
        elif kind == "refuse" and isinstance(request, Refuse):
            assert request.text == reply
        try:
            request = running.send(reply)
        except StopIteration:
            break
    return asks


@pytest.mark.parametrize("strategy", [React(), Reflexion()], ids=["react", "reflexion"])
@pytest.mark.parametrize("seed", range(6))
def test_training_shows_what_playing_shows(strategy: Strategy, seed: int) -> None:
    """Where they differ, a student is asked what it never saw, and nothing tells."""
    record = play(Oracle(tool=World(), mistakes=0.5, lost=0.5), strategy, seed)
    messages, learnt = conversation(record)
    asks = prompts(strategy, record)
    assert len(asks) == record.rounds
    tokenizer = tiny_tokenizer()
    trained = example(tokenizer, record)
    for ask in asks:
        at = len(ask.messages)
        assert tuple(messages[:at]) == ask.messages
        assert messages[at].role == "assistant"
        assert messages[at].content.startswith(ask.prime)
        prompt = render_prompt(tokenizer, ask.messages, ask.prime)
        assert trained.ids[: len(prompt)] == tuple(prompt)
    assert set(learnt) <= {len(ask.messages) for ask in asks}


def test_the_mask_holds_what_the_model_wrote() -> None:
    record = said(React(), "no step", "Thought: I look.\nAction: search[capital Thimphu]",
                  "Thought: Seen.\nAction: finish[ngultrum]")
    tokenizer = tiny_tokenizer()
    built = example(tokenizer, record)
    assert len(built.ids) == len(built.mask)
    learnt = tokenizer.decode([token for token, counts in zip(built.ids, built.mask, strict=True) if counts])
    assert learnt == ("Thought: I look.\nAction: search[capital Thimphu]<|im_end|>"
                      "Thought: Seen.\nAction: finish[ngultrum]<|im_end|>")
