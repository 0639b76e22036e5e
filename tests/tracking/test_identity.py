"""Which run of W&B a cell is."""

import json
from pathlib import Path

import pytest

from fireact.tracking.identity import Identity, identify, without_secrets
from tests.helpers import composed


def identified(folder: Path, *overrides: str, run: str = "run", store: str = "store") -> Identity:
    """The run of a configuration in a store."""
    return identify(folder / run, composed(f"store={folder / store}", *overrides))


@pytest.mark.parametrize("override", ["stage=evaluate", "concurrency=2", "journal=delete", "wandb.mode=offline",
                                      "wandb.tags=[a]", "wandb.group=g", "tape.mode=off", "budget.run.usd=1",
                                      "model.threads=1", "model.batch_size=2", "train.threads=2", "inputs.run=x",
                                      "report.prices=[gpt-4.1-mini]"])
def test_what_is_only_about_a_start_makes_no_other_run(tmp_path: Path, override: str) -> None:
    assert identified(tmp_path, override).id == identified(tmp_path, run="later").id


@pytest.mark.parametrize("override", ["seed=1", "strategy=cot", "train.rank=4", "generate.n=9", "evaluate.n=9",
                                      "name=again", "wandb.project=p", "wandb.entity=e", "worker=1",
                                      "inputs.adapter=x"])
def test_what_makes_another_cell_makes_another_run(tmp_path: Path, override: str) -> None:
    assert identified(tmp_path, override).id != identified(tmp_path).id


def test_another_store_is_another_run_and_a_store_that_was_moved_is_not(tmp_path: Path) -> None:
    here = identified(tmp_path).id
    assert identified(tmp_path, store="other").id != here
    (tmp_path / "store").rename(tmp_path / "moved")
    assert identified(tmp_path, store="moved").id == here


def sweep(folder: Path, described: str | None) -> Path:
    """A sweep's folder with the description of its cells, if there is one."""
    folder.mkdir()
    (folder / "multirun.yaml").touch()
    if described is not None:
        (folder / "sweep.json").write_text(described)
    return folder


DESCRIBED = json.dumps({"id": "ab12", "name": "sizes", "axes": {"seed": [0, 1]},
                        "cells": [{"number": 0, "choices": {"strategy": "cot", "seed": 0}, "overrides": []}]})


def test_a_sweep_started_again_has_the_same_runs_in_one_group(tmp_path: Path) -> None:
    for name in ("first", "second"):
        sweep(tmp_path / name, DESCRIBED)
    first, second = (identified(tmp_path, run=f"{name}/0") for name in ("first", "second"))
    assert first == second
    assert (first.name, first.group) == ("strategy=cot seed=0", "sizes-ab12")
    assert first.id != identified(tmp_path).id
    assert identified(tmp_path, "wandb.group=mine", run="first/0").group == "mine"
    assert identified(tmp_path, run="first/7").name == "default"


@pytest.mark.parametrize("described", [None, "{", '{"id": 1}', "[]"])
def test_a_sweep_without_its_description_goes_by_its_folder(tmp_path: Path, described: str | None) -> None:
    sweep(tmp_path / "12-00-00-ab", described)
    found = identified(tmp_path, run="12-00-00-ab/0")
    assert (found.name, found.group) == ("default", "12-00-00-ab")


def test_a_run_of_its_own_has_no_group(tmp_path: Path) -> None:
    assert (identified(tmp_path).group, identified(tmp_path, "name=mine").name) == (None, "mine")


def test_passwords_and_keys_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-1234567890")
    config = {"a": [{"url": "https://me:pass@x.org/y?z=a@b", "key_env": "SOME_API_KEY"}], "b": "Bearer sk-1234567890",
              "c": 1, "d": None, "e": "me@x.org"}
    assert without_secrets(config) == {"a": [{"url": "https://***@x.org/y?z=a@b", "key_env": "SOME_API_KEY"}],
                                       "b": "Bearer ***", "c": 1, "d": None, "e": "me@x.org"}
