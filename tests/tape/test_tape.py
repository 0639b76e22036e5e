"""The tape: no answered call is ever lost, none is asked for twice, and no file is touched that is not ours."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fireact.errors import DataError, ProviderError
from fireact.sections import Mode
from fireact.tape import Tape
from fireact.tape.file import TapeFile
from tests.helpers import ROOT, files_up_to
from tests.tape.calls import Asked, Opened, ask, recorded
from tests.test_database import without_rights

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape.sqlite"


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run to the end, which must come, without a word from asyncio."""
    said: list[dict[str, Any]] = []

    async def main() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
        return await asyncio.wait_for(work(), 60)

    result = asyncio.run(main())
    assert not said
    return result


@contextmanager
def opened(path: Path, mode: Mode = "replay", job: str = "mine", **options: Any) -> Iterator[Tape]:
    with closing(Opened(path, mode, job, **options)) as tape:
        yield tape


def once(tape: Tape, *texts: str, answer: str = '{"text":"yes"}') -> tuple[str, bool]:
    """Record or replay one call in a loop of its own."""
    return run(lambda: tape.once(ask(*texts), Asked(answer)))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, hold: threading.Event | None = None) -> Iterator[list[int]]:
    """Note how many calls each transaction holds; wait in it for `hold`."""
    sizes: list[int] = []
    plain = TapeFile._commit

    def commit(self: TapeFile, batch: Any) -> None:
        sizes.append(len(batch))
        if hold:
            assert hold.wait(30)
        plain(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(TapeFile, "_commit", commit)
        yield sizes


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_an_answer_is_on_the_disk_when_once_returns(path: Path, journal: Any) -> None:
    async def main() -> None:
        async def one(number: int) -> None:
            request, answer = ask(f"{number}"), f'{{"text":"{number}"}}'
            assert await tape.once(request, Asked(answer)) == (answer, False)
            assert recorded(path)[request.key, "mine"] == answer

        await asyncio.gather(*map(one, range(30)))

    with opened(path, journal=journal) as tape:
        run(main)


KILLED = """
import asyncio, os, sys
from pathlib import Path
from tests.tape.calls import Opened
from tests.tape.calls import Asked, ask

async def main():
    tape, done = Opened(Path(sys.argv[1]), "replay", "mine"), []
    async def one(number):
        await tape.once(ask(f"{number}"), Asked(str(number)))
        os.write(1, f"{number}\\n".encode())
        done.append(number)
        if len(done) == 25:
            os.kill(os.getpid(), 9)
    async def worker(first):
        for number in range(first, 100, 8):
            await one(number)
    await asyncio.gather(*map(worker, range(8)))

asyncio.run(main())
"""


def test_a_kill_loses_nothing_that_was_answered(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    told = done.stdout.split()
    assert len(told) == 25
    with opened(path) as tape:
        for number in told:
            assert once(tape, number, answer="asked again") == (number, True)


def test_calls_that_end_together_share_a_transaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def many(name: str, n: int) -> None:
        await asyncio.gather(*(tape.once(ask(f"{name} {number}"), Asked()) for number in range(n)))

    async def main() -> None:
        first = asyncio.create_task(many("first", 64))
        while not sizes:
            await asyncio.sleep(0)
        others = [asyncio.create_task(many(f"{number}", 1)) for number in range(10)]
        while tape.file.batches.waiting < 10:
            await asyncio.sleep(0)
        hold.set()
        await asyncio.gather(first, *others)

    hold = threading.Event()
    with opened(path) as tape, counted(monkeypatch, hold) as sizes:
        run(main)
    assert sizes == [64, 10]
    assert len(recorded(path)) == 74


def test_the_same_request_is_under_way_once(path: Path) -> None:
    asked = Asked()
    with opened(path) as tape:
        got = run(lambda: asyncio.gather(*(tape.once(ask("same"), asked) for _ in range(5))))
    assert got == [(asked.answer, False), *[(asked.answer, True)] * 4]
    assert asked.times == 1


def test_a_failure_is_told_to_all_and_not_recorded(path: Path) -> None:
    async def fail() -> str:
        await asyncio.sleep(0)
        raise ProviderError("down")

    with opened(path) as tape:
        got = run(lambda: asyncio.gather(*(tape.once(ask("x"), fail) for _ in range(3)), return_exceptions=True))
        assert [str(each) for each in got] == ["down"] * 3
        assert once(tape, "x") == ('{"text":"yes"}', False)


def test_a_caller_that_is_cancelled_loses_nothing(path: Path) -> None:
    async def main() -> tuple[str, bool]:
        answered = asyncio.Event()

        async def slow() -> str:
            await answered.wait()
            return "late"

        caller = asyncio.create_task(tape.once(ask("x"), slow))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        answered.set()
        other = await tape.once(ask("x"), Asked("asked again"))
        assert list(recorded(path).values()) == ["late"]
        return other

    with opened(path) as tape:
        assert run(main) == ("late", True)


def test_a_failure_that_nobody_waits_for_is_no_noise(path: Path) -> None:
    async def main() -> None:
        failing = asyncio.Event()

        async def fail() -> str:
            await failing.wait()
            raise ProviderError("down")

        caller = asyncio.create_task(tape.once(ask("x"), fail))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.sleep(0)
        failing.set()
        while tape._flights:
            await asyncio.sleep(0)

    with opened(path) as tape:
        run(main)


@pytest.mark.parametrize("text", ["\x00 and \x00", "half \ud83d", "😀\u2028", "x" * 3_000_000, ""], ids=range(5))
def test_any_text_can_be_asked_and_answered(path: Path, text: str) -> None:
    kept = text.replace("\ud83d", "?")
    with opened(path) as tape:
        assert once(tape, text, text, answer=text) == (kept, False)
    with opened(path, "strict") as tape:
        assert once(tape, text, text) == (kept, True)


def test_a_conversation_grows_the_tape_by_what_is_new_in_it(path: Path) -> None:
    sizes = {}
    for rounds in (10, 80):
        with opened(path.with_name(f"{rounds}")) as tape:
            for number in range(1, rounds + 1):
                once(tape, *(f"{of} ".ljust(500) for of in range(number)))
        with closing(sqlite3.connect(path.with_name(f"{rounds}"))) as db:
            sizes[rounds] = sum(db.execute(f"SELECT SUM(LENGTH({column})) FROM {table}").fetchone()[0] for table, column
                                in (("texts", "text"), ("texts", "digest"), ("calls", "request"), ("calls", "answer")))
    assert sizes[80] < 8.1 * sizes[10]


def test_what_is_known_to_be_there_is_forgotten_in_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fireact.tape.file._REMEMBERED", 5)
    with opened(path) as tape:
        for number in range(30):
            once(tape, "first", f"{number}")
            assert 0 < len(tape.file._written) <= 10
    assert len(recorded(path)) == 30


@pytest.mark.parametrize("mode", ["replay", "record"])
def test_a_full_disk_fails_all_that_wait_and_loses_none_silently(path: Path, mode: Mode) -> None:
    async def main() -> list[Any]:
        calls = (tape.once(ask(f"{number}"), Asked(f"{number}" * 100_000)) for number in range(5))
        return await asyncio.gather(*calls, return_exceptions=True)

    with opened(path, mode) as tape:
        once(tape, "before", answer="before")
        with files_up_to(300_000):
            for _ in range(2):
                got = run(main)
                assert all(isinstance(each, DataError) for each in got)
                assert "tape of answered calls, cannot be used" in str(got[0])
        assert list(recorded(path).values()) == ["before"]
        assert not tape._flights
        assert [kept for _, kept in run(main)] == [False] * 5
        assert len(recorded(path)) == 6


def test_a_tape_that_may_not_be_written_fails_all_that_wait() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with opened(folder / "tape.sqlite") as tape:
            once(tape, "before", answer="before")
        with without_rights(folder):
            if os.access(folder, os.W_OK):
                pytest.skip("this user may write everywhere")
            for _ in range(2):
                with opened(folder / "tape.sqlite") as tape, pytest.raises(DataError, match="Permission denied"):
                    once(tape, "x")
            with opened(folder / "tape.sqlite", "strict") as tape:
                assert once(tape, "before") == ("before", True)


def test_whatever_keeps_an_answer_from_the_disk_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def commit(self: TapeFile, batch: Any) -> None:
        raise MemoryError("no room")

    with opened(path) as tape:
        with monkeypatch.context() as patch:
            patch.setattr(TapeFile, "_commit", commit)
            with pytest.raises(MemoryError):
                once(tape, "x")
        assert once(tape, "x") == ('{"text":"yes"}', False)


@pytest.mark.parametrize("mode", ["replay", "record", "strict"])
def test_a_file_that_is_no_tape_is_refused_and_left_as_it_is(path: Path, mode: Mode) -> None:
    for content in (b"no database " * 500, b"SQLite format 3\x00" + bytes(4000)):
        path.write_bytes(content)
        with opened(path, mode) as tape, pytest.raises(DataError, match="the tape of answered calls, can"):
            once(tape, "x")
        assert path.read_bytes() == content
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE calls (x); PRAGMA user_version=99")
    before = path.read_bytes()
    with opened(path, mode) as tape, pytest.raises(DataError, match=r"is of version 99, .* it is left as it is"):
        once(tape, "x")
    assert path.read_bytes() == before
    path.unlink()
    path.mkdir()
    with opened(path, mode) as tape, pytest.raises(DataError, match="the tape of answered calls"):
        once(tape, "x")


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.tape.calls import Opened
from tests.tape.calls import Asked, ask

async def main():
    tape = Opened(Path(sys.argv[1]), "replay", "mine")
    for number in range(60):
        answer, _ = await tape.once(ask(f"{number}"), Asked(f"{number} by {sys.argv[2]}"))
        print(answer)
    tape.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_processes_that_share_a_tape_agree_on_every_answer(path: Path, journal: Any) -> None:
    program = WRITER.replace('"mine")', f'"mine", {journal!r})')
    started = [subprocess.Popen([sys.executable, "-c", program, str(path), name], cwd=ROOT, text=True,
                                stdout=subprocess.PIPE) for name in "ab"]
    with opened(path, journal=journal) as tape:
        mine = [once(tape, f"{number}", answer=f"{number} by me")[0] for number in range(60)]
    theirs = [process.communicate(timeout=60)[0].splitlines() for process in started]
    assert theirs == [mine, mine]
    assert sorted(recorded(path).values()) == sorted(mine)


def test_where_another_process_was_first_its_answer_stands(path: Path) -> None:
    async def late() -> str:
        with opened(path) as other:
            assert await other.once(ask("x"), Asked("first")) == ("first", False)
        return "second"

    with opened(path) as tape:
        assert run(lambda: tape.once(ask("x"), late)) == ("first", False)
        assert once(tape, "x") == ("first", True)


def test_a_tape_is_read_while_another_process_writes_it(path: Path) -> None:
    with opened(path) as tape:
        once(tape, "x", answer="kept")
    with closing(sqlite3.connect(path, isolation_level=None)) as other, opened(path, "strict") as tape:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM calls")
        assert once(tape, "x") == ("kept", True)
