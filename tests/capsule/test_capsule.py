"""A run is packed on one machine and checked on another, offline."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.capsule.conftest import SECRET, Told, read

Command = Callable[..., Told]


@pytest.fixture
def packed(capsule: Command, tmp_path: Path) -> Callable[..., Path]:
    """Pack a run, which must go well."""

    def pack(run: Path, *options: str, name: str = "a.zip") -> Path:
        told = capsule("pack", run, "--out", tmp_path / name, *options)
        assert told.code == 0, told.err
        return tmp_path / name

    return pack


def levels(told: Told) -> dict[str, str]:
    """What holds of each number, and of each job's episodes."""
    (run, *_) = json.loads(told.out)["runs"]
    return {**{number["name"]: number["level"] for number in run["numbers"]},
            **{one["label"]: one["level"] for one in run["episodes"]}}


def test_the_whole_loop_holds_elsewhere(packed, verified: Command, whole_run: Path) -> None:
    told = verified(packed(whole_run), "--json")
    assert told.code == 0, told.out
    found = levels(told)
    for label in ("generate/react", "evaluate/factbook/prompted", "evaluate/factbook/finetuned"):
        assert found[label] == "replayed"
        assert found[f"{label}/em"] == "replayed"
        assert found[f"key/{label}"] == "recomputed"
    assert found["evaluate/factbook/difference/p"] == "replayed"
    assert found["results.jsonl"] == "replayed"
    assert found["evaluate/factbook/prompted/latency_seconds"] == "recomputed"
    assert found["curate/react/kept"] == found["curated/train.jsonl"] == "recomputed"
    assert found["key/train"] == found["train/checksums/adapter_model.safetensors"] == "recomputed"
    # Without the student's weights and without a training nobody can tell.
    assert found["tokenize/train/rows"] == found["train/train_loss"] == "unchecked"
    assert "differs" not in found.values()


def test_a_sweep_holds_without_endpoint_and_key(packed, verified: Command, paid_sweep: Path) -> None:
    file = packed(paid_sweep)
    told = verified(file, "--json")
    assert told.code == 0, told.out
    runs = json.loads(told.out)["runs"]
    assert [run["name"] for run in runs] == ["0", "1"]
    assert [run["episodes"][0]["n"] for run in runs] == [4, 6]
    assert {one["level"] for run in runs for one in run["episodes"]} == {"replayed"}
    # Both cells have the same folder, which is packed once.
    assert sum(name.endswith("trajectories.jsonl") for name in read(file)) == 1


def test_several_attempts_and_faulty_tools_hold_too(packed, verified: Command, drawn_sweep: Path) -> None:
    told = verified(packed(drawn_sweep), "--json")
    assert told.code == 0, told.out
    runs = json.loads(told.out)["runs"]
    assert {one["label"]: one["level"] for run in runs for one in run["episodes"]} == {
        label: "replayed" for label in ("generate/react", "evaluate/factbook/prompted",
                                        "evaluate/factbook/prompted/random", "evaluate/factbook/prompted/truncated")}
    found = {number["name"]: number["level"] for run in runs for number in run["numbers"]}
    assert found["evaluate/factbook/faults/random/prompted/drop/p"] == "replayed"
    assert found["evaluate/factbook/faults/random/prompted/em"] == "replayed"
    assert any(name.startswith("generate/react/sampling/") for name in found)


def test_the_table_says_what_holds(packed, verified: Command, paid_sweep: Path) -> None:
    told = verified(packed(paid_sweep))
    assert re.search(r"evaluate/table/prompted +4 +(\w{16}) +\1 +\1 +replayed", told.out)
    assert re.search(r"\nem +1 +1 +replayed", told.out)
    assert "All that could be checked holds." in told.out


def test_quick_plays_nothing(packed, verified: Command, paid_sweep: Path) -> None:
    told = verified(packed(paid_sweep), "--quick", "--json")
    assert told.code == 0
    assert levels(told)["evaluate/table/prompted/em"] == "recomputed"


@pytest.mark.parametrize("run", ["whole_run", "paid_sweep"])
def test_nothing_of_the_machine_goes_along(packed, run: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(run)
    files = read(packed(folder))
    assert len(files) > 8
    for name, content in files.items():
        for text in (str(Path.home()) + "/", str(folder.parent), "/tmp", str(Path.cwd()), SECRET, "PLANTED", "x-key",
                     "hydra.run.dir"):
            assert text.encode() not in content, f"{text} is in {name}"


def test_the_same_run_gives_the_same_bytes(packed, paid_sweep: Path) -> None:
    assert packed(paid_sweep).read_bytes() == packed(paid_sweep, name="b.zip").read_bytes()


def test_without_the_adapter_its_episodes_are_played_all_the_same(packed, verified: Command, whole_run: Path) -> None:
    file = packed(whole_run, "--without-adapter")
    assert not [name for name in read(file) if name.endswith(".safetensors")]
    found = levels(verified(file, "--json"))
    assert found["evaluate/factbook/finetuned"] == "replayed"
    assert found["train/checksums/adapter_model.safetensors"] == "unchecked"


def test_without_the_data_nothing_is_played_or_judged_anew(packed, verified: Command, paid_sweep: Path) -> None:
    file = packed(paid_sweep, "--without-data")
    assert not [name for name in read(file) if name.startswith("files/")]
    told = verified(file, "--json")
    assert told.code == 0
    run = json.loads(told.out)["runs"][0]
    assert run["episodes"][0]["level"] == "recomputed"
    assert run["episodes"][0]["replayed"] is None
    em = next(number for number in run["numbers"] if number["name"] == "evaluate/table/prompted/em")
    assert (em["level"], em["why"]) == ("recomputed", "from the scores as they were packed")


def test_what_was_played_without_a_tape_is_not_counted_as_replayed(packed, verified: Command,
                                                                  untaped_sweep: Path) -> None:
    told = verified(packed(untaped_sweep), "--json")
    assert told.code == 0
    assert levels(told)["evaluate/table/prompted"] == "recomputed"
    (one,) = json.loads(told.out)["runs"][0]["episodes"]
    assert "tape has no call of this job" in one["why"]


def test_bad_input_is_one_sentence(capsule: Command, packed, paid_sweep: Path, tmp_path: Path) -> None:
    file = packed(paid_sweep)
    for said, argv in {
        "is no run directory": ("pack", tmp_path, "--out", tmp_path / "b.zip"),
        "is there already": ("pack", paid_sweep, "--out", file),
        "is no file": ("verify", tmp_path / "nowhere.zip"),
    }.items():
        told = capsule(*argv)
        assert told.code == 2
        assert said in told.err
        assert told.err.count("\n") == 1


def test_a_run_that_would_be_made_otherwise_now_is_not_packed(capsule: Command, paid_sweep: Path, tmp_path: Path
                                                            ) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for file in (paid_sweep / "0").iterdir():
        if not file.is_symlink():
            (run / file.name).write_bytes(file.read_bytes())
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("temperature: 0.0", "temperature: 0.5"))
    told = capsule("pack", run, "--out", tmp_path / "b.zip")
    assert told.code == 2
    assert "its configuration leads to" in told.err
