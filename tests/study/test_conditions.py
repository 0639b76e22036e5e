"""Conditions are what differs in more than the seed, and no two are called alike."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bench.sweep import make
from fireact.study.conditions import conditions
from fireact.study.read import read


def wrong(choices: Any, guise: str, number: int) -> bool:
    return False


def share(folder: Path, label: str, numbers: range, key: str) -> None:
    """Let cells share the episodes of an evaluation, as their manifests tell."""
    for number in numbers:
        path = folder / str(number) / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["stages"][f"evaluate/{label}"]["key"] = key
        path.write_text(json.dumps(manifest))


def test_seeds_are_measurements_of_one_condition(tmp_path: Path) -> None:
    study = read(make(tmp_path / "s", {"strategy": ("react", "cot"), "seed": ("0", "1", "2")}, 2, wrong))
    found = {each.label: len(each.series) for each in conditions(study)}
    assert found == {"react, prompted": 3, "react, fine-tuned": 3, "cot, prompted": 3, "cot, fine-tuned": 3}


def test_numbers_are_called_with_their_axis_and_values_that_two_axes_have_too(tmp_path: Path) -> None:
    axes = {"model": ("a", "b"), "teacher": ("a", "c"), "train.rank": ("8", "16"), "flag": ("true", "false")}
    labels = [each.label for each in conditions(read(make(tmp_path / "s", axes, 1, wrong, guises=["finetuned"])))]
    assert labels[0] == "model=a, teacher=a, rank=8, flag=true"
    assert labels[-1] == "b, c, rank=16, flag=false"


def test_a_single_run_is_called_by_its_guises(tmp_path: Path) -> None:
    study = read(make(tmp_path / "s", {}, 1, wrong) / "0")
    assert [each.label for each in conditions(study)] == ["prompted", "fine-tuned"]


def test_a_prompted_student_whose_episodes_cells_share_is_one_condition(tmp_path: Path) -> None:
    folder = make(tmp_path / "s", {"strategy": ("react", "cot"), "curate.n": ("100", "500")}, 2, wrong)
    share(folder, "factbook/prompted", range(0, 2), "one")
    share(folder, "factbook/prompted", range(2, 4), "other")
    found = [(each.label, dict(each.choices), len(each.series)) for each in conditions(read(folder))
             if each.guise == "prompted"]
    assert found == [("react, prompted", {"strategy": "react"}, 1), ("cot, prompted", {"strategy": "cot"}, 1)]


def test_seeds_that_share_their_episodes_count_once(tmp_path: Path) -> None:
    folder = make(tmp_path / "s", {"seed": ("0", "1")}, 2, wrong)
    share(folder, "factbook/prompted", range(0, 2), "one")
    assert [len(each.series) for each in conditions(read(folder))] == [1, 2]


@given(st.dictionaries(st.sampled_from(["strategy", "train.rank", "curate.rank", "model"]),
                       st.lists(st.sampled_from(["a", "b", "1", "2", "true", "a, b", "x=1"]), min_size=1, max_size=3,
                                unique=True), max_size=3))
def test_no_two_conditions_are_called_alike(axes: dict[str, list[str]]) -> None:
    from dataclasses import replace
    from itertools import product

    import numpy as np

    from fireact.study.types import Asked, Cell, Series, Study

    cells = [Cell(number, Path("x"), dict(zip(axes, values, strict=True)), {}, {}, {})
             for number, values in enumerate(product(*axes.values()))]
    one = Series(0, "d", "finetuned", "", "react", np.zeros(1, int), np.zeros(1, int), {"em": np.ones(1)}, ["finished"],
                 [""], ["a"])
    series = [replace(one, cell=number, guise=guise, fault=fault) for number in range(len(cells))
              for guise, fault in (("prompted", ""), ("finetuned", ""), ("finetuned", "none"))]
    study = Study(Path("x"), "x", axes, cells, {"d": [Asked("q", "?", "a", "", None)]}, series)
    labels = [each.label for each in conditions(study)]
    assert len(set(labels)) == len(labels) == len(series)
