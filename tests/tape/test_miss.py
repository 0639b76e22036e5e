"""What a strict miss says: the nearest recorded request and the difference, in one sentence."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import DataError
from fireact.requests import Act
from fireact.tape.miss import _common, _likeness
from fireact.tape.request import Party, Request, act_request
from fireact.types import Episode, Step
from tests.tape.calls import TOOL, Asked, Opened, act, ask

SHOTS = "Answer by searching. " * 40
FRANCE = "What is the capital of France, and how old is it?"
NORWAY = "What is the capital of Norway, and how big is it?"


def past(*texts: str, question: str = "q") -> Request:
    """A request to a tool that depends on what its episode did."""
    steps = tuple(Step("act", text, tool="search", argument="x") for text in texts)
    return act_request(TOOL, Act("search", "Paris", Episode(question), steps), stateless=False)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tape of two conversations, searches, and a tool with a memory."""
    path = tmp_path_factory.mktemp("tape") / "tape.sqlite"
    calls = [ask(SHOTS, FRANCE), ask(SHOTS, FRANCE, "Action: search[France]", "Observation: Paris is its capital."),
             ask(SHOTS, NORWAY), act("capital of France"), act("Norway"), act("Oslo, the capital"),
             past("seen"), past()]

    async def record() -> None:
        with closing(Opened(path, "replay")) as tape:
            await asyncio.gather(*(tape.once(call, Asked()) for call in calls))

    asyncio.run(record())
    return path


def miss(path: Path, request: Request) -> str:
    with closing(Opened(path, "strict")) as tape, pytest.raises(DataError) as error:
        asyncio.run(tape.once(request, Asked()))
    said = str(error.value)
    assert said.startswith(f"{path} has no answer to this request, and tape.mode=strict asks for none")
    assert "\n" not in said
    assert len(said) < 900
    return said


def difference(path: Path, request: Request) -> str:
    """What the sentence says of the nearest request."""
    return miss(path, request).partition("differs in ")[2].partition(". Mend")[0]


def test_another_message(path: Path) -> None:
    assert difference(path, ask(SHOTS, FRANCE.replace("old", "large"))) == (
        "message 2: 'he capital of France, and how old is it?' recorded, "
        "'he capital of France, and how large is it?' asked")


def test_another_prompt(path: Path) -> None:
    assert difference(path, ask(SHOTS.replace("searching", "thinking", 1), FRANCE)) == (
        "message 1: 'user: Answer by searching. Answer by searching. Answer by se' recorded, "
        "'user: Answer by thinking. Answer by searching. Answer by sea' asked")


def test_another_turn_of_a_conversation(path: Path) -> None:
    said = difference(path, ask(SHOTS, FRANCE, "Action: search[France]", "Observation: Lyon is its capital."))
    assert said == ("message 4: 'user: Observation: Paris is its capital.' recorded, "
                    "'user: Observation: Lyon is its capital.' asked")


def test_a_conversation_that_goes_on_further(path: Path) -> None:
    said = difference(path, ask(SHOTS, NORWAY, "Action: search[Norway]"))
    assert said == "message 3: nothing recorded, 'user: Action: search[Norway]' asked"


def test_another_temperature(path: Path) -> None:
    warm = Party.of(model={"_target_": "made.Up", "name": "made-up", "temperature": 0.7}, adapter=None)
    assert difference(path, ask(SHOTS, FRANCE, party=warm)) == "model.temperature: 0.0 recorded, 0.7 asked"


def test_another_model_and_another_message_are_both_told(path: Path) -> None:
    tuned = Party.of(model={"_target_": "made.Up", "name": "made-up", "temperature": 0.0}, adapter="k1")
    said = difference(path, ask(SHOTS, "What?", party=tuned))
    assert said.startswith("message 2: 'user: What is the capital of ")
    assert said.endswith("; adapter: None recorded, 'k1' asked")


def test_another_seed(path: Path) -> None:
    assert difference(path, ask(SHOTS, FRANCE, seed=7)) == "seed: 0 recorded, 7 asked"


def test_other_options_of_the_request(path: Path) -> None:
    assert difference(path, ask(SHOTS, FRANCE, stop=("\n",), max_tokens=64)) == (
        "max_tokens: None recorded, 64 asked; stop: [] recorded, ['\\n'] asked")


def test_the_nearest_has_the_fewest_differences(path: Path) -> None:
    with closing(Opened(path.with_name("many"), "replay")) as tape:
        for seed in range(3):
            asyncio.run(tape.once(ask(FRANCE, seed=seed, prime=str(seed)), Asked()))
    assert difference(path.with_name("many"), ask(FRANCE, seed=1, prime="2")).count("recorded") == 1


@pytest.mark.parametrize(("asked", "nearest"), [
    ("the capital of France", "capital of France"), ("Norwa", "Norway"), ("Oslo, its capital", "Oslo, the capital")])
def test_another_argument(path: Path, asked: str, nearest: str) -> None:
    assert difference(path, act(asked)) == f"argument: {nearest!r} recorded, {asked!r} asked"


def test_another_corpus(path: Path) -> None:
    other = Party.of(tool={"_target_": "made.Search", "k": 2}, corpus="c1")
    assert difference(path, act("Norway", party=other)) == "corpus: 'c0' recorded, 'c1' asked"


def test_another_past(path: Path) -> None:
    assert difference(path, past("heard")) == "past 1: 'search[x]: seen []' recorded, 'search[x]: heard []' asked"
    assert difference(path, past("seen", "more")) == "past 2: nothing recorded, 'search[x]: more []' asked"
    assert difference(path, past("seen", question="p")) == "question: 'q' recorded, 'p' asked"


def test_an_empty_tape(tmp_path: Path) -> None:
    with closing(Opened(tmp_path / "tape.sqlite", "replay")) as tape:
        assert tape.file.reader
    assert miss(tmp_path / "tape.sqlite", ask("x")).endswith("the tape is empty; record it with tape.mode=replay")


def test_a_tape_of_other_calls_only(tmp_path: Path) -> None:
    with closing(Opened(tmp_path / "tape.sqlite", "replay")) as tape:
        asyncio.run(tape.once(act("Paris"), Asked()))
    said = difference(tmp_path / "tape.sqlite", ask("x"))
    assert said.startswith("message 1: nothing recorded, 'user: x' asked; ")


def test_a_long_and_odd_text_is_shown_in_part(path: Path) -> None:
    said = difference(path, ask(SHOTS, f"{FRANCE}\n\x1b[31m" + "x" * 100_000))
    assert "old is it?\\n\\x1b[31mxxx" in said


TEXT = st.text("abc", max_size=8)


@given(TEXT, TEXT)
def test_likeness(one: str, other: str) -> None:
    start = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
                 min(len(one), len(other)))
    assert _common(one, other) == start
    assert 0 <= _likeness(one, other) <= 1
    assert (_likeness(one, other) == 1) == (one == other != "")
