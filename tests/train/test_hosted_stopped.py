"""Hosted fine-tuning that is interrupted, killed, or not answered: nothing is sent twice, nor paid for twice."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fireact.errors import DataError, ProviderError
from tests.helpers import ROOT
from tests.train.endpoint import FineTuner, fault
from tests.train.hosting import JOBS, Training, elsewhere, hosting, interrupt, refusal


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Training]:
    with hosting(tmp_path, monkeypatch) as started:
        yield started


def repeatedly(training: Training, home: Path) -> Iterator[tuple[int, Training]]:
    """A training a request of one that is left alone, each with the server as it was at first."""
    training.server.states = ("queued", "running", "running", "succeeded")
    training.server.page = 100
    training.run()
    for number in range(len(training.server.requests)):
        for name in ("files", "contents", "jobs", "events", "looks", "requests", "bodies"):
            getattr(training.server, name).clear()
        training.server.hook = FineTuner().hook
        (home / f"{number}").mkdir()
        yield number, replace(training, home=home / f"{number}")


def unanswered(number: int, act: Callable[[], None]) -> Callable[[int, str], None]:
    """A hook that acts once a request has taken effect, which then gets no answer."""

    def hook(now: int, moment: str) -> None:
        if (now, moment) == (number, "after"):
            act()
            raise ConnectionAbortedError

    return hook


def test_ctrl_c_at_any_request_sends_nothing_twice(training: Training, tmp_path: Path) -> None:
    for number, again in repeatedly(training, tmp_path):
        again.server.hook = unanswered(number, interrupt)
        with pytest.raises(KeyboardInterrupt):
            again.run()
        again.run()
        assert again.is_whole(), f"request {number}"


def test_an_answer_that_is_lost_is_asked_for_again(training: Training, tmp_path: Path) -> None:
    for number, again in repeatedly(training, tmp_path):
        again.server.hook = unanswered(number, lambda: None)
        again.run()
        assert again.is_whole(), f"request {number}"


@pytest.mark.parametrize(("request_", "nth", "moment"), [
    ("POST /files", 0, "before"), ("POST /files", 1, "after"), (JOBS, 0, "after"),
    ("GET /fine_tuning/jobs/ftjob-0", 4, "after")])
def test_kill_9_sends_nothing_twice(training: Training, request_: str, nth: int, moment: str) -> None:
    job = training.folder / "job.json"
    job.write_text(json.dumps(training.values()), encoding="utf-8")
    started = threading.Event()
    processes: list[subprocess.Popen[bytes]] = []

    def kill(number: int, then: str) -> None:
        requests = training.server.requests
        if then == moment and requests[number] == request_ and requests[: number + 1].count(request_) == nth + 1:
            started.wait(10)
            processes[0].kill()
            processes[0].wait()
            raise ConnectionAbortedError

    training.server.hook = kill
    processes.append(subprocess.Popen([sys.executable, "-m", "fireact.train.hosted", str(job)], cwd=ROOT,
                                      stdout=subprocess.DEVNULL))
    started.set()
    assert processes[0].wait(30) == -signal.SIGKILL
    assert not (training.folder / "done.json").exists()
    training.server.hook = FineTuner().hook
    training.run()
    assert training.is_whole()


def test_the_process_says_how_to_go_on(training: Training) -> None:
    training.server.states = ("running",)
    job = training.folder / "job.json"
    job.write_text(json.dumps(training.values()), encoding="utf-8")
    process = subprocess.Popen([sys.executable, "-u", "-m", "fireact.train.hosted", str(job)], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if "Still at it" in line:
            process.send_signal(signal.SIGINT)
            break
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == (f"\nthe job ftjob-0 goes on at {training.server.url}; start the same command again to wait for it, "
                    "or with train.cancel=true to cancel it\n")


def test_a_job_that_may_have_been_made_is_told(training: Training, capsys: pytest.CaptureFixture[str]) -> None:
    training.server.hook = lambda number, moment: (
        interrupt() if (training.server.requests[number], moment) == (JOBS, "after") else None)
    with pytest.raises(KeyboardInterrupt):
        training.run()
    assert capsys.readouterr().err.startswith(f"\na job may have been started at {training.server.url}; start the same")


def test_an_endpoint_without_metadata_makes_no_second_job_either(training: Training) -> None:
    training.server.keeps_metadata = False
    training.server.hook = lambda number, moment: (
        interrupt() if (training.server.requests[number], moment) == (JOBS, "after") else None)
    with pytest.raises(KeyboardInterrupt):
        training.run()
    training.server.hook = FineTuner().hook
    training.run()
    assert training.is_whole()


@pytest.mark.parametrize("keeps_metadata", [True, False])
def test_other_options_are_another_job_with_the_same_files(training: Training, keeps_metadata: bool) -> None:
    training.server.keeps_metadata = keeps_metadata
    training.run()
    other = elsewhere(training, epochs=4)
    other.run()
    assert (len(training.server.files), len(training.server.jobs)) == (2, 2)
    assert other.read("model/model.json")["job"] == "ftjob-1"


def test_the_same_training_from_another_store_is_found(training: Training) -> None:
    """Poll, price and name make no other job; nor does a folder that was deleted."""
    training.run()
    other = elsewhere(training, suffix="x", price=1.0, poll=0.002)
    other.run()
    assert other.is_whole()
    assert other.read("model/model.json")["cost"] == pytest.approx(4321 / 1e6)


def test_a_file_deleted_at_the_endpoint_is_sent_again(training: Training) -> None:
    training.server.refusals[JOBS] = [fault(400, "not today")]
    refusal(training, ProviderError)
    training.server.files.clear()
    training.run()
    assert [file["id"] for file in training.server.files] == ["file-0", "file-1"]
    assert training.server.count("POST /files") == 4


def test_a_folder_belongs_to_one_training(training: Training) -> None:
    training.server.refusals["GET /fine_tuning/jobs/ftjob-0"] = [fault(400, "no")]
    refusal(training, ProviderError)
    said = refusal(training, DataError, epochs=5)
    assert "hosted.json is about the job ftjob-0, of other data, model or options; give this training another" in said
