"""Rounds in which the student is its own teacher."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import ConfigError, DataError
from fireact.improve import fallen, need, round_config
from fireact.mixing import counts_beside
from fireact.stages import Stages
from tests.helpers import composed
from tests.test_pipeline import read_json

SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=8)


@given(SCORES, st.integers(1, 3))
def test_it_ends_where_so_many_rounds_in_a_row_were_worse_than_the_best(scores: list[float], patience: int) -> None:
    best = max(scores)
    worse = 0
    for score in reversed(scores):
        if score == best:
            break
        worse += 1
    first = scores.index(best)
    assert fallen(scores, patience) == (worse >= patience and worse == len(scores) - 1 - first)


def test_no_fall_is_no_end() -> None:
    assert not fallen([0.5], 1)
    assert not fallen([0.5, 0.5], 1)
    assert not fallen([0.5, 0.6, 0.7], 1)
    assert fallen([0.5, 0.4], 1)
    assert not fallen([0.5, 0.4], 2)
    assert fallen([0.5, 0.4, 0.3], 2)


def test_of_its_own_there_are_at_most_so_many_for_each_of_the_teachers() -> None:
    cell = ("factbook", "own")
    assert counts_beside({cell: list(range(30))}, {cell: 0.5}, 20) == {cell: 10}
    assert counts_beside({cell: list(range(3))}, {cell: 0.5}, 20) == {cell: 3}
    with pytest.raises(DataError, match=r"own\.n or own\.attempts"):
        counts_beside({cell: []}, {cell: 0.5}, 20)
    assert counts_beside({}, {}, 20) == {}


def test_a_round_plays_with_the_student_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    config = composed("stage=improve", "improve.start=last")
    first, second = Stages(round_config(config, 0, None)), Stages(round_config(config, 1, tmp_path))
    assert set(first.plays) == {"react"}
    assert set(second.plays) == {"react", "factbook/own"}
    assert first.plays["react"].key() == second.plays["react"].key()
    job = second.plays["factbook/own"]
    assert (job.adapter, job.few_shot, job.model["temperature"], job.method) == (tmp_path, False, 0.7, "own")
    assert {judged.split for judged in second.curate.evaluated} == {"validation", "test"}
    assert second.config.train["start_from"] == str(tmp_path)
    assert first.train.key() != second.train.key()


def test_what_cannot_go_in_rounds_is_refused(tmp_path: Path) -> None:
    for wrong, told in ((("inputs.player=/x",), "leave out"), (("dataset=bamboogle",), "split"),
                        (("inputs.curated=/x",), "leave out")):
        with pytest.raises(ConfigError, match=told):
            need(composed("stage=improve", *wrong))
    with pytest.raises(ConfigError, match="leave one of the two out"):
        _ = Stages(composed(f"inputs.player={tmp_path}", f"inputs.trajectories={tmp_path}")).plays
    for wrong in ("improve.rounds=0", "own.ratio=0", "own.attempts=0", "improve.start=first"):
        with pytest.raises(ConfigError, match=wrong.partition("=")[0]):
            composed("stage=improve", wrong)


def _questions(path: Path, numbers: range) -> Path:
    path.write_text("".join(json.dumps({"id": str(number), "question": f"Which letter is number {number}?",
                                        "answer": chr(98 + number % 5)}) + "\n" for number in numbers))
    return path


def _table(tmp_path: Path) -> tuple[str, ...]:
    """Twenty questions that a tiny model can learn by heart, and that the validation asks too."""
    train, test = _questions(tmp_path / "train.jsonl", range(20)), _questions(tmp_path / "test.jsonl", range(20))
    return ("dataset=table", f"dataset.train={train}", f"dataset.validation={test}", f"dataset.test={test}",
            "strategy=direct", "strategy.prompt=factbook", "model@teacher=scripted",
            "teacher.replies=[b]", "generate.n=20", "curate.n=3", "curate.validation=0",
            "curate.filters=[finished,correct]", "evaluate.parity.check=false", "train=full",
            "train.learning_rate=3e-3",
            "train.batch_size=4", "train.epochs=40", "improve.n=20", "evaluate.n=20", "own.n=20", "own.attempts=2")


def test_rounds_side_by_side_then_the_best_on_the_test(run_main, tmp_path: Path, tiny_options: Path) -> None:
    """The teacher says "b" to all, the student learns that, and plays what it is right about."""
    options = ("--config-dir", str(tiny_options), "model=tiny_a", "stage=improve", "improve.rounds=1",
               *_table(tmp_path))
    done = run_main(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "run"
    assert "improve: round 0" in done.stdout
    assert {cell["choices"]["round"] for cell in read_json(run / "sweep.json")["cells"]} == {"0", "1"}
    assert read_json(run / "1" / "metrics.json")["curate"]["own"]["train"] > 0
    assert (run / "report.html").exists()
    assert (run / "test" / "report.html").exists()
    again = run_main(*options)
    assert again.returncode == 0, again.stderr
    for number in (0, 1):
        stages = read_json(run / str(number) / "manifest.json")["stages"]
        assert all(stage["reused"] for stage in stages.values())


def test_where_no_own_episode_passes_the_first_student_is_kept(run_main, tmp_path: Path, tiny_options: Path) -> None:
    done = run_main("--config-dir", str(tiny_options), "model=tiny_a", "stage=improve", "generate.n=12", "curate.n=4",
                    "curate.validation=0", "train.max_steps=1", "improve.n=2", "evaluate.n=2", "own.n=2",
                    "own.attempts=1", "evaluate.parity.check=false")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "round 1 failed: none of the student's own episodes passed" in done.stdout
    assert "round 0 is the best" in done.stdout
    assert (tmp_path / "run" / "test" / "0" / "metrics.json").exists()
