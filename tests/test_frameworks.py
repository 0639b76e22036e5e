"""Every agent framework, played by the scripted expert with a real search: it answers, and what a student learns of it
is what it will be shown."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from fireact.episode import Player
from fireact.examples import chosen_path, conversation
from fireact.model.oracle import Oracle
from fireact.plan import Hop, Plan
from fireact.requests import Ask
from fireact.skills import Library
from fireact.strategy.plan_execute import PlanExecute
from fireact.strategy.program import Program
from fireact.strategy.react import React
from fireact.strategy.skills import Skills
from fireact.strategy.tree import Tree
from fireact.types import Completion, Question, StopReason, Trajectory
from tests.helpers import Gold
from tests.model.test_oracle import QUESTION, write_corpus

STRATEGIES = {"react": React(prompt="factbook"), "plan_execute": PlanExecute(prompt="factbook"),
              "tree": Tree(prompt="factbook", value="model"), "tree_breadth": Tree(prompt="factbook", search="breadth"),
              "program": Program(prompt="factbook"), "skills": Skills(prompt="factbook")}
LARGER = Question("q2", "Does the capital of Nepal come before that of Fiji?", ("no",), plan=Plan((
    Hop("I need to find the currency of Nepal.", "currency of Nepal", r"The currency of Nepal is ([^.]+)",
        "The currency of Nepal is {1}."),
    Hop("I need to find the currency of Fiji.", "currency of Fiji", r"The currency of Fiji is ([^.]+)",
        "The currency of Fiji is {2}.")), "same"))


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


class Listening:
    """The oracle, and all that it was asked."""

    def __init__(self, **options: Any) -> None:
        self.oracle, self.asked, self.name = Oracle(**options), [], "oracle"

    async def complete(self, ask: Ask) -> Completion:
        self.asked.append(ask)
        return await self.oracle.complete(ask)

    async def close(self) -> None:
        """Nothing is held."""


def play(tool: Any, strategy: Any, question: Question = QUESTION, *, few_shot: bool = True,
         library: Library | None = None, seed: int = 0, **options: Any) -> tuple[Trajectory, list[Ask]]:
    model = Listening(tool=tool, **{"mistakes": 0.0, "lost": 0.0, **options})
    player = Player(method="x", task="gold", strategy=strategy, few_shot=few_shot, model=model, tool=tool,
                    dataset=Gold(question), seed=seed, library=library or Library())
    return asyncio.run(player.play(question)), model.asked


@pytest.mark.parametrize("question", [QUESTION, LARGER], ids=["bridge", "comparison"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_expert_answers_by_every_framework(tool, name: str, question: Question) -> None:
    record, _ = play(tool, STRATEGIES[name], question)
    assert (record.stop, record.answer) == (StopReason.FINISHED, question.answers[0]), record.steps
    assert all(step.kind != "refuse" for step in record.steps)


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_learnt_begins_with_what_a_student_is_shown(tool, name: str) -> None:
    """The classic silent bug: a student that is trained on other words than it will be asked in."""
    for seed in range(12):
        record, asked = play(tool, STRATEGIES[name], few_shot=False, seed=seed, mistakes=0.4)
        if record.stop is not StopReason.FINISHED:
            continue
        messages, learnt = conversation(record)
        path = chosen_path(record.steps)
        replies = [step for step in path if step.kind == "ask"]
        shown = [ask for ask in asked if ask.form != "value" and ask.node in {step.node for step in replies}]
        assert len(shown) == len(replies)
        for ask, at in zip(shown, [at for at, message in enumerate(messages) if message.role == "assistant"],
                           strict=True):
            assert list(ask.messages) == messages[:at]
        assert learnt == [at for at, message in enumerate(messages) if message.role == "assistant"
                          and not _refused_after(path, messages, at)]


def _refused_after(path: Any, messages: Any, at: int) -> bool:
    """Whether the reply in the message `at` was refused."""
    number = sum(message.role == "assistant" for message in messages[:at])
    places = [place for place, step in enumerate(path) if step.kind == "ask"]
    after = path[places[number] + 1: places[number + 1] if number + 1 < len(places) else len(path)]
    return any(step.kind == "refuse" for step in after)


def test_the_expert_errs_and_recovers(tool) -> None:
    for name, strategy in STRATEGIES.items():
        records = [play(tool, strategy, seed=seed, mistakes=0.4)[0] for seed in range(30)]
        right = sum(record.score.em for record in records)
        assert 0 < right < 30 or name.startswith("tree"), name
        assert any(step.kind == "refuse" for record in records for step in record.steps) or name.startswith("tree")


def test_a_program_takes_one_reply_where_react_takes_three(tool) -> None:
    assert play(tool, STRATEGIES["program"])[0].rounds == 1
    assert play(tool, STRATEGIES["react"])[0].rounds == 3
    assert play(tool, STRATEGIES["plan_execute"])[0].rounds == 4


def test_a_tree_with_one_sample_and_no_values_is_react(tool) -> None:
    tree, _ = play(tool, Tree(prompt="factbook", k=1, value="votes"))
    react, _ = play(tool, React(prompt="factbook"))
    assert conversation(tree) == conversation(react)


def test_skills_of_one_question_are_shown_to_the_next(tool) -> None:
    library = Library()
    first, _ = play(tool, STRATEGIES["skills"], library=library)
    assert set(library.entries) == {"find_by_capital", "currency_of"}
    again, _ = play(tool, STRATEGIES["skills"], library=library)
    assert [step.kind for step in first.steps if step.kind == "learn"] == ["learn", "learn"]
    assert not [step for step in again.steps if step.kind == "learn"]
    assert "skill" not in next(step.text for step in again.steps if step.kind == "ask")
    assert Library.of([first, again]).entries == library.entries


def test_an_episode_without_an_answer_chooses_nothing(tool) -> None:
    record, _ = play(tool, Tree(prompt="factbook", calls=4), replace(QUESTION, text="?"))
    assert (record.stop, record.answer) == (StopReason.ROUNDS, None)
    assert all(step.kind != "choose" for step in record.steps)
