"""Metrics: the files that are always there, and W&B where it is wanted."""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import ConfigError
from fireact.sections import Wandb
from fireact.tracking import (
    METRICS,
    Tracker,
    append_metrics,
    clock,
    flatten,
    last_seconds,
    open_tracker,
    seconds_per_episode,
)
from fireact.train import checkpoint
from fireact.types import Completion, Question, Score, Step, StopReason, Trajectory


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def settled(path: Path) -> bytes:
    """A file's content once it no longer grows: W&B's service may write the last of it after `finish`."""
    size, end = -1, time.monotonic() + 5
    while time.monotonic() < end and (path.stat().st_size != size or size < 100):
        size = path.stat().st_size
        time.sleep(0.1)
    return path.read_bytes()


def record(em: float = 1.0, stop: StopReason = StopReason.FINISHED, error: str | None = None) -> Trajectory:
    step = Step("ask", "Action: finish[x]", form="react", completion=Completion("x", completion_tokens=5))
    return Trajectory("q", Question("q", "Q?", ("x",)), "react", (step,), "x", stop, Score(em, em), error)


@pytest.fixture
def no_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, and no file outside the test's folder."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb-home"))


def test_metrics_are_written_without_wandb(tmp_path: Path, no_wandb: None) -> None:
    tracker = open_tracker(tmp_path, Wandb(mode="disabled"), {}, "x")
    tracker.log("train", {"step": 1, "loss": 0.5})
    tracker.log("train", {"step": 2, "loss": 0.25})
    tracker.finish({"em": 1}, [], None)
    tracker.close()
    assert lines(tmp_path) == [{"stage": "train", "step": 1, "loss": 0.5}, {"stage": "train", "step": 2, "loss": 0.25}]
    assert [path.name for path in tmp_path.iterdir()] == [METRICS]


def test_only_whole_lines_are_taken_over_and_each_once(tmp_path: Path) -> None:
    run_dir, stage = tmp_path / "run", tmp_path / "stage.jsonl"
    run_dir.mkdir()
    tracker = Tracker(run_dir)
    tracker.forward("train", stage)
    assert not (run_dir / METRICS).exists()
    stage.write_text('{"step": 1}\n{"step": 2}\n{"st')
    tracker.forward("train", stage)
    assert [line["step"] for line in lines(run_dir)] == [1, 2]
    with stage.open("a") as file:
        file.write('ep": 3, "note": "é"}\n')
    tracker.forward("train", stage)
    tracker.forward("train", stage)
    append_metrics(stage, {"step": 4})
    tracker.forward("train", stage)
    assert [line["step"] for line in lines(run_dir)] == [1, 2, 3, 4]
    assert all(line["stage"] == "train" for line in lines(run_dir))


@pytest.mark.parametrize("between", [0, 1, 2, 4])
def test_a_training_that_goes_on_steps_again_and_each_step_is_sent_once(tmp_path: Path, between: int) -> None:
    """`between` lines are written after the rewind before the parent looks again: the file is shorter or longer."""
    run_dir, stage = tmp_path / "run", tmp_path / "stage.jsonl"
    run_dir.mkdir()
    tracker = Tracker(run_dir)

    def train(first: int, last: int, seconds: float) -> None:
        for step in range(first, last + 1):
            checkpoint.append(stage, {"step": step, "loss": 1 / step, "seconds": step + seconds})
        tracker.forward("train", stage)

    train(1, 3, seconds=0)
    checkpoint.rewind(stage, 1)
    train(2, 1 + between, seconds=0.25)
    train(2 + between, 6, seconds=0.25)
    checkpoint.append(stage, {"step": 6, "validation_loss": 0.5})
    tracker.forward("train", stage)
    tracker.forward("train", stage)
    expected = [*((step, "loss") for step in range(1, 7)), (6, "validation_loss")]
    assert [(line["step"], list(line)[2]) for line in lines(run_dir)] == expected


def test_what_a_kill_left_of_a_line_is_passed_over(tmp_path: Path) -> None:
    stage, run_dir = tmp_path / METRICS, tmp_path / "run"
    run_dir.mkdir()
    whole = json.dumps({"new": 4, "seconds": 8.0})
    stage.write_bytes(b'{"new": 9, "sec' + whole.encode() + b'\n\xff\x00\n12\n\n' + whole.encode() + b'\n{"new": 7')
    Tracker(run_dir).forward("generate", stage)
    assert [line["new"] for line in lines(run_dir)] == [4]
    assert seconds_per_episode(tmp_path) == 2.0


def test_a_line_is_never_written_behind_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / METRICS
    path.write_text('{"new": 1, "seconds": 3.0}\n{"new": 2, "sec')
    append_metrics(path, {"new": 3, "seconds": 9.0})
    append_metrics(path, {"new": 4, "seconds": 12.0})
    assert path.read_text().splitlines()[2:] == ['{"new": 3, "seconds": 9.0}', '{"new": 4, "seconds": 12.0}']
    assert seconds_per_episode(tmp_path) == 3.0


def test_two_stages_are_read_apart(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    for name in ("a", "b"):
        append_metrics(tmp_path / f"{name}.jsonl", {"from": name})
        tracker.forward(name, tmp_path / f"{name}.jsonl")
    assert lines(tmp_path) == [{"stage": "a", "from": "a"}, {"stage": "b", "from": "b"}]


def test_online_needs_a_key(tmp_path: Path, no_wandb: None) -> None:
    with pytest.raises(ConfigError, match=r"wandb\.mode=online needs the environment variable WANDB_API_KEY; set it"):
        open_tracker(tmp_path, Wandb(mode="online"), {}, "x")


def test_without_the_package_auto_goes_on_and_offline_is_refused(tmp_path: Path, no_wandb: None,
                                                                 monkeypatch: pytest.MonkeyPatch,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert open_tracker(tmp_path, Wandb(), {}, "x").wandb_run is None
    assert "W&B is not installed" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"wandb\.mode=offline needs W&B: pip install wandb, or set"):
        open_tracker(tmp_path, Wandb(mode="offline"), {}, "x")


def test_an_offline_run_has_it_all(tmp_path: Path, no_wandb: None, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a key `auto` is offline: real W&B, which asks nothing and needs no network."""
    pytest.importorskip("wandb", reason="W&B is not installed")
    tracker = open_tracker(tmp_path, Wandb(tags=["t"]), {"seed": 0, "model": {"name": "m"}}, "mine")
    assert tracker.wandb_run.settings.mode == "offline"
    tracker.log("train", {"loss": 0.25})
    rows = [{"id": "q1", "em": 1, "answer": None}, {"id": "q2", "em": 0.5, "answer": "x"}]
    tracker.finish({"evaluate": {"factbook": {"em": 0.5}}}, rows, tmp_path / "adapter")
    assert tracker.wandb_run is None
    tracker.close()
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (synced,) = folder.glob("*.wandb")
    kept = settled(synced)
    for name, value in (("evaluate/factbook/em", "0.5"), ("adapter", json.dumps(str(tmp_path / "adapter"))),
                        ("train/loss", "0.25"), ("results", "table-file")):
        assert re.search(name.encode() + b".{0,80}" + re.escape(value.encode()), kept, re.DOTALL), name
    assert len(list(folder.rglob("results*.table.json"))) == 1
    assert capfd.readouterr().out == ""
    assert lines(tmp_path) == [{"stage": "train", "loss": 0.25}]


def test_flatten() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": [1]}, "e": None}) == {"a/b/c": 1, "a/d": [1], "e": None}


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 59.9, 61, 3600)] == ["0:00", "0:59", "1:01", "60:00"]


def test_seconds_an_episode_add_up_over_the_processes_that_played(tmp_path: Path) -> None:
    assert seconds_per_episode(tmp_path) is None
    for new, seconds in ((4, 8.0), (10, 20.0), (3, 2.0), (5, 10.0)):
        append_metrics(tmp_path / METRICS, {"new": new, "seconds": seconds})
    assert seconds_per_episode(tmp_path) == (20 + 10) / (10 + 5)


def test_workers_of_one_job_are_told_apart(tmp_path: Path) -> None:
    job, run_dir = tmp_path / METRICS, tmp_path / "run"
    for worker, new, seconds in (("a", 1, 2.0), ("b", 5, 8.0), ("a", 4, 6.0), ("b", 7, 14.0), ("a", 6, 12.0)):
        append_metrics(job, {"worker": worker, "new": new, "seconds": seconds})
    assert seconds_per_episode(tmp_path) == (12 + 14) / (6 + 7)
    assert (last_seconds(tmp_path, "a"), last_seconds(tmp_path, "c")) == (12.0, 0.0)
    run_dir.mkdir()
    Tracker(run_dir, worker="b").forward("generate", job)
    assert [line["new"] for line in lines(run_dir)] == [5, 7]
