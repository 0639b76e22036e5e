"""The scripted expert with a real search: it finds answers, and cannot know them."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fireact.episode import Player
from fireact.errors import ConfigError
from fireact.model.oracle import Oracle
from fireact.model.oracle.conclusion import conclusion
from fireact.plan import Hop, Plan, source_hop
from fireact.plugins import check
from fireact.requests import Ask
from fireact.strategy.cot import Cot
from fireact.strategy.direct import Direct
from fireact.strategy.react import React
from fireact.strategy.reflexion import REFLECTIONS, Reflexion
from fireact.tool.corpus import Corpus
from fireact.types import Episode, Message, Question, StopReason, Trajectory
from tests.helpers import Gold

PASSAGES = {
    "bt": ("Bhutan", "Bhutan is a kingdom. The capital of Bhutan is Thimphu. The currency of Bhutan is ngultrum."),
    "np": ("Nepal", "Nepal is a republic. The capital of Nepal is Kathmandu. The currency of Nepal is Nepalese rupee."),
    "fj": ("Fiji", "Fiji is an island state. The capital of Fiji is Suva. The currency of Fiji is Fijian dollar."),
}
FIND = Hop("I need the country whose capital is Thimphu.", "capital Thimphu", r"The capital of (.+?) is Thimphu",
           "Thimphu is the capital of {1}.")
READ = Hop("I need the currency of {1}.", "currency of {1}", r"The currency of {1} is ([^.]+)",
           "The currency of {1} is {2}.")
QUESTION = Question("q1", "What is the currency of the country whose capital is Thimphu?", ("ngultrum",), "bridge",
                    plan=Plan((FIND, READ)))
SAME = Plan((Hop("I need a.", "currency of Nepal", r"The currency of Nepal is ([^.]+)", "Nepal has {1}."),
             Hop("I need b.", "currency of Fiji", r"The currency of Fiji is ([^.]+)", "Fiji has {2}.")), "same")


def write_corpus(folder: Path, *left_out: str) -> Corpus:
    folder.mkdir(exist_ok=True)
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps({"id": id, "title": title, "text": text}) + "\n"
                            for id, (title, text) in PASSAGES.items() if id not in left_out))
    return Corpus(corpus=path, home=folder / "index")


@pytest.fixture(scope="module")
def tool(tmp_path_factory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def play(tool: Corpus, strategy=None, question: Question = QUESTION, seed: int = 0, **options) -> Trajectory:
    oracle = Oracle(tool=tool, **{"mistakes": 0.0, "lost": 0.0, **options})
    player = Player(method="x", task="gold", strategy=strategy or React(prompt="factbook"), few_shot=True, model=oracle,
                    tool=tool, dataset=Gold(QUESTION), seed=seed)
    return asyncio.run(player.play(question))


def test_it_follows_the_plan_and_reads_each_value(tool) -> None:
    record = play(tool)
    assert [step.text for step in record.steps if step.kind == "ask"] == [
        "Thought: I need the country whose capital is Thimphu, then the currency of that country.\n"
        "Action: search[capital Thimphu]",
        "Thought: Thimphu is the capital of Bhutan. I need the currency of Bhutan.\nAction: search[currency of Bhutan]",
        "Thought: The currency of Bhutan is ngultrum. So the answer is ngultrum.\nAction: finish[ngultrum]"]
    assert (record.stop, record.score.em) == (StopReason.FINISHED, 1.0)


def test_without_mistakes_it_is_always_right(tool) -> None:
    assert all(play(tool, seed=seed).score.em == 1 for seed in range(10))
    assert play(tool, question=replace(QUESTION, plan=SAME, answers=("no",))).score.em == 1


def test_the_same_seed_gives_the_same_replies(tool) -> None:
    def replies(seed):
        return [step.text for step in play(tool, seed=seed, mistakes=0.5).steps]

    assert replies(3) == replies(3)
    assert len({tuple(replies(seed)) for seed in range(8)}) > 1


def test_it_errs_where_it_is_made_to(tool) -> None:
    records = [play(tool, seed=seed, mistakes=1.0) for seed in range(20)]
    assert not any(record.score.em for record in records)
    assert {record.stop for record in records} >= {StopReason.FORMAT, StopReason.ROUNDS}
    sometimes = [play(tool, seed=seed, mistakes=0.3) for seed in range(20)]
    assert 0 < sum(record.score.em for record in sometimes) < 20


def test_it_recovers_from_its_mistakes(tool) -> None:
    records = [play(tool, seed=seed, mistakes=0.3) for seed in range(20)]
    assert any(record.score.em == 1 and record.rounds > 3 for record in records)


def test_a_lost_one_finds_back_only_by_reflecting(tool) -> None:
    assert play(tool, lost=1.0).stop is StopReason.ROUNDS
    record = play(tool, Reflexion(prompt="factbook"), lost=1.0)
    asked = [step.text for step in record.steps if step.kind == "ask"]
    assert record.score.em == 1
    assert asked[5].startswith(f"Thought: {REFLECTIONS[6]} I searched too broadly.")
    assert "search[capital Thimphu]" in asked[5]
    assert asked[5].count("Thought:") == 1


@pytest.mark.parametrize("strategy", [React(prompt="factbook"), Cot(prompt="factbook"), Direct(prompt="factbook")])
def test_it_cannot_answer_what_the_corpus_does_not_hold(tmp_path, strategy) -> None:
    record = play(write_corpus(tmp_path, "bt"), strategy)
    assert "ngultrum" not in "".join(step.text for step in record.steps).lower()
    assert (record.score.em, record.answer) == (0.0, "unknown")


def test_a_plan_tells_no_value(tool) -> None:
    assert "ngultrum" not in repr(QUESTION.plan)
    assert "Bhutan" not in repr(QUESTION.plan)


def test_it_thinks_and_answers_without_a_tool(tool) -> None:
    record = play(tool, Cot(prompt="factbook"))
    assert [step.text for step in record.steps] == [
        "Thought: Thimphu is the capital of Bhutan. The currency of Bhutan is ngultrum. So the answer is ngultrum.\n"
        "Answer: ngultrum"]
    assert record.score.em == 1


def test_it_answers_directly(tool) -> None:
    record = play(tool, Direct(prompt="factbook"))
    assert (record.answer, record.rounds, record.tool_calls) == ("ngultrum", 1, 0)
    assert play(tool, Direct(prompt="factbook"), mistakes=1.0).answer == "unknown"


@pytest.mark.parametrize("plan", [None, Plan(())])
def test_a_question_without_a_plan_is_a_config_error(tool, plan) -> None:
    with pytest.raises(ConfigError, match=r"gold plans.*model@teacher=api"):
        play(tool, question=replace(QUESTION, plan=plan))
    with pytest.raises(ConfigError, match="gold plans"):
        asyncio.run(Oracle(tool=tool).complete(Ask((Message("user", "Q?"),), episode=None)))


def test_it_reads_its_place_from_the_messages_alone(tool) -> None:
    """So one expert may serve any number of episodes at once."""
    messages = (Message("user", QUESTION.text), Message("assistant", "Action: search[capital Thimphu]"),
                Message("user", "Observation: The capital of Bhutan is Thimphu."))
    reply = asyncio.run(Oracle(tool=tool, mistakes=0, lost=0).complete(
        Ask(messages, episode=Episode("q1", plan=QUESTION.plan))))
    assert reply.text.endswith("Action: search[currency of Bhutan]")


def test_where_a_query_shows_nothing_the_question_itself_is_tried(tool) -> None:
    hop = replace(FIND, query="zyxw")
    record = play(tool, question=replace(QUESTION, plan=Plan((hop, READ))))
    assert [step.argument for step in record.steps if step.kind == "act"][:2] == ["zyxw", QUESTION.text]
    assert "Thought: That did not help." in record.steps[2].text


def test_a_bracket_in_a_question_breaks_nothing_but_its_own_step(tool) -> None:
    hop = replace(FIND, query="a [ b")
    records = [play(tool, question=replace(QUESTION, plan=Plan((hop,))), mistakes=1.0, seed=seed) for seed in range(5)]
    assert all(record.stop is not StopReason.FINISHED for record in records)


@pytest.mark.parametrize(("rule", "choices", "values", "words", "answer"), [
    ("last", (), ["Bhutan"], "So the answer is Bhutan.", "Bhutan"),
    ("last", (), ["the U.S."], "So the answer is the U.S.", "the U.S."),
    ("same", (), ["euro", "euro"], "euro is the same as euro, so the answer is yes.", "yes"),
    ("same", (), ["euro", "lev"], "euro is not the same as lev, so the answer is no.", "no"),
    ("larger", (), ["9 km", "8,000 km"], "9 km is not more than 8,000 km, so the answer is no.", "no"),
    ("larger", (), ["9 km", "9 km"], "9 km is not more than 9 km, so the answer is no.", "no"),
    ("largest", ("A", "B"), ["9", "80"], "A: 9. B: 80. The largest is 80, so the answer is B.", "B"),
    ("smallest", ("A", "B", "C"), ["9", "3", "5"], "A: 9. B: 3. C: 5. The smallest is 3, so the answer is B.", "B"),
    ("smaller", (), ["1 May 1900", "1 May 1950"], "1900 is before 1950, so the answer is yes.", "yes"),
    ("smaller", (), ["1 May 1900", "1 May 1890"], "1900 is not before 1890, so the answer is no.", "no"),
    ("smaller", (), ["2 May 1900", "1 May 1900"], "2 May 1900 is not before 1 May 1900, so the answer is no.", "no"),
    ("larger", (), ["many", "9"], "These cannot be compared.", "unknown"),
    ("largest", ("A", "B"), ["9", ""], "These cannot be compared.", "unknown"),
])
def test_it_says_how_the_answer_follows(rule, choices, values, words, answer) -> None:
    assert conclusion(Plan((FIND,), rule, choices), values) == (words, answer)


SOURCES = replace(QUESTION, text="What is the currency of the kingdom whose capital is Thimphu?", plan=Plan(
    (source_hop("Bhutan", ("The capital of Bhutan is Thimphu.",), 1),
     source_hop("Fiji", ("The currency of Fiji is Fijian dollar.",), 2)), "given", answer="ngultrum"))


def test_a_given_answer_is_told_after_every_source(tool) -> None:
    assert [step.text for step in play(tool, question=SOURCES).steps if step.kind == "ask"] == [
        "Thought: I need to read about Bhutan.\nAction: search[Bhutan]",
        "Thought: The capital of Bhutan is Thimphu. I need to read about Fiji.\nAction: search[Fiji]",
        "Thought: The currency of Fiji is Fijian dollar. So the answer is ngultrum.\nAction: finish[ngultrum]"]
    thought = play(tool, Cot(prompt="factbook"), SOURCES).steps[0].text
    assert thought == ("Thought: The capital of Bhutan is Thimphu. The currency of Fiji is Fijian dollar. "
                       "So the answer is ngultrum.\nAnswer: ngultrum")


@pytest.mark.parametrize("strategy", [React(prompt="factbook"), Cot(prompt="factbook"), Direct(prompt="factbook")])
@pytest.mark.parametrize("left_out", ["bt", "fj"])
def test_a_given_answer_is_not_told_without_its_sources(tmp_path, strategy, left_out: str) -> None:
    record = play(write_corpus(tmp_path, left_out), strategy, SOURCES)
    assert "ngultrum" not in "".join(step.text for step in record.steps if step.kind == "ask")
    assert record.score.em == 0


def test_a_source_that_is_not_shown_is_searched_with_the_question(tmp_path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(json.dumps({"id": "1", "title": "Bhutan", "text": "Bhutan is high. It uses the ngultrum."}) + "\n")
    hop = source_hop("Bhutan", ("It uses the ngultrum.",), 1)
    question = replace(QUESTION, text="Is the ngultrum used?", answers=("yes",),
                       plan=Plan((hop,), "given", answer="yes"))
    record = play(Corpus(corpus=path, home=tmp_path, snippet_chars=30), question=question)
    assert [step.argument for step in record.steps if step.kind == "act"] == [
        "Bhutan", "Bhutan: Is the ngultrum used?"]
    assert record.score.em == 1


def test_mistakes_about_sources_are_those_of_the_question(tool) -> None:
    records = [play(tool, question=SOURCES, mistakes=0.6, lost=0.2, seed=seed) for seed in range(30)]
    answers = {record.answer for record in records}
    searched = {step.argument for record in records for step in record.steps if step.kind == "act"}
    assert answers <= {"ngultrum", "unknown", "Bhutan", "Fiji", None}
    assert "Bhutan" in answers
    plain = {"Bhutan", "Fiji", f"Bhutan: {SOURCES.text}", f"Fiji: {SOURCES.text}"}
    assert searched - plain <= {"currency", "kingdom", "whose", "capital"}
    assert searched - plain


@pytest.mark.parametrize(("name", "value", "sentence"), [
    ("mistakes", -0.1, "greater than or equal to 0"),
    ("mistakes", 1.5, "less than or equal to 1"),
    ("lost", 2, "less than or equal to 1"),
])
def test_numbers_out_of_range_are_refused(name: str, value: float, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"teacher.{name}={value} does not fit: input should be {sentence}"):
        check({"_target_": "fireact.model.oracle.Oracle", name: value}, "teacher")
