"""Faults in the place of a tool's results: which, where, and the same for every model."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import ConfigError, DataError, ToolError
from fireact.plugins import build, check
from fireact.requests import Act
from fireact.store import identity
from fireact.tool.corpus import Corpus
from fireact.tool.noise import TEXTS, Fault, Noise
from fireact.tool.replay import Replay
from fireact.types import Episode, Observation, Step
from tests.helpers import composed, real_data

FAULTS: tuple[Fault, ...] = Fault.__args__
PASSAGES = {"Bhutan": "Its capital is Thimphu.", "Nepal": "Its capital is Kathmandu.", "Fiji": "Suva is on Viti Levu."}


@pytest.fixture
def tool(tmp_path: Path) -> Corpus:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"id": name, "title": name, "text": text}) + "\n"
                            for name, text in PASSAGES.items()))
    return Corpus(corpus=path, home=tmp_path / "home", k=1)


def act(argument: str = "Bhutan", question: str = "q1", past: tuple[Step, ...] = ()) -> Act:
    return Act("search", argument, Episode(question), past)


BEFORE = Step("act", "Suva is on Viti Levu.", tool="search", argument="Fiji", ids=("Fiji",))
REAL = Observation("Bhutan: Its capital is Thimphu.", ("Bhutan",))
SUVA = "Fiji: Suva is on Viti Levu."


@pytest.mark.parametrize(("fault", "told"), [
    ("none", Observation("None", origin="none")),
    ("empty", Observation("", origin="empty")),
    ("timeout", Observation("the search did not answer within 30 seconds; try again", origin="timeout")),
    ("rate_limited", Observation("the search failed with status 429: too many requests; try again later",
                                 origin="rate_limited")),
    ("truncated", Observation("Bhutan: Its cap", ("Bhutan",), "truncated")),
    ("stale", Observation(BEFORE.text, ("Fiji",), "stale")),
    ("random", Observation(SUVA, origin="random")),
    ("distractor", Observation(f"{SUVA} {REAL.text}", ("Bhutan",), "distractor")),
])
def test_what_each_fault_shows(tool: Corpus, fault: Fault, told: Observation) -> None:
    noisy = Noise(tool=tool, fault=fault, probability=1, questions=("Where is Suva, in Fiji?",))
    assert asyncio.run(noisy(act(past=(Step("ask", "..."), BEFORE)))) == told
    assert noisy.actions == ("search",)


def test_the_first_call_has_nothing_stale_to_show(tool: Corpus) -> None:
    assert asyncio.run(Noise(tool=tool, fault="stale", probability=1)(act())) == REAL


@pytest.mark.parametrize("fault", FAULTS)
def test_without_probability_it_is_the_tool_itself(tool: Corpus, fault: Fault) -> None:
    assert asyncio.run(Noise(tool=tool, fault=fault, probability=0)(act(past=(BEFORE,)))) == REAL


class Counted:
    """A tool that counts its calls, as one that costs money would."""

    actions = ("search", "lookup")

    def __init__(self) -> None:
        self.calls: list[Act] = []

    async def __call__(self, act: Act) -> Observation:
        self.calls.append(act)
        return Observation(f"on {act.argument}")


@given(seed=st.integers(0, 5), question=st.text(max_size=5), rounds=st.integers(0, 12), words=st.text(max_size=5))
def test_the_same_calls_are_hit_whatever_the_model_and_the_fault(seed: int, question: str, rounds: int,
                                                                 words: str) -> None:
    past = tuple(Step("act", "x", tool="search", argument=words) for _ in range(rounds))
    chatty = (*(Step("ask", words) for _ in range(3)), *past, Step("refuse", "no"))
    hit = set()
    for fault in FAULTS:
        if fault != "stale" or rounds:
            noisy = Noise(tool=Counted(), fault=fault, seed=seed, questions=("other",))
            for seen in (past, chatty):
                hit.add(bool(asyncio.run(noisy(act(words, question, seen))).origin))
    assert len(hit) == 1


def test_half_of_the_calls_are_hit_in_each_round() -> None:
    noisy = Noise(tool=Counted())
    for rounds in range(4):
        past = (BEFORE,) * rounds
        hits = [asyncio.run(noisy(act("x", str(number), past))).origin for number in range(1000)]
        assert Counter(hits)["none"] == pytest.approx(500, abs=60)
    other = Noise(tool=Counted(), seed=1)
    assert [asyncio.run(other(act("x", str(number), past))).origin for number in range(1000)] != hits


@pytest.mark.parametrize("fault", FAULTS)
def test_the_tool_is_called_no_more_than_needed(fault: Fault) -> None:
    tool = Counted()
    noisy = Noise(tool=tool, fault=fault, probability=1, questions=("other",))
    assert noisy.actions == ("search", "lookup")
    call = replace(act("words", past=(BEFORE,)), tool="lookup")
    asyncio.run(noisy(call))
    other = replace(call, tool="search", argument="other", past=())
    expected = {"random": [other], "truncated": [call], "distractor": [call, other]}
    assert tool.calls == expected.get(fault, [])


def test_recordings_are_drawn_from_and_never_answer_the_search_itself(tmp_path: Path) -> None:
    path = tmp_path / "searches.jsonl"
    path.write_text("".join(json.dumps({"query": query, "observation": f"on {query.lower()}"}) + "\n"
                            for query in ("a", "b", "A ", "c")))
    tool = Counted()
    noisy = Noise(tool=tool, fault="random", probability=1, recordings=path, questions=("other",))
    told = [asyncio.run(noisy(act("a", str(number)))).text for number in range(60)]
    assert set(told) == {"on b", "on c"}
    again = Noise(tool=Counted(), fault="random", probability=1, recordings=path)
    assert [asyncio.run(again(act("a", str(number)))).text for number in range(60)] == told
    assert tool.calls == []


@pytest.mark.parametrize("fault", ["random", "distractor"])
def test_nothing_to_draw_from_is_told(tool: Corpus, tmp_path: Path, fault: Fault) -> None:
    with pytest.raises(ConfigError, match=rf"the fault '{fault}' has nothing to draw from; name .* tool\.recordings="):
        asyncio.run(Noise(tool=tool, fault=fault, probability=1)(act()))
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        asyncio.run(Noise(tool=tool, fault=fault, probability=1, recordings=tmp_path / "nowhere.jsonl")(act()))


def test_what_the_tool_refuses_passes(tool: Corpus) -> None:
    with pytest.raises(ToolError, match=r"search\[Paris\]"):
        asyncio.run(Noise(tool=tool, fault="truncated", probability=1)(act(" ")))


def test_the_texts_are_of_the_faults_that_call_no_tool() -> None:
    assert set(TEXTS) < set(FAULTS)


NODE: dict[str, Any] = {"_target_": "fireact.tool.noise.Noise",
                        "tool": {"_target_": "fireact.tool.corpus.Corpus", "k": 3}}


def test_it_wraps_any_tool_of_the_configuration(tool: Corpus, tmp_path: Path) -> None:
    node = composed("tool=noise", "tool.fault=random", "tool.tool.k=1").tool
    noisy = build(node, "tool", corpus=tool.corpus, home=tmp_path / "home", questions=("Fiji",))
    assert noisy == Noise(tool=tool, fault="random", questions=("Fiji",))
    replayed = composed("tool=noise", "tool@tool.tool=replay", "tool.fault=stale", "tool.probability=0.3").tool
    assert build(replayed, "tool", home=tmp_path) == Noise(tool=Replay(), fault="stale", probability=0.3)
    for option in ("serpapi", "wikipedia", "noise"):
        build(composed("tool=noise", f"tool@tool.tool={option}").tool, "tool", corpus=None, home=tmp_path)


def test_what_it_is_made_of_changes_its_results() -> None:
    inner = {"_target_": "fireact.tool.corpus.Corpus", "k": 2}
    changes = [{}, {"tool": inner}, {"fault": "stale"}, {"probability": 0.1}, {"seed": 2}]
    ways = [{**NODE, **change} for change in changes]
    assert len({json.dumps(identity(way)) for way in ways}) == len(ways)
    assert identity({**NODE, "questions": ["x"]}) == identity(NODE)


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"fault": "noisy"}, r"tool\.fault='noisy' does not fit: it must be one of none, random, empty"),
    ({"probability": 1.5}, r"tool\.probability=1\.5 does not fit: input should be less than or equal to 1"),
    ({"tool": {"_target_": "fireact.tool.corpus.Corpus", "k": 0}}, r"tool\.tool\.k=0 does not fit"),
])
def test_bad_settings_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check({**NODE, **settings}, "tool")


def test_on_fireacts_searches() -> None:
    """The paper's two faults as it had them: half of the searches, None or another recorded result."""
    path = real_data("fireact", "search_cache.jsonl")
    for fault in ("none", "random"):
        noisy = Noise(tool=Replay(recordings=path), fault=fault, recordings=path)
        told = [asyncio.run(noisy(act("Michael Tippett birth date", str(number)))) for number in range(200)]
        assert 70 < sum(seen.origin == fault for seen in told) < 130
        assert {seen.origin for seen in told} == {fault, "exact"}
        assert len({seen.text for seen in told if seen.origin == fault}) == (1 if fault == "none" else pytest.approx(
            sum(seen.origin == "random" for seen in told), abs=12))
