"""A run's or sweep's folder is read whole, and what is damaged costs no more than itself."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.sweep import DATASET, cell, make, row
from fireact.errors import ConfigError, NewerVersion
from fireact.study.read import read, read_runs

AXES = {"strategy": ("react", "cot"), "seed": ("0", "1")}


def better(choices: Any, guise: str, number: int) -> bool:
    """Fine-tuned is right on the first 6 of 10, prompted on the first 2; cot on one more."""
    return number < (6 if guise == "finetuned" else 2) + (choices.get("strategy") == "cot")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two strategies with two seeds each."""
    return make(tmp_path / "sweep", AXES, 10, better)


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_sweep_is_its_cells_questions_and_series(sweep: Path) -> None:
    study = read(sweep)
    assert study.name == "made"
    assert study.axes == {axis: list(values) for axis, values in AXES.items()}
    assert [dict(each.choices) for each in study.cells][1] == {"strategy": "react", "seed": "1"}
    assert len(study.questions[DATASET]) == 10
    assert study.questions[DATASET][4].hops == 2
    assert len(study.series) == 8
    assert study.series[1].guise == "finetuned"
    assert study.series[1].values["em"].tolist() == [1] * 6 + [0] * 4
    assert study.series[1].failure[:7] == [""] * 6 + ["reasoning"]
    assert study.series[1].answer[0] == "city 0"
    assert study.skipped == ()
    assert all(each.error is None for each in study.cells)


def test_a_run_is_a_study_of_one_cell(sweep: Path) -> None:
    study = read(sweep / "2")
    assert study.axes == {}
    assert [each.choices for each in study.cells] == [{}]
    assert len(study.series) == 2


def test_axes_of_a_sweep_that_noted_none_are_what_the_configurations_differ_in(tmp_path: Path) -> None:
    for number, (name, rounds, rank) in enumerate([("react.React", 7, 8), ("cot.CoT", 1, 8), ("react.React", 7, 16),
                                                   ("cot.CoT", 1, 16)]):
        folder = cell(tmp_path / str(number), {}, 3, better)
        (folder / "config.yaml").write_text(
            f"seed: 0\nworker: {number}\nstrategy: {{_target_: fireact.strategy.{name}, rounds: {rounds}}}\n"
            f"train: {{rank: {rank}, alpha: {2 * rank}, targets: [a, b]}}\nwandb: {{tags: [{number}]}}\n")
    (tmp_path / "10").mkdir()
    study = read(tmp_path)
    assert study.axes == {"strategy": ["react", "cot"], "train.rank": ["8", "16"]}
    assert [dict(each.choices) for each in study.cells] == [
        {"strategy": "react", "train.rank": "8"}, {"strategy": "cot", "train.rank": "8"},
        {"strategy": "react", "train.rank": "16"}, {"strategy": "cot", "train.rank": "16"}]


def test_older_rows_that_lack_what_came_later_are_read(tmp_path: Path) -> None:
    folder = cell(tmp_path / "run", {}, 2, better)
    rows = [row({}, "finetuned", number, False) for number in range(2)]
    old = [{name: value for name, value in each.items()
            if name not in ("fault", "attempt", "hops", "failure", "seen", "cost", "cached_tokens")} for each in rows]
    (folder / "results.jsonl").write_text("".join(json.dumps(each) + "\n" for each in old))
    [series] = read(folder).series
    assert series.failure == ["", ""]
    assert series.attempt.tolist() == [0, 0]
    assert series.fault == ""
    assert np.isnan(series.values["cost"]).all()
    assert read(folder).questions[DATASET][0].hops is None


@pytest.mark.parametrize(("line", "why"), [
    (b"{not json}", "no JSON"),
    (b"[1]", "no object"),
    (b'{"dataset": "factbook"}', "guise is None, expected a text"),
    (b"\xff\xfe\xfa", "no JSON"),
    (b"[" * 100_000, "no JSON"),
    (json.dumps({**row({}, "finetuned", 0, True), "em": "1"}).encode(), "em is '1', expected a number from 0"),
    (json.dumps({**row({}, "finetuned", 0, True), "em": float("nan")}).encode(), "em is nan"),
    (json.dumps({**row({}, "finetuned", 0, True), "f1": 7}).encode(), "f1 is 7, expected a number from 0 to 1"),
    (json.dumps({**row({}, "finetuned", 0, True), "seconds": -1}).encode(), "seconds is -1"),
    (json.dumps({**row({}, "finetuned", 0, True), "attempt": "x"}).encode(), "attempt is 'x'"),
    (json.dumps({**row({}, "finetuned", 0, True), "answer": ["x"]}).encode(), "answer is ['x']"),
    (json.dumps(row({}, "finetuned", 0, True)).encode(), "attempt 0 at the question 'q0' was there before"),
])
def test_a_damaged_row_is_skipped_by_name_and_all_others_count(tmp_path: Path, line: bytes, why: str) -> None:
    folder = cell(tmp_path / "run", {}, 3, better, guises=["finetuned"])
    path = folder / "results.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole[:2], line + b"\n", *whole[2:]]))
    study = read(folder)
    assert study.series[0].values["em"].tolist() == [1, 1, 1]
    [sentence] = study.skipped
    assert sentence.startswith(f"{path}:3: {why}")


def test_half_a_last_line_is_passed_over(tmp_path: Path) -> None:
    folder = cell(tmp_path / "run", {}, 3, better, guises=["finetuned"])
    path = folder / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    study = read(folder)
    assert len(study.series[0].question) == 2
    assert study.skipped == ()


def test_cells_that_failed_or_were_never_run_are_there_with_their_error(sweep: Path) -> None:
    change(sweep / "0" / "manifest.json", state="failed", error="out of memory\nTraceback")
    (sweep / "0" / "results.jsonl").unlink()
    change(sweep / "1" / "manifest.json", state="running")
    shutil.rmtree(sweep / "2")
    (sweep / "3" / "metrics.json").write_text("{")
    change(sweep / "3" / "manifest.json", state=None)
    study = read(sweep)
    assert [each.error for each in study.cells] == [
        "out of memory", "it has not ended: it is running still, or was killed", "it was not run",
        "its metrics.json cannot be read"]
    assert {part.cell for part in study.series} == {1, 3}
    [sentence] = study.skipped
    assert sentence.startswith(f"{sweep / '3' / 'metrics.json'}: it cannot be read")


def test_why_a_cell_never_began_is_what_the_sweep_noted(sweep: Path) -> None:
    shutil.rmtree(sweep / "2")
    noted = json.loads((sweep / "sweep.json").read_text())
    noted["cells"][2]["error"] = "strategy.rounds=0 does not fit"
    (sweep / "sweep.json").write_text(json.dumps(noted))
    assert read(sweep).cells[2].error == "strategy.rounds=0 does not fit"


@pytest.mark.parametrize("name", ["manifest.json", "metrics.json"])
def test_results_of_a_newer_version_are_refused(sweep: Path, name: str) -> None:
    change(sweep / "1" / name, version=99)
    with pytest.raises(NewerVersion, match=rf"1/{name}: a newer FireAct wrote .*version 99.*update FireAct"):
        read(sweep)


def test_a_run_notes_the_version_of_its_results(sweep: Path) -> None:
    from fireact.types import RUN_VERSION

    change(sweep / "1" / "manifest.json", version=RUN_VERSION)
    assert len(read(sweep).cells) == 4


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, sweep: Path) -> None:
    with pytest.raises(ConfigError, match="is no run directory and holds none"):
        read(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is a sweep's folder; name one of its cells"):
        read_runs([sweep])


def test_questions_with_the_same_id_and_other_texts_are_not_the_same(tmp_path: Path) -> None:
    folders = [cell(tmp_path / name, {}, 1, better, guises=["finetuned"]) for name in "ab"]
    path = folders[1] / "results.jsonl"
    path.write_text(path.read_text().replace("river number 0", "lake number 0"))
    assert [part.question.tolist() for part in read_runs(folders).series] == [[0], [1]]
