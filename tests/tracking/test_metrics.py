"""The metrics files, which are always there."""

import json
from pathlib import Path
from typing import Any

import pytest

from fireact.tracking import (
    METRICS,
    Tracker,
    append_metrics,
    clock,
    flatten,
    last_seconds,
    seconds_per_episode,
)
from fireact.train import checkpoint
from fireact.types import Completion, Question, Score, Step, StopReason, Trajectory


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def record(em: float = 1.0, stop: StopReason = StopReason.FINISHED, error: str | None = None) -> Trajectory:
    step = Step("ask", "Action: finish[x]", form="react", completion=Completion("x", completion_tokens=5))
    return Trajectory("q", Question("q", "Q?", ("x",)), "react", (step,), "x", stop, Score(em, em), error)


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
