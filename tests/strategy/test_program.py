"""Programs as a generator, driven by hand."""

import pytest

from fireact.requests import Act, Learn, Recall, Refuse, Tell
from fireact.strategy.calling import FINISH, PROGRAM
from fireact.strategy.program import NEXT, Program
from fireact.strategy.skills import Skills
from fireact.toolspec import Call, ToolSpec, text_argument
from fireact.types import Completion, Message, Refusal
from tests.strategy.driving import finish

SEARCH = ToolSpec("search", "looks words up", text_argument("query", "what to look up"))
CURRENCY = """Thought: t
E1 = search[capital Thimphu] -> The capital of * is Thimphu
E2 = search[currency of {E1}] -> The currency of {E1} is the *
finish[{E2}]"""
BOTH = "E1 = search[a]\nE2 = search[b]\nE3 = search[{E1} and {E2}]"


def test_one_reply_is_enough() -> None:
    play = Program().play("Q?", few_shot=False, tools=(SEARCH,))
    next(play)
    assert play.send(CURRENCY) == [Act("search", "capital Thimphu", name="E1")]
    assert play.send(["The capital of Bhutan is Thimphu."]) == [Act("search", "currency of Bhutan", name="E2")]
    assert finish(play, ["The currency of Bhutan is the ngultrum."]) == "ngultrum"


def test_what_is_independent_is_asked_at_once_and_joined_by_a_second_reply() -> None:
    play = Program().play("Q?", few_shot=False)
    next(play)
    assert [act.name for act in play.send(BOTH)] == ["E1", "E2"]
    assert play.send(["x", "y"]) == [Act("search", "x and y", name="E3")]
    assert play.send(["z"]) == Tell(NEXT)
    ask = play.send(NEXT)
    assert ask.messages[1:] == (Message("assistant", BOTH),
                                Message("user", f"Observation: E1: x\nE2: y\nE3: z\n{NEXT}"))
    assert finish(play, "Thought: So it is.\nfinish[z]") == "z"


def test_a_value_that_is_not_found_is_told_and_can_be_repaired() -> None:
    play = Program().play("Q?", few_shot=False)
    next(play)
    play.send(CURRENCY)
    told = play.send(["Thimphu lies at 27 28 N."])
    assert told.text.splitlines() == ['E1: no "The capital of * is Thimphu" in the observation',
                                      "E2 was not called, for there is no E1", NEXT]
    play.send(told.text)
    assert play.send("E1 = search[country of Thimphu]") == [Act("search", "country of Thimphu", name="E1")]


def test_a_broken_program_is_refused_and_shown_again() -> None:
    play = Program().play("Q?", few_shot=False, tools=(SEARCH,))
    next(play)
    for wrong in ("E1 = guess[x]", "E1 = search[{E2}]\nE2 = search[{E1}]", "finish[{E7}]"):
        refused = play.send(wrong)
        assert isinstance(refused, Refuse), wrong
        assert play.send(refused.text).messages[-1].content == f"Observation: {refused.text}"
    assert isinstance(play.send("nothing"), Refuse)
    assert finish(play, "no more") is None


def test_a_program_may_be_the_argument_of_a_function() -> None:
    play = Program(wire="tools").play("Q?", few_shot=False, tools=(SEARCH,))
    assert next(play).tools == (SEARCH, PROGRAM, FINISH)
    play.send(Completion("", calls=(Call("program", '{"text": "E1 = search[a]"}'),)))
    play.send(["x"])
    ask = play.send(NEXT)
    assert ask.messages[-1] == Message("tool", f"E1: x\n{NEXT}")
    assert finish(play, Completion("", calls=(Call("finish", '{"answer": "x] y"}'),))) == "x] y"


def test_tools_that_are_called_by_themselves_are_a_program() -> None:
    play = Program(wire="tools").play("Q?", few_shot=False, tools=(SEARCH,))
    next(play)
    calls = tuple(Call("search", f'{{"query": "{query}"}}') for query in "ab")
    assert play.send(Completion("", calls=calls)) == [Act("search", "a", name="E1"), Act("search", "b", name="E2")]
    assert play.send(["x", "y"]) == Tell(NEXT)
    assert play.send(NEXT).messages[1:] == (Message("assistant", "", calls), Message("tool", "E1: x"),
                                            Message("tool", f"E2: y\n{NEXT}"))


@pytest.mark.parametrize("arguments", ["{}", '{"text": "Paris"}', '{"answer": ["Paris"]}', '{"answer": null}',
                                       '{"answer": "{E1}"}'])
def test_a_finish_without_an_answer_is_refused(arguments: str) -> None:
    play = Program(wire="tools").play("Q?", few_shot=False, tools=(SEARCH,))
    next(play)
    assert isinstance(play.send(Completion("", calls=(Call("finish", arguments),))), Refuse)


def test_a_call_that_is_refused_gives_no_value() -> None:
    play = Program().play("Q?", few_shot=False, tools=(SEARCH,))
    next(play)
    play.send("E1 = search[?]\nE2 = search[{E1}]\nfinish[{E2}]")
    told = play.send([Refusal("the search was empty")])
    assert told == Tell("E1 has no value, for its call was refused\nE2 was not called, for there is no E1\n" + NEXT)


def test_skills_are_recalled_called_and_kept_once_they_helped() -> None:
    play = Skills().play("Q?", few_shot=False, tools=(SEARCH,))
    assert next(play) == Recall("Q?")
    shown = "skill find_by_capital[x]\nE1 = search[capital {x}] -> The capital of * is {x}\nreturn[{E1}]"
    ask = play.send(shown)
    assert ask.messages == (Message("user", f"Q?\n\nSkills:\n{shown}"),)
    new = "skill currency_of[x]\nE1 = search[currency of {x}] -> The currency of {x} is the *\nreturn[{E1}]"
    play.send(f"{new}\nE1 = find_by_capital[Thimphu]\nE2 = currency_of[{{E1}}]\nfinish[{{E2}}]")
    assert play.send(["The capital of Bhutan is Thimphu."]) == [Act("search", "currency of Bhutan", name="E2.E1")]
    assert play.send(["The currency of Bhutan is the ngultrum."]) == [Learn(new)]
    assert finish(play, ["kept"]) == "ngultrum"


def test_arguments_that_become_too_long_within_skills_are_refused() -> None:
    """Before anything is called, by both strategies."""
    text = ("skill one[x]\nE1 = search[{x}]\nreturn[{E1}]\n"
            f"skill two[x]\nE1 = one[{'{x}' * 200}]\nreturn[{{E1}}]\nE1 = two[{'a' * 90}]")
    for strategy, replies in ((Program(), [text]), (Skills(), ["", text])):
        play = strategy.play("Q?", few_shot=False, tools=(SEARCH,))
        next(play)
        refused = [play.send(reply) for reply in replies][-1]
        assert isinstance(refused, Refuse)
        assert "comes to 18,600 characters" in refused.text


def test_a_skill_that_nobody_knows_is_refused_with_those_that_are() -> None:
    play = Skills().play("Q?", few_shot=False, tools=(SEARCH,))
    next(play)
    assert play.send("").messages[0].content == "Q?\n\nSkills: none"
    refused = play.send("E1 = currency_of[Bhutan]\nfinish[{E1}]")
    assert "no tool or skill 'currency_of'" in refused.text
