"""Recorded searches, played back; on FireAct's own where they are at hand."""

import asyncio
import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import ConfigError, DataError, ToolError
from fireact.jsonl import encode
from fireact.plugins import check
from fireact.recordings import Recording, read
from fireact.requests import Act
from fireact.store import identity
from fireact.tool.replay import Replay
from fireact.types import Observation, Question, Score, Step, StopReason, Trajectory
from tests.helpers import real_data

PAIRS = [("capital of Bhutan", "Thimphu is the capital."), ("Who directed Titanic?", "James Cameron."),
         ("Apollo 8 crew", "Borman, Lovell, Anders."), ("the who", "An English band."), ("CAPITAL  of bhutan", "later")]


def write(path: Path, pairs: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"query": query, "observation": text, "more": 1}) + "\n"
                            for query, text in pairs))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "searches.jsonl", PAIRS)


def use(tool: Replay, argument: str) -> Observation:
    return asyncio.run(tool(Act("search", argument)))


@pytest.mark.parametrize(("query", "text", "origin"), [
    ("capital of Bhutan", "Thimphu is the capital.", "exact"),
    ("  Capital OF  bhutan ", "Thimphu is the capital.", "exact"),
    ("The Who", "An English band.", "exact"),
    ("Titanic directed by whom?", "James Cameron.", "nearest"),
    ("crew of Apollo 8", "Borman, Lovell, Anders.", "nearest"),
    ("crew of Apollo 13", "Borman, Lovell, Anders.", "nearest"),
    ("Bhutan", "Thimphu is the capital.", "nearest"),
    ("how high is the highest mountain of Bhutan in metres", "None", "none"),
    ("xylophone", "None", "none"),
    ("of the", "None", "none"),
    ("\ud83d?", "None", "none"),
])
def test_exact_else_nearest_else_none(path: Path, query: str, text: str, origin: str) -> None:
    assert use(Replay(recordings=path), query) == Observation(text, origin=origin)


def test_the_floor_says_what_is_near(path: Path) -> None:
    assert use(Replay(recordings=path, floor=0), "highest mountain of Bhutan").origin == "nearest"
    assert use(Replay(recordings=path, floor=0), "xylophone").origin == "none"
    assert use(Replay(recordings=path, floor=1), "crew Apollo 8").origin == "nearest"
    assert use(Replay(recordings=path, floor=1), "crew Apollo 13").origin == "none"


WORDS = st.lists(st.sampled_from(["bhutan", "nepal", "capital", "of", "the", "king", "8", "é"]), min_size=1, max_size=4)


@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=8), WORDS.map(" ".join))
def test_what_was_recorded_is_found(tmp_path_factory: pytest.TempPathFactory, queries: list[str], other: str) -> None:
    path = write(tmp_path_factory.mktemp("replay") / "x.jsonl", [(query, f"on {query}") for query in queries])
    tool = Replay(recordings=path)
    assert [use(tool, query.upper()) for query in queries] == [
        Observation(f"on {query}", origin="exact") for query in queries]
    told = use(tool, other)
    assert told.text in {"None", *(f"on {query}" for query in queries)}
    assert (told.origin == "exact") == (other in queries)


def test_trajectories_are_recordings_of_what_the_tool_itself_said(tmp_path: Path) -> None:
    steps = (Step("ask", "Thought: a"), Step("act", "one", tool="search", argument="a"),
             Step("act", "two", tool="search", argument="b", origin="exact"),
             Step("act", "three", tool="search", argument="c", origin="nearest"),
             Step("act", "None", tool="search", argument="d", origin="random"),
             Step("act", "the search was empty", tool="search", argument="", origin="refused"),
             Step("act", "(Result 1 / 1) x", tool="lookup", argument="x"), Step("refuse", "no tool"))
    record = Trajectory("1", Question("1", "q", ("a",)), "react", steps, "a", StopReason.FINISHED, Score(1, 1))
    path = tmp_path / "trajectories.jsonl"
    path.write_text(f"{encode(record)}\n{json.dumps({'query': 'e', 'observation': ''})}\n")
    assert read(path) == [Recording("a", "one"), Recording("b", "two"), Recording("e", "")]
    assert use(Replay(recordings=path), "A") == Observation("one", origin="exact")


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "holds no search; expected one a line"), ('{"query": "x"}\n', r":1 records no search; expected \{\"query\""),
    ('{"query": "x", "observation": null}\n', ":1 records no search"), ('{"steps": []}\n', "holds no search"),
    ('{"query": 5, "observation": "x"}\n', ":1: query: "), ("nonsense\n", ":1: the line: Invalid JSON"),
])
def test_a_file_without_searches_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "searches.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=sentence) as failure:
        use(Replay(recordings=path), "x")
    assert str(path) in str(failure.value)


def test_no_file_and_no_query_are_told(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing to play back; name a file with tool\.recordings="):
        use(Replay(), "x")
    with pytest.raises(DataError, match=r"nowhere\.jsonl: No such file"):
        use(Replay(recordings=path.with_name("nowhere.jsonl")), "x")
    with pytest.raises(ToolError, match=r"search\[Paris\]"):
        use(Replay(recordings=path), " ")


def test_the_recordings_count_by_their_content(path: Path) -> None:
    node = {"_target_": "fireact.tool.replay.Replay", "recordings": str(path)}
    same = {**node, "recordings": str(write(path.with_name("copy.jsonl"), PAIRS))}
    assert identity(node) == identity(same)
    assert identity(node) != identity({**node, "recordings": str(write(path.with_name("less.jsonl"), PAIRS[1:]))})
    assert identity({**node, "recordings": None})["recordings"] is None
    with pytest.raises(ConfigError, match=r"tool\.floor=1\.5 does not fit"):
        check({**node, "floor": 1.5}, "tool")


def test_on_fireacts_searches() -> None:
    path = real_data("fireact", "search_cache.jsonl")
    found = read(path)
    assert len(found) == 4903
    tool = Replay(recordings=path)
    for recording in Random(0).sample(found, 300):
        assert use(tool, recording.query).origin == "exact"
    assert use(tool, "Michael Tippett: birth date?").origin == "nearest"
    assert use(tool, "quarterly revenue of an unheard-of startup").origin == "none"


def test_the_nearest_of_fireacts_searches_is_mostly_about_the_same_question(tmp_path: Path) -> None:
    """Each search on the 500 questions is looked for among the others; `dev_index` tells the question."""
    rows = [json.loads(line) for line in real_data("fireact", "search_cache.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row.get("dev_index")]
    order = Random(0)
    order.shuffle(rows)
    known, sought = rows[300:], rows[:300]
    path = write(tmp_path / "known.jsonl", [(row["query"], json.dumps(row["dev_index"])) for row in known])
    tool = Replay(recordings=path)
    told = [(row, use(tool, row["query"])) for row in sought]
    near = [set(row["dev_index"]) & set(json.loads(seen.text)) for row, seen in told if seen.origin == "nearest"]
    assert len(near) > 0.75 * len(told)
    assert sum(map(bool, near)) / len(near) > 0.95
