"""What calls are known by: the whole request, who was asked, and as which sample, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.plan import Hop, Plan
from fireact.requests import Act, Ask
from fireact.tape.request import Party, Request, act_request, ask_request
from fireact.types import Completion, Episode, Message, Step

MODEL, TOOL = Party.of(model={"name": "m"}), Party.of(tool={"name": "t"})
FEW = st.sampled_from(["", "a", "b", "ab", "user: a", "\x00", "\ud83d", "?"])
MESSAGES = st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), FEW), max_size=3).map(tuple)
EPISODES = st.none() | st.builds(Episode, FEW, st.integers(0, 1))
ASKS = st.builds(Ask, MESSAGES, st.lists(FEW, max_size=2).map(tuple), FEW, st.sampled_from(["react", "cot"]),
                 st.integers(0, 1), st.none() | st.integers(1, 2), EPISODES)
STEPS = st.builds(Step, st.sampled_from(["ask", "act"]), FEW, tool=FEW, argument=FEW,
                  ids=st.lists(FEW, max_size=1).map(tuple), seconds=st.floats(0, 1))
ACTS = st.builds(Act, FEW, FEW, EPISODES, st.lists(STEPS, max_size=2).map(tuple))


def asked(ask: Ask) -> Any:
    """All of a request that a model may answer by."""
    return replace(ask, episode=None), ask.episode and ask.episode.seed


def done(act: Act) -> Any:
    """All that a tool with a memory may answer by."""
    past = [(step.tool, step.argument, step.text, step.ids) for step in act.past if step.kind == "act"]
    return act.tool, act.argument, past, act.episode and act.episode.question_id


@given(ASKS, ASKS)
def test_two_asks_have_one_key_where_all_is_the_same(one: Ask, other: Ask) -> None:
    assert (ask_request(MODEL, one).key == ask_request(MODEL, other).key) == (asked(one) == asked(other))


@given(ASKS, st.data())
def test_a_change_of_one_field_is_another_key(ask: Ask, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["messages", "stop", "prime", "form", "shots", "max_tokens"]))
    other = replace(ask, **{name: getattr(data.draw(ASKS), name)})
    assert (ask_request(MODEL, ask).key == ask_request(MODEL, other).key) == (ask == other)


@given(ACTS, ACTS)
def test_a_stateless_tool_is_known_by_its_name_and_argument_alone(one: Act, other: Act) -> None:
    same = (one.tool, one.argument) == (other.tool, other.argument)
    assert (act_request(TOOL, one, stateless=True).key == act_request(TOOL, other, stateless=True).key) == same


@given(ACTS, ACTS)
def test_another_tool_is_known_by_what_the_episode_did_too(one: Act, other: Act) -> None:
    same = done(one) == done(other)
    assert (act_request(TOOL, one, stateless=False).key == act_request(TOOL, other, stateless=False).key) == same


@given(ACTS, ASKS)
def test_who_is_asked_is_part_of_the_key(act: Act, ask: Ask) -> None:
    keys = {ask_request(party, ask).key for party in (MODEL, TOOL)}
    keys |= {act_request(party, act, stateless=stateless).key for party in (MODEL, TOOL) for stateless in (True, False)}
    assert len(keys) == 6


def test_what_a_real_model_cannot_see_is_no_part_of_the_key() -> None:
    plan = Plan((Hop("t", "q", "r", "f"),))
    one, other = (ask_request(MODEL, Ask((Message("user", "hello"),), episode=episode))
                  for episode in (Episode("q1", 3), Episode("q2", 3, plan)))
    assert one.key == other.key


def test_thoughts_and_times_are_no_part_of_a_tools_request() -> None:
    def act(*past: Step) -> Request:
        return act_request(TOOL, Act("search", "x", past=past), stateless=False)

    seen = Step("act", "seen", tool="search", argument="y", seconds=1.0)
    assert act(seen).key == act(Step("ask", "hm", completion=Completion("hm")), replace(seen, seconds=9.0)).key


@pytest.mark.parametrize("changed", [{"temperature": 0.7}, {"adapter": "k2"}, {"extra": None}])
def test_an_identity_is_all_of_its_values(changed: dict[str, Any]) -> None:
    values = {"temperature": 0.0, "adapter": "k1"}
    assert Party.of(**values) == Party.of(**dict(reversed(values.items())))
    assert Party.of(**values).digest != Party.of(**{**values, **changed}).digest


def test_keys_stay_what_they_are() -> None:
    """A tape would be worth nothing otherwise; raise `tape.VERSION` where they must change."""
    messages = Message("system", "Be brief."), Message("user", "Où?")
    ask = Ask(messages, ("\n",), "Thought:", "react", 1, 64, Episode("q", 5))
    act = Act("search", "Paris", Episode("q", 5), (Step("act", "seen", tool="search", argument="x", ids=("7",)),))
    assert ask_request(MODEL, ask).key.hex() == "45324c0900c6fe639197d5ec6422b919"
    assert act_request(TOOL, act, stateless=True).key.hex() == "f861b44ef1677e60fb2b2e5abf9ccfea"
    assert act_request(TOOL, act, stateless=False).key.hex() == "643c885bc2f8c0a6ccd803ecb5de7759"


@given(MESSAGES)
def test_a_chain_holds_the_conversation(messages: tuple[Message, ...]) -> None:
    chain = ask_request(MODEL, Ask(messages)).chains["messages"]
    assert [link.text for link in chain] == [f"{each.role}: {each.content}".replace("\ud83d", "?") for each in messages]
    assert [link.before for link in chain] == [b"messages", *(link.digest for link in chain)][: len(chain)]
    longer = ask_request(MODEL, Ask((*messages, Message("user", "more"))))
    assert longer.chains["messages"][:-1] == chain


def test_a_long_conversation_makes_no_long_request() -> None:
    messages = tuple(Message("user", f"{number}" * 100) for number in range(200))
    assert len(ask_request(MODEL, Ask(messages)).told) == len(ask_request(MODEL, Ask(messages[:1])).told)
    past = tuple(Step("act", f"{number}", tool="search", argument="x") for number in range(200))
    assert len(act_request(TOOL, Act("search", "x", past=past), stateless=False).told) < 200


@given(st.text() | FEW)
def test_any_text_can_be_written(text: str) -> None:
    asks = ask_request(MODEL, Ask((Message("user", text),), (text,), text, episode=Episode(text)))
    past = Step("act", text, tool=text, argument=text, ids=(text,))
    acts = act_request(TOOL, Act(text, text, Episode(text), (past,)), stateless=False)
    for request in (asks, acts):
        request.told.encode()
        for chain in request.chains.values():
            for link in chain:
                link.text.encode()
    Party.of(model=text).identity.encode()
