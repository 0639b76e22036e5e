"""Models and tools behind the tape: what they said is said again, whatever it was, and no secret is kept."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import ConfigError, ContextError, DataError, FilterError, ProviderError, ToolError, ToolUnavailable
from fireact.meter import Meter
from fireact.requests import Act, Ask
from fireact.sections import Mode
from fireact.store import fingerprint, identity
from fireact.tape.request import Party
from fireact.tape.taped import TapedModel, TapedTool
from fireact.types import Completion, Episode, Message, Observation, Step
from tests.tape.calls import MODEL, TOOL, Opened, recorded

ASK = Ask((Message("user", "Where?"),), episode=Episode("q1", 3))


@dataclass
class Said:
    """A model and a tool that says, or raises, what comes next."""

    replies: list[Any]
    stateless: tuple[str, ...] = ()
    name: str = "said"
    actions: tuple[str, ...] = ("search",)
    asked: list[Any] = field(default_factory=list)

    async def complete(self, ask: Ask) -> Any:
        return self._next(ask)

    async def __call__(self, act: Act) -> Any:
        return self._next(act)

    async def close(self) -> None:
        """Nothing is held."""

    def _next(self, asked: Any) -> Any:
        self.asked.append(asked)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape.sqlite"


def ask(path: Path, replies: list[Any], mode: Mode = "replay", meter: Meter | None = None, asked: Ask = ASK) -> Any:
    """Ask a taped model once."""
    with closing(Opened(path, mode, "mine")) as tape:
        return asyncio.run(TapedModel(Said(replies), MODEL, tape, meter or Meter()).complete(asked))


def act(path: Path, replies: list[Any], act: Act, stateless: tuple[str, ...] = ("search",), meter: Meter | None = None,
        party: Party = TOOL) -> Any:
    """Call a taped tool once."""
    with closing(Opened(path, "replay", "mine")) as tape:
        return asyncio.run(TapedTool(Said(replies, stateless), party, tape, meter or Meter())(act))


@pytest.mark.parametrize("completion", [
    Completion("Thought: \"look\".\nAction: search[Ä\x00 \u2028]", "length", 12, 3, 2, 1.25, 0.0001),
    Completion('{"refusal":"FilterError","text":"no"}'), Completion("", cost=0.0)])
def test_a_reply_is_said_again(path: Path, completion: Completion) -> None:
    first, again = Meter(), Meter()
    assert ask(path, [completion], meter=first) == completion
    assert ask(path, [], meter=again) == completion
    assert ask(path, [], "strict") == completion
    assert (first.asked, first.replayed, first.prompt_tokens) == (1, 0, completion.prompt_tokens)
    assert (again.asked, again.replayed, again.prompt_tokens) == (0, 1, 0)
    assert again.saved_usd == (completion.cost or 0.0)


def test_another_sample_is_asked_for_anew(path: Path) -> None:
    for seed in (3, 4):
        asked = Ask(ASK.messages, episode=Episode("q1", seed))
        assert ask(path, [Completion(f"{seed}")], asked=asked) == Completion(f"{seed}")
    assert ask(path, []) == Completion("3")


def test_half_a_surrogate_pair_is_the_same_at_once_and_later(path: Path) -> None:
    assert ask(path, [Completion("half \ud83d")]) == ask(path, []) == Completion("half ?")


@pytest.mark.parametrize("refusal", [ContextError("too long: \"9\" > 8"), FilterError("no \x00 ä")])
def test_a_refusal_is_an_answer_too(path: Path, refusal: Exception) -> None:
    for replies in ([refusal], []):
        with pytest.raises(type(refusal)) as error:
            ask(path, replies)
        assert str(error.value) == str(refusal)


@pytest.mark.parametrize("failure", [ProviderError("down"), ConfigError("no key"), ToolUnavailable("quota"),
                                     RuntimeError("a bug")])
def test_a_failure_is_not_recorded(path: Path, failure: Exception) -> None:
    with pytest.raises(type(failure)):
        ask(path, [failure])
    assert not recorded(path)
    assert ask(path, [Completion("now")]) == Completion("now")


def test_an_answer_that_makes_no_sense_is_named(path: Path) -> None:
    act(path, [Observation("seen")], Act("search", "x"))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE calls SET answer = '[]'")
    with pytest.raises(DataError, match=r"^the tape: "):
        act(path, [], Act("search", "x"))


def test_an_observation_is_shown_again(path: Path) -> None:
    seen, first, again = Observation("Paris is old.\x00", ("p1", "p2"), "nearest"), Meter(), Meter()
    assert act(path, [seen], Act("search", "Paris"), meter=first) == seen
    assert act(path, [], Act("search", "Paris", Episode("q2"), (Step("act", "x"),)), meter=again) == seen
    assert (first.used, first.reused, again.used, again.reused) == (1, 0, 0, 1)


def test_what_a_tool_refuses_is_an_observation(path: Path) -> None:
    refused = Observation("the search was empty", origin="refused")
    for replies in ([ToolError("the search was empty")], []):
        assert act(path, replies, Act("search", "")) == refused


def test_a_tool_out_of_reach_is_not_recorded(path: Path) -> None:
    with pytest.raises(ToolUnavailable, match="quota"):
        act(path, [ToolUnavailable("quota")], Act("search", "x"))
    assert act(path, [Observation("now")], Act("search", "x")) == Observation("now")


def test_a_tool_with_a_memory_is_called_in_each_episode(path: Path) -> None:
    acts = [Act("search", "x", Episode("q1")), Act("search", "x", Episode("q2")),
            Act("search", "x", Episode("q1"), (Step("act", "seen", tool="search", argument="y"),))]
    for number, each in enumerate(acts):
        assert act(path, [Observation(f"{number}")], each, stateless=()) == Observation(f"{number}")
    assert act(path, [], acts[1], stateless=()) == Observation("1")


def test_the_names_are_those_of_what_is_wrapped(path: Path) -> None:
    with closing(Opened(path, "off")) as tape:
        assert TapedModel(Said([]), MODEL, tape, Meter()).name == "said"
        assert TapedTool(Said([]), TOOL, tape, Meter()).actions == ("search",)


def test_a_changed_corpus_is_searched_anew(path: Path, tmp_path: Path) -> None:
    corpus, node = tmp_path / "passages.jsonl", {"_target_": "fireact.tool.corpus.Corpus", "corpus": None}

    def search(*replies: Observation) -> Observation:
        party = Party.of(tool=identity(node), corpus=fingerprint(corpus))
        return act(path, list(replies), Act("search", "x"), party=party)

    corpus.write_text("one")
    assert search(Observation("one")) == search() == Observation("one")
    corpus.write_text("another")
    assert search(Observation("another")) == search() == Observation("another")


def test_an_endpoint_leaves_no_secret_on_the_tape(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "sk-very-secret")
    node = {"_target_": "fireact.model.api.Api", "model": "m", "base_url": "http://example.org/v1",
            "key_env": "THE_KEY", "headers": {"api-key": "$THE_KEY", "X-Team": "team-name"}}
    with closing(Opened(path, "replay", "mine")) as tape:
        party = Party.of(model=identity(node), adapter=None)
        asyncio.run(TapedModel(Said([Completion("yes")]), party, tape, Meter()).complete(ASK))
    written = path.read_bytes()
    assert b"example.org" in written
    for secret in (b"sk-very-secret", b"THE_KEY", b"team-name", b"X-Team"):
        assert secret not in written


def test_options_that_change_no_answer_change_no_key() -> None:
    def party(**options: Any) -> Party:
        return Party.of(model=identity({"_target_": "fireact.model.api.Api", "model": "m", **options}))

    same: list[Callable[[], Party]] = [lambda: party(timeout=5.0), lambda: party(concurrency=2, retries=0),
                                       lambda: party(key_env="OTHER_KEY"), lambda: party(price_in=1.0)]
    assert {each() for each in same} == {party()}
    others = [party(temperature=0.7), party(max_tokens=9), party(options={"top_p": 0.5}), party(base_url="http://b/v1")]
    assert len({party(), *others}) == 5
