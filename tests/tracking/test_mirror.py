"""W&B as a mirror: what a server on the loopback got from the installed wandb, online and by `wandb sync`."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fireact.errors import ConfigError
from fireact.schema import Config
from fireact.tracking import METRICS as FILE
from fireact.tracking import Tracker, open_tracker
from tests.tracking.conftest import METRICS, ROWS, Sync, child, filled
from tests.tracking.server import KEY, SentRun, Server

Cell = Callable[..., Config]


def steps(run: SentRun, stage: str = "train") -> list[int]:
    """The stage's steps, in the order in which the server has them."""
    return [point[f"{stage}/step"] for point in run.history if f"{stage}/step" in point]


def start(run_dir: Path, config: Config, first: int, last: int) -> Tracker:
    """Start a run whose training has done its steps from `first` to `last`."""
    run_dir.mkdir(parents=True, exist_ok=True)
    tracker = open_tracker(run_dir, config)
    for step in range(first, last + 1):
        tracker.log("train", {"step": step, "loss": 1 / step})
    return tracker


def only(server: Server) -> SentRun:
    """The server's only run."""
    (run,) = server.runs.values()
    return run


KILLED = """
import os, signal, sys, time
from pathlib import Path
from tests.tracking.test_mirror import start
from tests.helpers import composed
folder, mode = Path(sys.argv[1]), sys.argv[2]
start(folder / "killed", composed(f"store={folder}/store", f"wandb.mode={mode}"), 1, 3)
print("started", flush=True)
time.sleep(60)
"""


def written(folder: Path) -> bool:
    """Whether W&B's process has written the last point of a start that is to be killed."""
    return any(b"0.333333" in file.read_bytes() for file in (folder / "store").rglob("*.wandb"))


def kill_one(folder: Path, mode: str, enough: Callable[[], bool]) -> None:
    """Have a process log three steps, and kill it as `kill -9` does once W&B has got as far as `enough` says."""
    process = child(KILLED, folder, mode, WANDB__FILE_STREAM_TRANSMIT_INTERVAL="1")
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n", process.communicate()[1]
    end = time.monotonic() + 30
    while not enough() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_online_a_server_gets_config_curves_tables_and_artifacts_with_their_lineage(
        tmp_path: Path, server: Server, cell: Cell) -> None:
    tracker = start(filled(tmp_path / "run", tmp_path / "store"), cell("seed=3", "wandb.tags=[t]"), 1, 3)
    tracker.log("evaluate/factbook/finetuned", {"worker": "w", "played": 2, "em": 0.5})
    tracker.finish(METRICS, ROWS)
    run = only(server)
    assert (run.project, run.latest("displayName"), run.latest("tags")) == ("fireact", "default", ["t"])
    assert run.config["seed"] == 3
    assert run.config["train"]["_target_"] == "fireact.train.Train"
    assert steps(run) == [1, 2, 3]
    assert [point["_step"] for point in run.history] == [0, 1, 2, 3]
    assert run.history[3]["evaluate/factbook/finetuned/played"] == 2
    assert run.summary["evaluate/factbook/finetuned/em"] == 0.5
    assert run.summary["train/loss"] == 0.25
    assert run.exit_codes == [0]
    axes = [metric.get("1", metric.get("2")) for metric in json.loads(run.latest("config"))["_wandb"]["value"]["m"]]
    assert {"train/*", "train/step", "evaluate/factbook/finetuned/played"} <= set(axes)
    assert_artifacts(server, run)


def assert_artifacts(server: Server, run: SentRun) -> None:
    """All is there, each once, and the lineage: dataset, adapter, evaluation."""
    sent = {artifact.collection: artifact for artifact in server.artifacts}
    dataset, adapter = f"dataset-{'c' * 16}", f"adapter-{'a' * 16}"
    tables = {f"run-{run.id}-episodes", f"run-{run.id}-results"}
    assert set(sent) == {dataset, adapter, f"evaluation-{run.id}", f"report-{run.id}"} | tables
    assert len(sent) == len(server.artifacts)
    assert all(artifact.committed for artifact in server.artifacts)
    assert sorted(run.used) == [f"{adapter}:v0", f"{dataset}:v0"]
    assert {f"{dataset}:v0", f"{adapter}:v0", f"evaluation-{run.id}:v0", f"report-{run.id}:v0"} <= set(run.logged)
    assert set(sent[dataset].files) == {"train.jsonl", "validation.jsonl", "funnel.json"}
    assert sent[adapter].files["adapter_model.safetensors"] == b"w" * 1000
    assert sent[adapter].metadata == {"base": "SmolLM2-135M-Instruct"}
    episodes = json.loads(sent[f"run-{run.id}-episodes"].files["episodes.table.json"])
    assert (episodes["columns"], len(episodes["data"])) == (list(ROWS[0]), 4)
    results = json.loads(sent[f"run-{run.id}-results"].files["results.table.json"])
    assert [row[:5] for row in results["data"]] == [["factbook", "prompted", "", 2, 0.0],
                                                    ["factbook", "finetuned", "", 2, 0.5]]


def test_what_is_recorded_offline_is_synced_later_as_one_run(tmp_path: Path, server: Server, cell: Cell,
                                                             sync: Sync) -> None:
    """Starts of two stages, and one that has nothing new: each forwards all points again."""
    start(tmp_path / "first", cell("wandb.mode=offline", "stage=train"), 1, 3).close(exit_code=1)
    for name in ("second", "third"):
        start(filled(tmp_path / name, tmp_path / "store"), cell("wandb.mode=offline"), 1, 5).finish(METRICS, ROWS)
    assert server.requests == []
    assert (done := sync()).returncode == 0, done.stderr
    run = only(server)
    assert steps(run) == [1, 2, 3, 4, 5]
    assert [point["_step"] for point in run.history] == [0, 1, 2, 3, 4]
    assert run.summary["episodes"]["nrows"] == 4
    assert run.summary["train/step"] == 5
    assert run.config["stage"] == "pipeline"
    assert run.summary["evaluate/factbook/finetuned/em"] == 0.5
    assert_artifacts(server, run)


def test_a_start_that_changes_nothing_sends_nothing_twice(tmp_path: Path, server: Server, cell: Cell) -> None:
    for name in ("first", "second"):
        start(filled(tmp_path / name, tmp_path / "store"), cell(), 1, 3).finish(METRICS, ROWS)
    run = only(server)
    assert steps(run) == [1, 2, 3]
    assert len(run.used) == 2
    assert server.requests.count("CreateArtifact") == 8  # dataset and adapter made and used; two tables; two more
    assert run.exit_codes == [0, 0]
    assert run.summary["episodes"]["nrows"] == 4
    for name in ("first", "second"):
        assert len((tmp_path / name / FILE).read_text().splitlines()) == 3


@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("seen", [False, True])
def test_after_kill_9_each_point_is_there_once(tmp_path: Path, server: Server, cell: Cell, sync: Sync, mode: str,
                                               seen: bool) -> None:
    """Whether or not W&B had got the points before the kill."""
    def enough() -> bool:
        if mode == "online":
            return not seen or (bool(server.runs) and len(only(server).history) == 3)
        return not seen or written(tmp_path)

    kill_one(tmp_path, mode, enough)
    start(tmp_path / "run", cell(f"wandb.mode={mode}"), 1, 5).finish(METRICS, ROWS)
    if mode == "offline":
        assert (done := sync()).returncode == 0, done.stderr
    assert steps(only(server)) == [1, 2, 3, 4, 5]
    assert only(server).exit_codes[-1] == 0


def test_what_was_cut_off_and_then_synced_is_not_sent_again(tmp_path: Path, server: Server, cell: Cell,
                                                            sync: Sync) -> None:
    kill_one(tmp_path, "offline", lambda: written(tmp_path))
    sync()
    start(tmp_path / "run", cell(), 1, 5).finish(METRICS, ROWS)
    assert steps(only(server)) == [1, 2, 3, 4, 5]


def test_cut_off_online_and_then_offline_waits_for_the_server(tmp_path: Path, server: Server, cell: Cell, sync: Sync,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    kill_one(tmp_path, "online", lambda: bool(server.runs) and len(only(server).history) > 0)
    assert start(tmp_path / "second", cell("wandb.mode=offline"), 1, 4).mirror is None
    assert "only its server knows what it got" in capsys.readouterr().err
    server.status = 401
    assert start(tmp_path / "refused", cell(), 1, 4).mirror is None
    assert capsys.readouterr().err.endswith("what it lacks is sent by the next start that reaches it\n")
    server.status = 0
    start(tmp_path / "third", cell(), 1, 5).finish(METRICS, ROWS)
    assert sync().returncode == 0
    assert steps(only(server)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("status", [401, 500])
def test_a_server_that_refuses_or_fails_leaves_the_run_offline(tmp_path: Path, server: Server, cell: Cell, sync: Sync,
                                                               status: int, monkeypatch: pytest.MonkeyPatch,
                                                               capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("fireact.tracking.mirror._REACHED", 2.0)
    server.status, began = status, time.monotonic()
    tracker = start(filled(tmp_path / "run", tmp_path / "store"), cell(), 1, 3)
    tracker.finish(METRICS, ROWS)
    assert time.monotonic() - began < 30
    said = capfd.readouterr()
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    assert lines[0].startswith("W&B cannot be used (")
    assert lines[0].endswith(f"the run goes on offline; send it later with: wandb sync {tmp_path}/store/wandb")
    assert KEY not in said.out + said.err
    assert len((tmp_path / "run" / FILE).read_text().splitlines()) == 3
    server.status = 0
    assert (done := sync()).returncode == 0, done.stderr
    assert steps(only(server)) == [1, 2, 3]
    assert_artifacts(server, only(server))


def test_a_server_that_is_not_there_leaves_the_run_offline(tmp_path: Path, server: Server, cell: Cell,
                                                           monkeypatch: pytest.MonkeyPatch,
                                                           capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("fireact.tracking.mirror._REACHED", 2.0)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    start(tmp_path / "run", cell(), 1, 3).finish(METRICS, ROWS)
    assert time.monotonic() - began < 20
    assert re.fullmatch(r"W&B cannot be used \(.*\); the run goes on offline; send it later with: wandb sync \S+\n",
                        capfd.readouterr().err)


def test_a_key_that_is_none_leaves_the_run_offline(tmp_path: Path, server: Server, cell: Cell,
                                                   monkeypatch: pytest.MonkeyPatch,
                                                   capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret-thing")
    tracker = start(tmp_path / "run", cell(), 1, 3)
    assert tracker.mirror is not None
    assert not tracker.mirror.online
    tracker.finish(METRICS, ROWS)
    said = capfd.readouterr().err
    assert said.startswith("W&B cannot be used (")
    assert len(said.splitlines()) == 1
    assert "secret-thing" not in said


def test_a_server_that_goes_away_costs_seconds_and_gets_the_rest_next_time(tmp_path: Path, server: Server, cell: Cell,
                                                                           monkeypatch: pytest.MonkeyPatch,
                                                                           capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("fireact.tracking.mirror._FINISHED", 2.0)
    tracker = start(filled(tmp_path / "run", tmp_path / "store"), cell(), 1, 3)
    server.status = 503
    tracker.log("train", {"step": 4, "loss": 0.25})
    began = time.monotonic()
    tracker.finish(METRICS, ROWS)
    assert time.monotonic() - began < 10
    said = capfd.readouterr().err.strip().splitlines()
    assert len(said) == 1, said
    assert said[0].startswith("W&B did not take everything (")
    server.status = 0
    start(filled(tmp_path / "again", tmp_path / "store"), cell(), 1, 5).finish(METRICS, ROWS)
    assert steps(only(server)) == [1, 2, 3, 4, 5]
    assert_artifacts(server, only(server))


DIES = """
import os, signal, sys
from pathlib import Path
from psutil import Process
from tests.tracking.conftest import METRICS, ROWS
from tests.tracking.test_mirror import start
from tests.helpers import composed
folder = Path(sys.argv[1])
tracker = start(folder / "run", composed(f"store={folder}/store", "wandb.mode=online"), 1, 3)
(core,) = [process for process in Process().children() if "wandb-core" in process.name()]
core.kill()
core.wait()
tracker.log("train", {"step": 4, "loss": 0.25})
tracker.finish(METRICS, ROWS)
start(folder / "next", composed(f"store={folder}/store", "wandb.mode=online"), 1, 5).finish(METRICS, ROWS)
"""


def test_a_client_that_dies_ends_no_run_and_the_next_one_has_another(tmp_path: Path, server: Server) -> None:
    pytest.importorskip("psutil", reason="psutil is not installed")
    said = child(DIES, tmp_path).communicate()[1].strip().splitlines()
    assert len(said) == 1, said
    assert said[0].startswith("W&B did not take everything (")
    assert len((tmp_path / "run" / FILE).read_text().splitlines()) == 4
    assert steps(only(server)) == [1, 2, 3, 4, 5]


def test_two_processes_do_not_write_into_one_run(tmp_path: Path, server: Server, cell: Cell,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    first = start(tmp_path / "first", cell(), 1, 3)
    assert start(tmp_path / "second", cell(), 1, 3).mirror is None
    assert "another process writes the run" in capsys.readouterr().err
    first.close()
    assert steps(only(server)) == [1, 2, 3]


def test_a_large_adapter_is_named_and_not_sent(tmp_path: Path, server: Server, cell: Cell) -> None:
    start(filled(tmp_path / "run", tmp_path / "store"), cell("wandb.upload_mb=0.0001"), 1, 1).finish(METRICS, ROWS)
    (adapter,) = [artifact for artifact in server.artifacts if artifact.type == "model"]
    folder = (tmp_path / "run" / "adapter").resolve()
    assert {entry["ref"] for entry in adapter.manifest["contents"].values()} == {
        file.as_uri() for file in folder.iterdir()}
    assert adapter.files == {}
    assert f"adapter-{'a' * 16}:v0" in only(server).used


def test_two_cells_of_a_sweep_are_two_runs_that_share_their_adapter(tmp_path: Path, server: Server,
                                                                    cell: Cell) -> None:
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    (sweep / "multirun.yaml").touch()
    (sweep / "sweep.json").write_text(json.dumps({"id": "ab12", "name": "sizes", "axes": {"seed": [0, 1]}, "cells": [
        {"number": number, "choices": {"strategy": "react", "seed": number}, "overrides": []} for number in (0, 1)]}))
    for number in (0, 1):
        run_dir = filled(sweep / str(number), tmp_path / "store")
        start(run_dir, cell(f"seed={number}"), 1, 2).finish(METRICS, ROWS)
    runs = list(server.runs.values())
    assert [run.latest("groupName") for run in runs] == ["sizes-ab12", "sizes-ab12"]
    assert [run.latest("displayName") for run in runs] == ["strategy=react seed=0", "strategy=react seed=1"]
    assert len([artifact for artifact in server.artifacts if artifact.type == "model"]) == 1
    assert all(f"adapter-{'a' * 16}:v0" in run.used for run in runs)


def test_online_needs_a_key(tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"wandb\.mode=online needs the environment variable WANDB_API_KEY; set it"):
        open_tracker(tmp_path, cell())


def test_without_the_package_auto_goes_on_and_offline_is_refused(tmp_path: Path, cell: Cell,
                                                                 monkeypatch: pytest.MonkeyPatch,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert open_tracker(tmp_path, cell("wandb.mode=auto")).mirror is None
    assert "W&B is not installed" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"wandb\.mode=offline needs W&B: pip install wandb, or set"):
        open_tracker(tmp_path, cell("wandb.mode=offline"))


def test_metrics_are_written_without_wandb(tmp_path: Path, cell: Cell) -> None:
    tracker = open_tracker(tmp_path, cell("wandb.mode=disabled"))
    tracker.log("train", {"step": 1, "loss": 0.5})
    tracker.finish(METRICS, ROWS)
    tracker.close()
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_the_key_is_in_no_file(tmp_path: Path, server: Server, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "tok-1234567890")
    config = cell("model@teacher=api", "teacher.model=m", "teacher.base_url=http://127.0.0.1:1/v1",
                  "name=tok-1234567890")
    start(filled(tmp_path / "run", tmp_path / "store"), config, 1, 2).finish(METRICS, ROWS)
    sent = json.dumps(only(server).config)
    assert "teacher" in sent
    assert "tok-1234567890" not in sent
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), file
    assert os.environ["WANDB_API_KEY"] == KEY
