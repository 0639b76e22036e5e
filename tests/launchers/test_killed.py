"""The process that launches a sweep is killed: cluster jobs go on, this machine's workers end, nothing is paid twice.

submitit's local executor stands for SLURM: its jobs are no children of the launching process's either.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fireact.loopback import Served, serve
from tests.conftest import command, environment
from tests.helpers import ROOT
from tests.play.helper import write_questions
from tests.test_forecast import TEACHER, passages

psutil = pytest.importorskip("psutil", reason="psutil, which comes with torch's helpers, is not installed")

N, CELLS = 16, 2
CALLS = 3 * N * CELLS


@pytest.fixture
def server() -> Iterator[Served]:
    """An endpoint that counts what it is asked."""
    with serve() as server:
        server.faults.delay = 0.08
        yield server


@pytest.fixture
def sweep(tmp_path: Path, store: Path, server: Served) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a sweep of two cells in a session of its own, of which nothing is left at the end."""
    write_questions(tmp_path / "train.jsonl", N)
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> "subprocess.Popen[str]":
        whole = command(tmp_path, store, "-m", *options, "stage=generate", "dataset=table", "seed=0,1", *TEACHER,
                        f"dataset.train={tmp_path}/train.jsonl", f"generate.n={N}", f"teacher.base_url={server.url}",
                        f"tool.corpus={passages(tmp_path)}", "concurrency=2", "teacher.temperature=0.5")
        with (tmp_path / "said").open("w") as said:
            started.append(subprocess.Popen(whole, cwd=ROOT, env={**environment(), "NO_PROXY": "127.0.0.1"}, text=True,
                                            stdout=said, stderr=said, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        for left in of_session(process.pid):
            left.kill()
        process.wait()


def of_session(number: int) -> list:
    """All living processes of a session."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == number and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def wait(for_what: Callable[[], bool]) -> None:
    """Until it is so."""
    for _ in range(1200):
        if for_what():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, pytest.param(signal.SIGHUP, id="closed")])
def test_jobs_of_a_cluster_go_on_and_are_collected(blow: int, sweep, server: Served, tmp_path: Path) -> None:
    """SIGHUP reaches all processes of a terminal that is closed, and is no end to those of a job."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is not installed")
    launching = sweep("hydra/launcher=slurm_local")
    wait(lambda: server.stats.answered >= 10)
    (os.killpg if blow == signal.SIGHUP else os.kill)(launching.pid, blow)
    launching.wait(300)
    assert ("jobs that were submitted go on" in (tmp_path / "said").read_text()) == (blow == signal.SIGTERM)
    seen = server.stats.answered
    again = sweep("hydra/launcher=slurm_local")
    assert again.wait(300) == 0, (tmp_path / "said").read_text()
    # Not by the second sweep alone: nothing was asked for again, although the first one's jobs were not disturbed.
    assert (server.stats.answered, server.stats.repeated) == (CALLS, 0)
    assert seen < CALLS
    for number in range(CELLS):
        assert len((tmp_path / "sweep" / str(number) / "trajectories.jsonl").read_text().splitlines()) == N
    wait(lambda: not of_session(launching.pid))
    results = list((tmp_path / "sweep" / ".submitit").glob("*/*_result.pkl"))
    assert len(results) == 2 * CELLS  # The jobs of the first sweep came to their end by themselves.


def test_workers_of_this_machine_end_with_the_launching_process(sweep, server: Served, devices: list[str]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="hydra-joblib-launcher is not installed")
    launching = sweep("hydra/launcher=gpus", "gpus=[0,1]")
    wait(lambda: server.stats.answered >= 10)
    launching.kill()
    launching.wait()
    wait(lambda: not of_session(launching.pid))
    assert server.stats.answered < CALLS
    assert sweep("hydra/launcher=gpus", "gpus=[0,1]").wait(300) == 0
    # What was under way when the kill came may be asked for again.
    assert server.stats.repeated <= 2 * 2 * CELLS


def test_a_job_whose_time_is_up_goes_on_in_the_next(sweep, server: Served, tmp_path: Path) -> None:
    """As SLURM does it: SIGUSR2 to all processes of the job, some time before its end."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is not installed")
    launching = sweep("hydra/launcher=slurm_local")
    wait(lambda: server.stats.answered >= 10)
    job = next(process for process in of_session(launching.pid) if "submitit.core._submit" in process.cmdline())
    stage = next(process for process in job.children() if "fireact.generate" in process.cmdline())
    for process in (job, stage):
        process.send_signal(signal.SIGUSR2)
    assert launching.wait(300) == 0, (tmp_path / "said").read_text()
    assert server.stats.repeated <= 4
    states = [json.loads((tmp_path / "sweep" / str(number) / "manifest.json").read_text())["state"]
              for number in range(CELLS)]
    assert states == ["done", "done"]
