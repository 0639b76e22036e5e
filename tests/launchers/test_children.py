"""A stage waits for its folder first and takes GPUs only then; both are its own until its process has ended."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fireact import forkserver
from fireact.children import Task, work
from fireact.locks import lock, locked, taken
from fireact.slots import take
from fireact.store import DONE
from tests.helpers import ROOT
from tests.launchers.stage import Job

STAGE = "tests.launchers.stage"
RUN = """
import json, sys
from pathlib import Path
from fireact import forkserver
from fireact.children import Task, work
if sys.argv[3] == "process":
    forkserver.usable = lambda: False
from tests.launchers.stage import Job
done = work("tests.launchers.stage", [Task("x", Job(**json.loads(sys.argv[2])), Path(sys.argv[1]))], lambda _: None,
            gpus=[0], locked=True)
print(done, flush=True)
"""
TAKE = """
from fireact.slots import take
with take(1, [0]):
    print("taken", flush=True)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages of this process are processes, for a fork waits for torch."""
    monkeypatch.setattr(forkserver, "usable", lambda: False)


def do(folder: Path, gpus: list[int] | None = None, **options) -> bool:
    """Have a process do it."""
    return work(STAGE, [Task("x", Job(**options), folder)], lambda _: None, gpus=gpus, locked=True)


def python(script: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start a script in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE)


def run(folder: Path, until: Path, how: str = "process") -> "subprocess.Popen[str]":
    """A run that has the stage done, on the first GPU, in a process or a fork."""
    return python(RUN, str(folder), json.dumps({"until": str(until)}), how)


def line(process: "subprocess.Popen[str]") -> str:
    """The next line that it prints."""
    assert process.stdout
    return process.stdout.readline()


def wait(for_what: Callable[[], bool]) -> None:
    """Until it is so."""
    for _ in range(3000):
        if for_what():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_a_stage_sees_the_gpus_it_took(tmp_path: Path, devices: list[str]) -> None:
    assert do(tmp_path / "one", [1])
    assert do(tmp_path / "two", [2, 1], wanted=2)
    assert do(tmp_path / "none", [1], wanted=0)
    assert do(tmp_path / "free", None)
    saw = {folder.name: (folder / "saw").read_text() for folder in tmp_path.iterdir()}
    everything = ",".join(devices)
    assert saw == {"one": devices[1], "two": f"{devices[2]},{devices[1]}", "none": everything, "free": everything}


def test_a_run_is_not_told_what_its_stages_are(tmp_path: Path, devices: list[str],
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder and the GPUs of one stage are not the next one's."""
    monkeypatch.setattr(forkserver, "usable", lambda: importlib.util.find_spec("torch") is not None)
    before = dict(os.environ)
    for number in (1, 0):
        assert do(tmp_path / str(number), [number])
        assert (tmp_path / str(number) / "saw").read_text() == devices[number]
    assert {name: os.environ[name] for name in before} == before
    assert not [name for name in {*os.environ} - {*before} if name.startswith(("FIREACT", "CUDA"))]


def test_what_another_run_finished_meanwhile_starts_no_process(tmp_path: Path, devices: list[str]) -> None:
    """And who only waits for it keeps no GPU from others."""
    with lock(tmp_path / "work"):
        waiting = run(tmp_path / "work", tmp_path / "never")
        assert "waiting for it" in line(waiting)
        with take(1, [0]) as taken:
            assert taken.devices == (devices[0],)
        (tmp_path / "work" / DONE).write_text("{}")
    assert waiting.communicate(timeout=30)[0] == "False\n"
    assert not (tmp_path / "work" / "process").exists()


def test_of_two_runs_of_the_same_stage_one_does_it(tmp_path: Path, devices: list[str]) -> None:
    runs = [run(tmp_path / "work", tmp_path / "go") for _ in range(2)]
    wait(lambda: (tmp_path / "work" / "process").exists())
    (tmp_path / "go").touch()
    said = [each.communicate(timeout=30)[0].split("\n")[-2] for each in runs]
    assert sorted(said) == ["False", "True"]
    assert not locked(tmp_path / "work")


@pytest.mark.parametrize("how", ["process", "fork"])
def test_a_stage_of_a_killed_run_keeps_both_until_it_has_ended(how: str, tmp_path: Path, devices: list[str]) -> None:
    killed = run(tmp_path / "work", tmp_path / "never", how)
    wait(lambda: (tmp_path / "work" / "process").exists())
    stage = int((tmp_path / "work" / "process").read_text())
    os.kill(stage, signal.SIGSTOP)  # So that it cannot see yet that its run is gone.
    killed.kill()
    killed.wait()
    assert locked(tmp_path / "work")
    other = python(TAKE)
    assert line(other) == f"waiting for a free GPU of {devices[0]}\n"
    os.kill(stage, signal.SIGCONT)
    assert other.communicate(timeout=30)[0] == "taken\n"
    wait(lambda: not locked(tmp_path / "work"))
    assert not (tmp_path / "work" / DONE).exists()


def test_the_same_again_goes_on_after_a_kill(tmp_path: Path, devices: list[str]) -> None:
    killed = run(tmp_path / "work", tmp_path / "never")
    wait(lambda: (tmp_path / "work" / "process").exists())
    killed.kill()
    killed.communicate()
    assert do(tmp_path / "work", [0])
    assert (tmp_path / "work" / DONE).exists()


def test_who_waits_is_told_who_works(tmp_path: Path, devices: list[str]) -> None:
    works = run(tmp_path / "work", tmp_path / "go")
    wait(lambda: (tmp_path / "work" / "process").exists())
    waits = run(tmp_path / "work", tmp_path / "go")
    said = line(waits)
    assert said.startswith(f"another run is working on {tmp_path / 'work'}; waiting for it (process {works.pid} on ")
    assert " UTC: " in said
    assert "gone for good" not in said
    (tmp_path / "go").touch()
    assert works.communicate(timeout=30)[0] == "True\n"
    assert waits.communicate(timeout=30)[0] == "False\n"
    assert not (tmp_path / "work" / "owner.json").exists()


def test_an_owner_on_another_machine_is_named_with_what_to_do(tmp_path: Path) -> None:
    """Its lock may stand for a while, if the machine died and its file server has not noticed."""
    tmp_path.joinpath("owner.json").write_text(json.dumps({
        "host": "node7", "process": 12, "since": "2026-11-01 09:00:00 UTC", "command": "python main.py seed=1"}))
    held = taken(tmp_path / ".lock")
    assert held is not None
    waits = run(tmp_path, tmp_path)
    assert line(waits) == (
        f"another run is working on {tmp_path}; waiting for it (process 12 on node7 since 2026-11-01 09:00:00 UTC: "
        f"python main.py seed=1); if node7 is gone for good, delete {tmp_path / '.lock'}\n")
    (tmp_path / ".lock").unlink()  # What it says to do: the lock that is still held is of no account then.
    assert waits.communicate(timeout=30)[0] == "True\n"
    os.close(held)
