"""What each mode of the tape asks for, and what it takes from the tape."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import DataError
from tests.tape.calls import Asked, ask, recorded
from tests.tape.test_tape import once, opened, run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape.sqlite"


def test_replay_takes_any_jobs_answer_and_its_own_first(path: Path) -> None:
    for job in ("first", "second"):
        with opened(path, "record", job) as tape:
            assert once(tape, "x", answer=job) == (job, False)
    for job, answer in (("first", "first"), ("second", "second"), ("third", "first")):
        with opened(path, "replay", job) as tape:
            assert once(tape, "x", answer="new") == (answer, True)
    assert len(recorded(path)) == 2


def test_record_goes_on_from_its_own_answers_alone(path: Path) -> None:
    with opened(path, "replay", "theirs") as tape:
        once(tape, "x", answer="theirs")
    with opened(path, "record") as tape:
        assert once(tape, "x", answer="mine") == ("mine", False)
    with opened(path, "record") as tape:
        assert once(tape, "x", answer="again") == ("mine", True)


def test_off_writes_nothing(path: Path) -> None:
    asked = Asked()
    with opened(path, "off") as tape:
        for _ in range(2):
            assert run(lambda: tape.once(ask("x"), asked)) == (asked.answer, False)
    assert asked.times == 2
    assert not list(path.parent.iterdir())


def test_strict_asks_for_nothing_and_writes_nothing(path: Path) -> None:
    with opened(path, journal="delete") as tape:
        once(tape, "x", answer="kept")
    before, asked = path.read_bytes(), Asked()
    with opened(path, "strict", "other") as tape:
        assert run(lambda: tape.once(ask("x"), asked)) == ("kept", True)
        with pytest.raises(DataError, match="has no answer to this request"):
            run(lambda: tape.once(ask("y"), asked))
    assert asked.times == 0
    assert path.read_bytes() == before


def test_of_many_misses_only_the_first_is_explained(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 episodes begin at once, and each explanation takes its time."""
    with opened(path) as tape:
        once(tape, "x")
    told: list[Any] = []
    monkeypatch.setattr("fireact.tape.describe", lambda *given: told.append(given) or "the first miss")
    with opened(path, "strict") as tape:
        got = run(lambda: asyncio.gather(*(tape.once(ask(f"{number}"), Asked()) for number in range(64)),
                                         return_exceptions=True))
    assert {str(each) for each in got} == {"the first miss"}
    assert len(told) == 1


def test_strict_without_a_tape_is_told_so(path: Path) -> None:
    with opened(path, "strict") as tape, pytest.raises(DataError, match=r"does not exist, .* check tape\.file"):
        once(tape, "x")
    assert not list(path.parent.iterdir())
