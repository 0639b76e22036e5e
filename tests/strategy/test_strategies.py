"""Each strategy as what it is: a generator, driven by hand."""

import pytest

from fireact.errors import ConfigError
from fireact.requests import Act, Ask, Refuse
from fireact.strategy.cot import Cot
from fireact.strategy.direct import Direct
from fireact.strategy.react import React
from fireact.strategy.reflexion import REFLECTIONS, Reflexion
from fireact.types import Message
from tests.strategy.driving import finish


def test_react_asks_acts_and_finishes() -> None:
    play = React().play("Capital of France?", few_shot=False)
    ask = next(play)
    assert ask.messages == (Message("user", "Capital of France?"),)
    assert ask.prime == ""
    assert play.send("thought: I look.  ACTION: Search[France]") == Act("search", "France")
    ask = play.send("The capital of France is Paris.")
    assert ask.messages[1:] == (Message("assistant", "Thought: I look.\nAction: search[France]"),
                                Message("user", "Observation: The capital of France is Paris."))
    assert finish(play, "Thought: Found.\nAction: finish[Paris]") == "Paris"


def test_a_prompted_model_is_shown_examples_and_primed() -> None:
    ask = next(React(prompt="factbook").play("Q?", few_shot=True))
    assert [message.role for message in ask.messages[:3]] == ["system", "user", "assistant"]
    assert sum("Action: finish[" in message.content for message in ask.messages[1:]) >= 3
    assert ask.messages[-1] == Message("user", "Q?")
    assert ask.prime == "Thought:"
    assert any("Observation" in stop for stop in ask.stop)


def test_a_prompted_model_that_stops_after_its_thought_is_led_on_to_the_action() -> None:
    """As in the notebook of ReAct's authors; small models else rarely get as far as an action."""
    play = React(prompt="factbook").play("Q?", few_shot=True)
    next(play)
    ask = play.send("Thought: I look it up.")
    assert ask.prime == "Thought: I look it up.\nAction:"
    assert play.send("Thought: I look it up.\nAction: search[x]") == Act("search", "x")


def test_a_refused_reply_changes_the_prompt() -> None:
    """The original left the prompt as it was, so that a greedy model repeated itself until the end (L127-133)."""
    play = React().play("Q?", few_shot=False)
    before = next(play).messages
    refusal = play.send("no idea")
    assert isinstance(refusal, Refuse)
    after = play.send(refusal.text).messages
    assert len(after) == len(before) + 2
    assert "Action: search[Paris]" in after[-1].content


def test_react_gives_up_after_its_rounds() -> None:
    play = React(max_rounds=2).play("Q?", few_shot=False)
    next(play)
    assert isinstance(play.send("Action: search[a]"), Act)
    assert isinstance(play.send("nothing"), Ask)
    assert isinstance(play.send("Action: search[b]"), Act)
    assert finish(play, "nothing") is None


def test_reflexion_reflects_at_rounds_6_and_10() -> None:
    play = Reflexion().play("Q?", few_shot=False)
    ask, primes = next(play), []
    for number in range(1, 12):
        primes.append(ask.prime)
        if number == 11:
            break
        play.send(f"{ask.prime} Action: search[{number}]")
        ask = play.send("nothing")
    assert {number + 1: prime for number, prime in enumerate(primes) if prime} == {
        number: f"Thought: {text}" for number, text in REFLECTIONS.items()}


def test_cot_answers_in_one_reply_or_is_asked_again() -> None:
    play = Cot(prompt="factbook").play("Q?", few_shot=True)
    assert next(play).form == "cot"
    assert isinstance(play.send("hm"), Refuse)
    assert isinstance(play.send("write Answer: ..."), Ask)
    assert finish(play, "Thought: so.\nAnswer: Paris") == "Paris"


@pytest.mark.parametrize("text", ["Paris", "Answer: Paris", "Action: finish[Paris]", " Paris\nbecause"])
def test_direct_reads_the_answer(text: str) -> None:
    play = Direct().play("Q?", few_shot=False)
    assert next(play).form == "direct"
    assert finish(play, text) == "Paris"


def test_an_unknown_prompt_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean factbook"):
        next(React(prompt="factbok").play("Q?", few_shot=True))


def test_a_prompt_may_be_a_file(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("My examples.")
    ask = next(React(prompt=str(tmp_path / "mine.txt")).play("Q?", few_shot=True))
    assert ask.messages[0].content == "My examples."
