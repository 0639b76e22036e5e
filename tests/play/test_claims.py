"""Claims: a number is one process's at a time, and no one's once that process is gone."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fireact.play.claims import Claims
from tests.helpers import ROOT

OTHER = """
import sys
from pathlib import Path
from fireact.play.claims import Claims
claims = Claims(Path(sys.argv[1]))
for line in sys.stdin:
    what, first, last = line.split()
    print(getattr(claims, what)(range(int(first), int(last) + 1)), flush=True)
"""


class Other:
    """Another process, which claims what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", OTHER, str(folder)], cwd=ROOT, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def tell(self, what: str, first: int, last: int | None = None) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{what} {first} {first if last is None else last}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[[], Other]]:
    started: list[Other] = []

    def start() -> Other:
        started.append(Other(tmp_path))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def test_a_number_is_one_processs_at_a_time(tmp_path: Path, other: Callable[[], Other]) -> None:
    one, two = other(), other()
    with closing(Claims(tmp_path)) as mine:
        assert mine.take(range(7, 8))
        assert one.tell("take", 7) == "False"
        assert one.tell("take", 6) == "True"
        assert one.tell("take", 8) == "True"
        assert [two.tell("take", number) for number in (6, 7, 8, 9)] == ["False", "False", "False", "True"]
        assert not mine.take(range(9, 10))
        assert mine.take(range(10**12, 10**12 + 1)), "any number will do"


def test_what_is_given_up_is_free_and_nothing_else(tmp_path: Path, other: Callable[[], Other]) -> None:
    one = other()
    with closing(Claims(tmp_path)) as mine:
        for number in (1, 2, 3):
            assert mine.take(range(number, number + 1))
        mine.release(range(2, 3))
        assert [one.tell("take", number) for number in (1, 2, 3)] == ["False", "True", "False"]
        one.tell("release", 2)
        assert mine.take(range(2, 3))
    assert [one.tell("take", number) for number in (1, 2, 3)] == ["True"] * 3


def test_a_range_is_had_whole_or_not_at_all(tmp_path: Path, other: Callable[[], Other]) -> None:
    one = other()
    assert one.tell("take", 5) == "True"
    with closing(Claims(tmp_path)) as mine:
        assert not mine.take(range(0, 10))
        assert one.tell("take", 0, 4) == "True"
        assert mine.take(range(6, 10))
        assert one.tell("take", 9) == "False"
        assert one.tell("take", 10) == "True"


def test_a_killed_owner_frees_all_it_had(tmp_path: Path, other: Callable[[], Other]) -> None:
    one = other()
    assert one.tell("take", 0, 999) == "True"
    with closing(Claims(tmp_path)) as mine:
        assert not mine.take(range(3, 4))
        one.kill()
        assert mine.take(range(3, 4))
        assert mine.take(range(0, 1000))


def test_one_process_may_take_its_own_again(tmp_path: Path, other: Callable[[], Other]) -> None:
    with closing(Claims(tmp_path)) as mine:
        assert mine.take(range(1, 2))
        assert mine.take(range(1, 2))
        mine.release(range(1, 2))
        assert other().tell("take", 1) == "True"
