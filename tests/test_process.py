"""Exit codes, and the sentence of each failure."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fireact import errors
from fireact.process import BAD_INPUT, INTERRUPTED, ChildFailed, guard
from tests.helpers import ROOT

CASES = [error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, Exception)]


def guarded(failure: BaseException) -> int:
    def work() -> None:
        raise failure

    return guard(work)


def test_done_is_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("error", CASES, ids=lambda error: error.__name__)
def test_a_failure_with_a_sentence_prints_it_and_no_traceback(error, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(error("k=3 is wrong; write k=2")) == BAD_INPUT == 2
    assert capsys.readouterr() == ("", "error: k=3 is wrong; write k=2\n")


def test_an_interruption_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(KeyboardInterrupt()) == INTERRUPTED == 130
    assert capsys.readouterr() == ("", "")


def test_a_child_that_said_why_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert [guarded(ChildFailed(code)) for code in (1, 2, 130)] == [1, 2, 130]
    assert capsys.readouterr() == ("", "")


def test_a_child_that_was_killed_could_not_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(ChildFailed(-signal.SIGKILL)) == 128 + 9
    said = capsys.readouterr().err
    assert said.startswith("error: a stage was killed by SIGKILL, as the system does where memory runs out; start the")
    assert guarded(ChildFailed(-signal.SIGSEGV)) == 128 + 11
    assert capsys.readouterr().err.startswith("error: a stage was killed by SIGSEGV; start the same command again")
    assert guarded(ChildFailed(-signal.SIGINT)) == INTERRUPTED
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("failure", [RuntimeError("a bug"), OSError(errno.EIO, "input/output error"),
                                     FileNotFoundError(errno.ENOENT, "missing", "x")])
def test_what_nobody_foresaw_keeps_its_traceback(failure: Exception) -> None:
    with pytest.raises(type(failure)):
        guarded(failure)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"record")

    assert guard(work) == BAD_INPUT
    assert capsys.readouterr().err == ("error: the disk is full; free some space and start the same command again, "
                                       "finished work is kept\n")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_file(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(OSError(code, "full", "/x/trajectories.jsonl")) == BAD_INPUT
    assert "the disk is full (/x/trajectories.jsonl); free some space" in capsys.readouterr().err


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_folder_one_may_not_write_to(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(OSError(code, "no", "/x")) == BAD_INPUT
    assert capsys.readouterr().err == "error: no permission to write (/x); choose another place\n"


STAGE = """
import asyncio, sys, time
from fireact.errors import DataError
from fireact.pool import each
from fireact.process import run_async, stage_main

async def play():
    async def take():
        return 60

    async def work(seconds):
        print("playing", flush=True)
        await asyncio.sleep(seconds)

    await each(take, work, 2)

def run(values, folder):
    try:
        print(values["do"], flush=True)
        if values["do"] == "fail":
            raise DataError("the file is empty; write a line")
        if values["do"] == "sleep":
            time.sleep(60)
        if values["do"] == "play":
            run_async(play())
    finally:
        (folder / "saved").touch()
    (folder / "done").touch()

sys.exit(stage_main(run, sys.argv))
"""


def start(folder: Path, do: str) -> "subprocess.Popen[str]":
    job = folder / "job.json"
    job.write_text(json.dumps({"do": do}))
    process = subprocess.Popen([sys.executable, "-c", STAGE, str(job)], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == f"{do}\n"
    return process


def test_a_stage_does_its_job_in_its_folder(tmp_path: Path) -> None:
    process = start(tmp_path, "work")
    assert (*process.communicate(timeout=20), process.returncode) == ("", "", 0)
    assert (tmp_path / "done").exists()


def test_a_stage_that_fails_says_why(tmp_path: Path) -> None:
    process = start(tmp_path, "fail")
    assert (*process.communicate(timeout=20), process.returncode) == (
        "", "error: the file is empty; write a line\n", BAD_INPUT)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("do", ["sleep", "play"])
def test_a_stage_that_is_stopped_saves_and_frees_its_lock(tmp_path: Path, do: str, signum: int) -> None:
    process = start(tmp_path, do)
    if do == "play":
        assert process.stdout is not None
        assert process.stdout.readline() == "playing\n"
    os.kill(process.pid, signum)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (INTERRUPTED, "")
    assert (tmp_path / "saved").exists()
    assert not (tmp_path / "done").exists()
    again = start(tmp_path, "work")
    again.communicate(timeout=20)
    assert again.returncode == 0
