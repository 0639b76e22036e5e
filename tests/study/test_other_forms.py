"""A file of another shape than it should have costs no more than the part that has it, which is named."""

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.sweep import make
from fireact.report import write_html
from fireact.report.study import parts
from fireact.study.leaderboard import leaderboard
from fireact.study.read import read
from fireact.study.shapes import Manifest, Metrics
from tests.report.made import make_run

WRONG = [None, 5, -1.5, "x", [1], {"a": 5}, {}]
FILES = ("1/metrics.json", "1/manifest.json", "0/config.yaml", "sweep.json")


def better(choices: Any, guise: str, number: int) -> bool:
    """cot is right on 5 of 6, react on 1."""
    return number < (5 if choices["strategy"] == "cot" else 1)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two strategies; a cell has the metrics and the manifest of a whole run."""
    folder = make(tmp_path_factory.mktemp("made") / "s", {"strategy": ("react", "cot")}, 6, better)
    run = make_run(folder.parent / "run", 6)
    for name in ("metrics.json", "manifest.json"):
        (folder / "1" / name).write_text((run / name).read_text())
    return folder


@cache
def whole(path: Path) -> tuple[str, Any]:
    text = path.read_text()
    return text, yaml.safe_load(text)


def places(values: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values of a file."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for name, value in items:
        yield (*above, name)
        yield from places(value, (*above, name))


@pytest.mark.parametrize(("name", "values", "place"), [
    ("1/manifest.json", {"stages": None}, "stages is None"),
    ("1/manifest.json", {"stages": {"evaluate/factbook/finetuned": 5}}, "stages.evaluate/factbook/finetuned is 5"),
    ("1/manifest.json", {"state": ["done"]}, "state is ['done']"),
    ("1/metrics.json", {"evaluate": "x"}, "evaluate is 'x'"),
    ("1/metrics.json", {"evaluate": {"factbook": {"faults": {"none": {"prompted": 5}}}}}, "faults.none.prompted is 5"),
    ("1/metrics.json", {"curate": {"react": {"played": "x"}}}, "curate.react.played is 'x'"),
    ("1/metrics.json", {"generate": [1]}, "generate is [1]"),
    ("0/config.yaml", {"report": {"contrasts": 5}}, "report.contrasts is 5"),
    ("sweep.json", {"axes": [1, 2]}, "axes is [1, 2]"),
    ("sweep.json", {"axes": {"a": 5}}, "axes.a is 5"),
    ("sweep.json", {"cells": [{"number": "x"}]}, "cells.0.number is 'x'"),
])
def test_what_has_another_shape_is_named_and_left_out(tmp_path: Path, name: str, values: Any, place: str) -> None:
    folder = make(tmp_path / "s", {"strategy": ("react", "cot")}, 6, better)
    path = folder / name
    path.write_text(json.dumps({**yaml.safe_load(path.read_text()), **values}))
    study = read(folder)
    [sentence] = study.skipped
    assert sentence.startswith(f"{path}: its {next(iter(values))!r} is left out, for ")
    assert place in sentence
    # Cells are not taken for seeds of one condition, whatever is damaged.
    assert [round(6 * leader.em.value) for leader in leaderboard(study)] == [5, 5, 1, 1]
    assert name in write_html(folder).read_text()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_may_be_any_other(sweep: Path, data: st.DataObject) -> None:
    path = sweep / data.draw(st.sampled_from(FILES))
    text, values = whole(path)
    node, where = copy.deepcopy(values), data.draw(st.sampled_from(sorted(places(values), key=str)))
    path.write_text(json.dumps(_put(node, where, data.draw(st.sampled_from(WRONG)))))
    try:
        if where != ("version",):
            assert parts(read(sweep))
            write_html(sweep)
    finally:
        path.write_text(text)


def _put(node: Any, where: tuple[Any, ...], value: Any) -> Any:
    inner = node
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    return node


def test_what_a_run_writes_has_its_shape(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    Metrics.model_validate_json((folder / "metrics.json").read_text())
    Manifest.model_validate_json((folder / "manifest.json").read_text())
    assert read(folder).skipped == ()
