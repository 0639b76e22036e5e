"""The driver: every episode ends in a record, whatever the model and the tools do."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from fireact.episode import Player
from fireact.errors import (
    BudgetExceeded,
    ConfigError,
    ContextError,
    FilterError,
    ProviderError,
    ToolError,
    ToolUnavailable,
)
from fireact.jsonl import decode, encode
from fireact.model.oracle import Oracle
from fireact.model.scripted import Scripted
from fireact.plan import Hop, Plan
from fireact.requests import Act, Ask
from fireact.sections import Limits
from fireact.strategy.cot import Cot
from fireact.strategy.react import React
from fireact.strategy.tree import Tree
from fireact.types import Completion, Message, Observation, Question, StopReason, Trajectory
from tests.helpers import Gold

QUESTION = Question("q1", "Capital of France?", ("Paris",))


@dataclass
class Echo:
    actions: tuple[str, ...] = ("search",)
    calls: list[Act] = field(default_factory=list)

    async def __call__(self, act):
        self.calls.append(act)
        if not act.argument:
            raise ToolError("the search was empty")
        if act.argument == "quota":
            raise ToolUnavailable("the quota is used up")
        return Observation(f"about {act.argument}", ("p1",))


@dataclass
class Failing:
    """Answers until it raises."""

    error: Exception
    after: int = 0
    name: str = "failing"
    calls: list[Ask] = field(default_factory=list)

    async def complete(self, ask):
        self.calls.append(ask)
        if len(self.calls) > self.after:
            raise self.error
        return Completion(f"Action: search[{len(self.calls)}]")


def play(model, strategy=None, tool=None, **limits) -> Trajectory:
    player = Player(method="react", task="gold", strategy=strategy or React(), few_shot=False, model=model,
                    tool=tool or Echo(), dataset=Gold(QUESTION), limits=Limits(**limits), seed=7)
    return asyncio.run(player.play(QUESTION))


def test_a_good_episode() -> None:
    record = play(Scripted(replies=["Thought: look.\nAction: search[France]", "Thought: seen.\nAction: finish[paris]"]))
    assert (record.stop, record.answer, record.score.em) == (StopReason.FINISHED, "paris", 1.0)
    assert [step.kind for step in record.steps] == ["ask", "act", "ask"]
    assert (record.steps[1].text, record.steps[1].ids) == ("about France", ("p1",))
    assert (record.rounds, record.tool_calls) == (2, 1)
    assert decode(Trajectory, encode(record), "here") == record


def test_an_unfinished_episode_is_a_record() -> None:
    """The original lost it: 35 of 500 have no record."""
    record = play(Scripted(replies=["Action: search[a]"]), React(max_rounds=4))
    assert (record.stop, record.answer, record.rounds) == (StopReason.ROUNDS, None, 4)


def test_broken_replies_are_refused_a_bounded_number_of_times() -> None:
    record = play(Scripted(replies=["hm"]), errors=3)
    assert record.stop is StopReason.FORMAT
    assert [step.kind for step in record.steps] == ["ask", "refuse"] * 3
    assert "no \"Action: name[argument]\" in 'hm'" in (record.error or "")


def test_an_unknown_tool_is_refused_with_the_known_ones() -> None:
    """The original pasted a ValueError's repr as the observation: 27 of these in the released trajectories."""
    record = play(Scripted(replies=["Action: reflect[x]", "Action: finish[Paris]"]))
    assert record.steps[1].text == "there is no tool 'reflect'; use one of search[...], finish[...]"
    assert record.score.em == 1


def test_a_good_action_forgives_earlier_errors() -> None:
    replies = ["hm", "hm", "Action: search[a]", "hm", "hm", "Action: finish[Paris]"]
    assert play(Scripted(replies=replies), errors=3).stop is StopReason.FINISHED


def test_replies_have_a_limit_that_several_at_once_do_not_pass() -> None:
    endless = Scripted(replies=["Action: search[a]"])
    record = play(endless, calls=4)
    assert (record.stop, record.rounds) == (StopReason.CALLS, 4)
    assert play(endless, Tree(k=3, value="votes"), calls=4).rounds == 3
    assert play(Scripted(replies=["Action: finish[Paris]"]), calls=1).score.em == 1


def test_a_failing_tool_is_an_observation() -> None:
    record = play(Scripted(replies=["Action: search[]", "Action: finish[Paris]"]))
    assert record.steps[1].text == "the search was empty"
    assert record.stop is StopReason.FINISHED


def test_a_model_that_cannot_be_reached_ends_the_episode() -> None:
    record = play(Failing(ProviderError("the endpoint is down"), after=1))
    assert (record.stop, record.error, record.rounds) == (StopReason.MODEL, "the endpoint is down", 1)


def test_a_conversation_that_outgrows_the_window_ends_the_episode() -> None:
    assert play(Failing(ContextError("too long"), after=2)).stop is StopReason.CONTEXT


def test_a_refusal_by_the_content_filter_ends_the_episode_and_counts() -> None:
    record = play(Failing(FilterError("not safe"), after=1))
    assert (record.stop, record.error, record.rounds) == (StopReason.FILTER, "not safe", 1)
    assert record.stop.played


def test_a_budget_that_is_used_up_is_raised() -> None:
    with pytest.raises(BudgetExceeded, match="no money"):
        play(Failing(BudgetExceeded("no money")))


def test_attempts_are_samples_of_their_own() -> None:
    model = Failing(ProviderError("x"), after=9)
    player = Player(method="react", task="gold", strategy=React(max_rounds=1), few_shot=False, model=model, tool=Echo(),
                    dataset=Gold(QUESTION), seed=7)
    records = [asyncio.run(player.play(QUESTION, attempt)) for attempt in range(3)]
    assert [record.attempt for record in records] == [0, 1, 2]
    seeds = [ask.episode.seed for ask in model.calls if ask.episode]
    assert seeds[0] == 7
    assert len(set(seeds)) == 3
    assert player.under_way == {}


def test_where_an_episode_stands_can_be_asked() -> None:
    stands: list[str] = []

    class Curious(Failing):
        async def complete(self, ask):
            stands.extend(str(run) for run in player.under_way.values())
            return await super().complete(ask)

    player = Player(method="react", task="gold", strategy=React(max_rounds=2), few_shot=False,
                    model=Curious(ProviderError("x"), after=9), tool=Echo(), dataset=Gold(QUESTION))
    asyncio.run(player.play(QUESTION))
    assert [text.split(" for ")[0] for text in stands] == ["0 replies, waiting", "1 replies, waiting"]
    assert "waiting for the model for" in stands[0]


def test_a_question_that_is_too_long_is_a_record() -> None:
    record = play(Failing(ContextError("too long")))
    assert (record.stop, record.steps, record.error) == (StopReason.CONTEXT, (), "too long")


def test_a_bad_key_is_raised() -> None:
    with pytest.raises(ConfigError, match="bad key"):
        play(Failing(ConfigError("bad key")))


def test_the_token_limit_ends_the_episode() -> None:
    record = play(Scripted(replies=["Action: search[one two three]"]), tokens=5)
    assert record.stop is StopReason.TOKENS


def test_the_time_limit_ends_the_episode() -> None:
    class Slow:
        name = "slow"

        async def complete(self, ask):
            await asyncio.sleep(30)

    assert play(Slow(), seconds=0.05).stop is StopReason.SECONDS


def test_the_model_is_told_the_episode_and_its_seed() -> None:
    model = Failing(ProviderError("x"))
    play(model)
    assert model.calls[0].episode is not None
    assert (model.calls[0].episode.question_id, model.calls[0].episode.seed) == ("q1", 7)


def test_a_list_of_requests_is_done_at_once_and_answered_in_order() -> None:
    under_way, most = 0, 0

    class Parallel:
        def play(self, question, *, few_shot, tools=()):
            first = yield [Act("search", "a"), Ask((Message("user", "x"),)), Act("search", "b")]
            return "|".join(first)

    class Gate:
        actions = ("search",)

        async def __call__(self, act):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            while most < 2:
                await asyncio.sleep(0)
            return Observation(act.argument.upper())

    player = Player(method="x", task="gold", strategy=Parallel(), few_shot=False, model=Scripted(replies=["said"]),
                    tool=Gate(), dataset=Gold(QUESTION))
    record = asyncio.run(asyncio.wait_for(player.play(QUESTION), 10))
    assert record.answer == "A|said|B"
    assert [step.text for step in record.steps] == ["A", "said", "B"]


def test_a_tool_sees_the_episode_and_what_was_done_before() -> None:
    echo = Echo()
    play(Scripted(replies=["Action: search[a]", "Action: search[b]", "Action: finish[c]"]), tool=echo)
    assert [act.episode.question_id for act in echo.calls] == ["q1", "q1"]
    assert [[step.argument for step in act.past if step.kind == "act"] for act in echo.calls] == [[], ["a"]]


@pytest.mark.parametrize(("query", "stop"), [("", StopReason.FINISHED), ("quota", StopReason.TOOL)])
def test_a_tool_that_fails_the_expert_ends_no_more_than_the_episode(query: str, stop: StopReason) -> None:
    """A chain of thought has no tool: the expert searches while it replies."""
    question = replace(QUESTION, plan=Plan((Hop("Look.", query, "(.+)", "Found."),)))
    player = Player(method="cot", task="gold", strategy=Cot(), few_shot=False, model=Oracle(tool=Echo(), mistakes=0),
                    tool=Echo(), dataset=Gold(question))
    assert asyncio.run(player.play(question)).stop is stop


def test_a_tool_out_of_reach_ends_the_episode_which_does_not_count() -> None:
    record = play(Scripted(replies=["Action: search[quota]"]))
    assert (record.stop, record.error) == (StopReason.TOOL, "the quota is used up")
    assert not record.stop.played
