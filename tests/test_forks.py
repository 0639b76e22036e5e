"""Work in forks: the same results and errors as without, and nobody left behind."""

import multiprocessing
import os
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact import forks
from fireact.errors import ConfigError
from fireact.forks import LEAST, in_forks
from fireact.process import ChildFailed


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


@given(st.integers(0, 5 * LEAST), st.none() | st.integers(0, 5 * LEAST), st.none() | st.integers(0, 5 * LEAST))
@settings(max_examples=20)
def test_they_do_what_one_process_does(n: int, first: int | None, second: int | None) -> None:
    def work(number: int) -> int:
        if number in (first, second):
            raise ConfigError(f"{number} is wrong")
        return number * number

    wrong = [number for number in (first, second) if number is not None and number < n]
    if wrong:
        with pytest.raises(ConfigError, match=f"{min(wrong)} is wrong"):
            in_forks(work, n)
    else:
        assert in_forks(work, n) == [number * number for number in range(n)]
    assert multiprocessing.active_children() == []


def test_other_processes_do_it() -> None:
    assert os.getpid() not in in_forks(lambda _: os.getpid(), 4 * LEAST)


def test_a_fork_that_is_killed_is_told() -> None:
    def work(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(ChildFailed, match="a stage was killed by SIGKILL"):
        in_forks(work, 4 * LEAST)
    assert multiprocessing.active_children() == []
