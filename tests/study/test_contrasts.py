"""Planned contrasts are the main effects on shared questions, corrected over the whole study."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy.stats import binomtest

from bench.sweep import cell, make, row
from fireact.errors import ConfigError
from fireact.schema import validate
from fireact.sections import Report
from fireact.study.contrasts import planned
from fireact.study.pairs import complaints, pairs
from fireact.study.read import read
from tests.study.test_conditions import share


def right(choices: Any, guise: str, number: int) -> bool:
    """Of 20 questions prompted is right on the first 2, react on the first 5, cot on the first 15."""
    return number < (2 if guise == "prompted" else 15 if choices.get("strategy") == "cot" else 5)


def test_a_single_axis_is_contrasted_by_exact_mcnemar_against_its_first_value(tmp_path: Path) -> None:
    study = read(make(tmp_path / "s", {"strategy": ("react", "cot", "direct")}, 20, right, guises=["finetuned"]))
    cot, direct = planned(study)
    assert cot.label == "strategy: cot against react"
    assert (cot.first, cot.second) == ("react", "cot")
    assert (cot.contrast.n, cot.contrast.better, cot.contrast.worse) == (20, 10, 0)
    assert cot.contrast.value == 0.5
    assert cot.contrast.test == "exact McNemar"
    assert cot.contrast.p == pytest.approx(binomtest(0, 10).pvalue)
    # By Holm the smaller of two is doubled.
    assert cot.adjusted_p == pytest.approx(2 * binomtest(0, 10).pvalue)
    assert cot.verdict.startswith("cot is better than react: +50.0 points of EM")
    assert direct.contrast.value == 0
    assert direct.verdict.startswith("direct and react are not distinguishable")


def test_an_effect_is_averaged_over_the_other_axes_where_both_sides_were_measured(tmp_path: Path) -> None:
    folder = make(tmp_path / "s", {"strategy": ("react", "cot"), "train.rank": ("8", "16"), "seed": ("0", "1")}, 20,
                  lambda choices, guise, number: right(choices, guise, number) and (choices["train.rank"] == "8"
                                                                                    or number % 2 == 0))
    study = read(folder)
    labels = {one.label: one for one in planned(study)}
    assert list(labels) == ["strategy: cot against react", "train.rank: 16 against 8", "fine-tuned against prompted"]
    # Rank 8: cot is right on 10 more; rank 16: on the even ones of these, 5 more: on average 7.5 of 20.
    assert labels["strategy: cot against react"].contrast.value == pytest.approx(7.5 / 20)
    # react loses 2 of its 5 at rank 16, the odd ones, cot 7 of its 15: on average 4.5 of 20.
    assert labels["train.rank: 16 against 8"].contrast.value == pytest.approx(-4.5 / 20)
    # Without cot at rank 16, only rank 8 has both strategies.
    for number in (6, 7):
        shutil.rmtree(folder / str(number))
    labels = {one.label: one for one in planned(read(folder))}
    assert labels["strategy: cot against react"].contrast.value == pytest.approx(10 / 20)
    assert labels["strategy: cot against react"].contrast.test == "exact McNemar"


def test_questions_that_one_side_lacks_are_left_out(tmp_path: Path) -> None:
    folder = make(tmp_path / "s", {"strategy": ("react", "cot")}, 20, right, guises=["finetuned"])
    path = folder / "1" / "results.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:12]))
    [one] = planned(read(folder))
    assert one.contrast.n == 12
    assert one.contrast.value == pytest.approx(7 / 12)


def test_what_has_no_episodes_yet_counts_in_the_family(tmp_path: Path) -> None:
    folder = make(tmp_path / "s", {"strategy": ("react", "cot", "direct")}, 20, right, guises=["finetuned"])
    shutil.rmtree(folder / "2")
    [cot] = planned(read(folder))
    assert cot.contrast.family == 2
    assert cot.adjusted_p == pytest.approx(2 * cot.contrast.p)


def test_the_same_episodes_are_no_contrast(tmp_path: Path) -> None:
    folder = make(tmp_path / "s", {"curate.n": ("100", "500")}, 20, right, guises=["prompted"])
    share(folder, "factbook/prompted", range(2), "one")
    assert planned(read(folder)) == []


def test_a_run_contrasts_its_two_students(tmp_path: Path) -> None:
    [one] = planned(read(cell(tmp_path / "run", {}, 20, right)))
    assert one.label == "fine-tuned against prompted"
    assert one.adjusted_p == one.contrast.p
    assert one.verdict.startswith("Fine-tuned and prompted are not distinguishable: +15.0 points of EM")


def test_a_recipe_names_its_own_contrasts(tmp_path: Path) -> None:
    folder = make(tmp_path / "s", {"strategy": ("react", "cot", "direct"), "train.rank": ("8", "16")}, 20, right)
    own = [{"axis": "strategy", "first": "direct", "second": "cot"},
           {"axis": "train.rank", "first": 8, "second": 16, "guise": "prompted"},
           {"axis": "student", "first": "prompted", "second": "finetuned"},
           {"axis": "strateg", "first": "react", "second": "cot"}]
    path = folder / "0" / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "report": {"contrasts": own}}))
    assert [one.label for one in planned(read(folder))] == [
        "strategy: cot against direct", "train.rank: 16 against 8 (prompted)", "fine-tuned against prompted"]


AXES, BOTH = {"strategy": ["react", "cot"]}, ("prompted", "finetuned")
COT = {"axis": "strategy", "first": "react", "second": "cot"}
STUDENT = {"axis": "student", "first": "prompted", "second": "finetuned"}


@pytest.mark.parametrize(("wanted", "guises", "sentence"), [
    ([COT, STUDENT], BOTH, None),
    ([{**COT, "axis": "strateg"}], BOTH, "'strateg', which is no axis that the sweep compares (did you mean strat"),
    ([{**COT, "first": "reakt"}], BOTH, "strategy=reakt, which the sweep does not have (did you mean react?)"),
    (["strategy"], BOTH, "expected e.g. {axis: strategy"),
    ([{"axis": "seed", "first": "0", "second": "1"}], BOTH, "'seed', along which a measurement is repeated"),
    ([STUDENT], ("finetuned",), "about the prompted student, which is not evaluated; set evaluate.prompted=true"),
    ([{**COT, "guise": "prompted"}], ("finetuned",), "about the prompted student, which is not evaluated"),
    ([COT, COT], BOTH, "twice; name it once"),
])
def test_a_contrast_that_cannot_be_made_is_said(wanted: list, guises: tuple, sentence: str | None) -> None:
    said = complaints(wanted, AXES, guises)
    assert not said if sentence is None else [sentence in each for each in said] == [True]


def test_the_planned_contrasts_are_one_family_over_all_datasets() -> None:
    guises = {"a": BOTH, "b": ("finetuned",)}
    family = pairs(AXES, guises)
    assert [(pair.dataset, pair.axis, pair.first, pair.second, pair.guise) for pair in family] == [
        ("a", "strategy", "react", "cot", "finetuned"), ("a", "student", "prompted", "finetuned", ""),
        ("b", "strategy", "react", "cot", "finetuned")]
    assert len(pairs(AXES, guises, [COT, COT])) == 2


def test_a_contrast_of_a_value_with_itself_is_refused_by_the_schema() -> None:
    assert validate(Report, {"contrasts": [{"axis": "a", "first": 8, "second": 16}]}).contrasts[0].first == "8"
    with pytest.raises(ConfigError, match="guise=prompted has no meaning"):
        validate(Report, {"contrasts": [{"axis": "student", "first": "prompted", "second": "finetuned",
                                         "guise": "prompted"}]})
    with pytest.raises(ConfigError, match="a contrast needs two values of a, got 8 twice"):
        validate(Report, {"contrasts": [{"axis": "a", "first": 8, "second": "8"}]})


def test_faulty_tools_are_not_among_the_contrasts(tmp_path: Path) -> None:
    folder = cell(tmp_path / "run", {}, 0, right, guises=[])
    rows = [{**row({}, guise, number, True), "fault": "none"} for guise in ("prompted", "finetuned")
            for number in range(3)]
    (folder / "results.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    assert planned(read(folder)) == []
