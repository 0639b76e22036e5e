"""Grids, learning curves, complements, training curves, and what the terminal says of them, against counts by hand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.sweep import cell, make
from fireact.report.study import TOP, parts
from fireact.study.complement import complements
from fireact.study.curves import learning_curves
from fireact.study.grid import grids
from fireact.study.read import read
from fireact.study.training import training_curves
from tests.study.test_conditions import share, wrong


def by_size(choices: Any, guise: str, number: int) -> bool:
    """Of 10 questions as many as hundreds of trajectories, one less with the second seed, are right."""
    return number < int(choices["curate.n"]) // 100 - int(choices.get("seed", "0"))


def test_a_grid_is_the_mean_over_all_other_axes(tmp_path: Path) -> None:
    axes = {"strategy": ("react", "cot"), "curate.n": ("100", "300"), "seed": ("0", "1")}
    folder = make(tmp_path / "s", axes, 10, by_size, guises=["finetuned"])
    [grid] = grids(read(folder))
    assert grid.rows == ("strategy", ["react", "cot"])
    assert grid.columns == ("curate.n", ["100", "300"])
    assert [[value.value for value in row if value] for row in grid.values] == [[0.05, 0.25], [0.05, 0.25]]
    shutil.rmtree(folder / "0")
    shutil.rmtree(folder / "1")
    [grid] = grids(read(folder))
    assert grid.values[0][0] is None


def test_a_guise_that_is_the_same_everywhere_has_no_grid(tmp_path: Path) -> None:
    folder = make(tmp_path / "s", {"train.rank": ("8", "16"), "curate.n": ("100", "300")}, 10, by_size)
    share(folder, "factbook/prompted", range(4), "one")
    assert [grid.guise for grid in grids(read(folder))] == ["finetuned"]


def test_a_learning_curve_is_over_what_was_really_trained_on(tmp_path: Path) -> None:
    axes = {"curate.n": ("100", "300", "900"), "seed": ("0", "1")}
    [curve] = learning_curves(read(make(tmp_path / "s", axes, 10, by_size)))
    assert curve.label == "curate.n"
    assert list(curve.sizes) == [84, 284, 884]
    assert [point.value for point in curve.points] == [pytest.approx(0.05), 0.25, 0.85]
    assert [target for target, _ in curve.needed] == [0.5, 0.6, 0.7, 0.8]
    assert curve.needed[0][1].startswith("50.0 points of EM: about ")


def test_all_sizes_of_a_curve_are_judged_on_the_same_questions(tmp_path: Path) -> None:
    folder = make(tmp_path / "s", {"curate.n": ("100", "300")}, 10, by_size, guises=["finetuned"])
    path = folder / "0" / "results.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
    [curve] = learning_curves(read(folder))
    assert [(point.n, point.value) for point in curve.points] == [(5, 0.2), (5, 0.6)]


def test_too_many_curves_become_their_mean(tmp_path: Path) -> None:
    axes = {"curate.n": ("100", "300"), "train.rank": tuple(map(str, range(1, 10)))}
    [curve] = learning_curves(read(make(tmp_path / "s", axes, 10, by_size, guises=["finetuned"])))
    assert curve.label == "curate.n, mean of 9 combinations"
    assert [point.value for point in curve.points] == pytest.approx([0.1, 0.3])


def test_an_oracle_takes_the_best_condition_for_each_question_and_random_their_mean(tmp_path: Path) -> None:
    sets = {"react": {0, 1, 2}, "cot": {2, 3}, "direct": {2}}
    study = read(make(tmp_path / "s", {"strategy": tuple(sets)}, 10,
                      lambda choices, guise, number: number in sets[choices["strategy"]], guises=["finetuned"]))
    [found] = complements(study)
    assert found.oracle.value == 0.4
    assert found.random.value == pytest.approx(0.2)
    assert found.only == {"react": ["q0", "q1"], "cot": ["q3"], "direct": []}
    assert complements(read(tmp_path / "s" / "0")) == []


def test_a_training_that_cells_share_is_one_curve(tmp_path: Path) -> None:
    folder = make(tmp_path / "s", {"train.rank": ("8", "16"), "seed": ("0", "1")}, 1, wrong)
    for number in (2, 3):
        path = folder / str(number) / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["stages"]["train"]["key"] = "shared"
        path.write_text(json.dumps(manifest))
    with (folder / "0" / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "train", "step": 20, "validation_loss": 0.5}\n{"stage": "evaluate", "step": 3}\n'
                   '["train"]\n{"stage": "train", "st')
    first, second, third = training_curves(read(folder))
    assert [each.label for each in (first, second, third)] == ["train.rank=8, seed=0", "train.rank=8, seed=1",
                                                              "train.rank=16"]
    assert list(first.steps) == list(range(1, 21))
    assert first.loss[3] == 0.5
    assert first.validation == [(20, 0.5)]


def test_the_terminal_shows_the_best_the_verdicts_and_what_was_not_read(tmp_path: Path) -> None:
    axes = {"train.rank": tuple(map(str, range(TOP + 2)))}
    folder = make(tmp_path / "s", axes, 10, lambda choices, guise, number: number < 9, guises=["finetuned"])
    shutil.rmtree(folder / "3")
    with (folder / "0" / "results.jsonl").open("a") as file:
        file.write("damaged\n")
    board, more, contrasts, *said = parts(read(folder))
    assert not isinstance(board, str)
    assert len(board.rows) == TOP
    assert more == f"{TOP} of {TOP + 1} conditions; all: python -m fireact.tables {folder}"
    assert not isinstance(contrasts, str)
    assert contrasts.rows[0][0] == "train.rank: 1 against 0"
    assert contrasts.rows[0][-1] == "not distinguishable"
    assert said[0].startswith("train.rank=1 and train.rank=0 are not distinguishable")
    assert f"1 of {TOP + 2} cells have no result, or not all:" in said
    assert "  3 (train.rank=3): it was not run" in said
    assert f"  {folder / '0' / 'results.jsonl'}:11: no JSON (Expecting value: line 1 column 1 (char 0))" in said


def test_the_terminal_has_nothing_to_say_of_a_run_that_evaluated_nothing(tmp_path: Path) -> None:
    assert parts(read(cell(tmp_path / "run", {}, 0, wrong, guises=[]))) == []
