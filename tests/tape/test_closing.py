"""Closing a tape: what was answered is written, and no thread, task or word is left."""

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import DataError
from fireact.tape import Tape
from fireact.tape.file import TapeFile
from tests.helpers import files_up_to
from tests.tape.calls import Asked, Opened, ask, recorded
from tests.tape.test_tape import run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape.sqlite"


async def begun(tape: Tape, n: int) -> "list[asyncio.Task[Any]]":
    """Answer calls, which are not written yet."""
    calls = [asyncio.create_task(tape.once(ask(f"{number}"), Asked(f"{number}"))) for number in range(n)]
    while tape.file.batches.waiting < n:
        await asyncio.sleep(0)
    return calls


async def nothing_is_left() -> None:
    """After the loop's next turns there is neither a task nor a thread of the tape."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if re.search("Tape|Batches", repr(task.get_coro()))]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tape")]


@pytest.mark.parametrize("mode", ["off", "strict", "replay", "record"])
def test_a_tape_that_nobody_used_is_closed(path: Path, mode: Any) -> None:
    tape = Opened(path, mode)
    tape.close()
    tape.close()
    assert not list(path.parent.iterdir())


def test_closing_twice_does_no_harm(path: Path) -> None:
    tape = Opened(path, "replay")
    assert run(lambda: tape.once(ask("x"), Asked("kept"))) == ("kept", False)
    tape.close()
    tape.close()
    assert list(recorded(path).values()) == ["kept"]


def test_what_is_pending_is_written(path: Path) -> None:
    async def main() -> None:
        tape = Opened(path, "replay")
        calls = await begun(tape, 20)
        tape.close()
        await nothing_is_left()
        assert all(call.cancelled() or call.result() for call in calls)

    run(main)
    assert len(recorded(path)) == 20


def test_what_a_transaction_under_way_leaves_out_is_written_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, plain = threading.Event(), TapeFile._commit

    def commit(self: TapeFile, batch: Any) -> None:
        entered.set()
        plain(self, batch)

    async def main() -> None:
        tape = Opened(path, "replay")
        calls = await begun(tape, 3)
        await asyncio.sleep(0)
        assert entered.wait(30)
        calls += [asyncio.create_task(tape.once(ask(f"late {number}"), Asked())) for number in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tape.close()
        await nothing_is_left()

    monkeypatch.setattr(TapeFile, "_commit", commit)
    run(main)
    assert len(recorded(path)) == 6


def test_requests_under_way_are_cancelled_without_a_word(path: Path) -> None:
    async def main() -> None:
        tape, ended = Opened(path, "replay"), []

        async def forever() -> str:
            try:
                await asyncio.sleep(1000)
            finally:
                ended.append("cleaned up")
            return ""

        await tape.once(ask("first"), Asked())
        calls = [asyncio.create_task(tape.once(ask(f"{number % 3}"), forever)) for number in range(6)]
        gone = asyncio.create_task(tape.once(ask("gone"), forever))
        for _ in range(3):
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        tape.close()
        await nothing_is_left()
        assert len(ended) == 4
        assert all(call.cancelled() for call in calls)

    run(main)
    assert len(recorded(path)) == 1


def test_an_answer_that_comes_after_all_hangs_nobody(path: Path) -> None:
    async def main() -> None:
        tape = Opened(path, "replay")

        async def stubborn() -> str:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
            return "late"

        await tape.once(ask("first"), Asked())
        call = asyncio.create_task(tape.once(ask("x"), stubborn))
        await begun(tape, 1)
        tape.close()
        with pytest.raises(RuntimeError, match="shutdown"):
            await call
        await nothing_is_left()

    run(main)


def test_closing_after_the_loop_has_ended_writes_what_it_left(path: Path) -> None:
    tape = Opened(path, "replay")
    run(lambda: begun(tape, 5))
    tape.close()
    assert len(recorded(path)) == 5


def test_what_cannot_be_written_is_told_by_close(path: Path) -> None:
    async def main() -> None:
        tape = Opened(path, "replay")
        await tape.once(ask("first"), Asked())
        call = asyncio.create_task(tape.once(ask("big"), Asked("x" * 1_000_000)))
        while not tape.file.batches.waiting:
            await asyncio.sleep(0)
        with files_up_to(200_000), pytest.raises(DataError, match="cannot be used"):
            tape.close()
        await nothing_is_left()
        assert call.cancelled()

    run(main)
    assert len(recorded(path)) == 1
