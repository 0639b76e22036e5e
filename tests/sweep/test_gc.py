"""Making room in the store: what recent runs use stays, and so does what somebody works on or paid for."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from fireact.gc import Found, _collect, _delete, look
from tests.helpers import ROOT

OLD = time.time() - 40 * 86_400


def stage(store: Path, name: str, number: int) -> Path:
    folder = store / name / f"{number:016x}"
    folder.mkdir(parents=True)
    (folder / "file").write_text("x" * 100)
    age(folder)
    return folder


def age(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (OLD, OLD))


def run(runs: Path, name: str, *folders: Path, adapter: Path | None = None, old: bool = False) -> None:
    place = runs / "2026-01-01" / name
    place.mkdir(parents=True)
    (place / "manifest.json").write_text(json.dumps({"stages": {f.parent.name: {"folder": str(f)} for f in folders}}))
    (place / "config.yaml").write_text(f"inputs:\n  adapter: {adapter}\n")
    if old:
        age(place)


def kept(store: Path, runs: Path, **options) -> dict[str, str]:
    return {each.folder.name[-1]: each.kept for each in look(store, [runs], 30, options.get("paid", False))}


def test_what_recent_runs_use_stays(tmp_path: Path) -> None:
    store, runs = tmp_path / "store", tmp_path / "outputs"
    used, given, forgotten, new = (stage(store, "train", number) for number in range(4))
    run(runs, "new", used, adapter=given / "adapter")
    run(runs, "old", forgotten, old=True)
    os.utime(new / "file")
    assert kept(store, runs) == {"0": "used", "1": "used", "2": "", "3": "recent"}


def test_what_somebody_works_on_stays(tmp_path: Path) -> None:
    store = tmp_path / "store"
    folder = stage(store, "curate", 1)
    (folder / ".lock").touch()
    age(folder)
    with FileLock(folder / ".lock"):
        age(folder)
        assert kept(store, tmp_path) == {"1": "worked on"}
    age(folder)
    assert kept(store, tmp_path) == {"1": ""}


def test_what_was_paid_for_stays(run_main, tmp_path: Path, store: Path) -> None:
    """And so does what nobody can tell of."""
    assert run_main("stage=generate", "generate.n=2").returncode == 0
    free = next(iter(store.glob("generate/*")))
    paid = free.with_name("0" * 15 + "a")
    job = next(iter(free.glob("job-*.json")))
    values = json.loads(job.read_text())
    values["model"] = {"_target_": "fireact.model.api.Api", "model": "gpt-4.1", "base_url": "http://127.0.0.1:9/v1"}
    paid.mkdir()
    (paid / job.name).write_text(json.dumps(values))
    unknown = free.with_name("0" * 15 + "b")
    unknown.mkdir()
    for folder in (free, paid, unknown):
        age(folder)
    reasons = {each.folder.name: each.kept for each in look(store, [], 30, False)}
    assert reasons == {free.name: "", paid.name: "paid", unknown.name: "paid"}
    assert all(not each.kept for each in look(store, [], 30, True))


@pytest.mark.parametrize("delete", [False, True])
def test_the_command(tmp_path: Path, delete: bool) -> None:
    store = tmp_path / "store"
    used, forgotten = stage(store, "train", 1), stage(store, "train", 2)
    run(tmp_path / "outputs", "new", used)
    done = subprocess.run([sys.executable, "-m", "fireact.gc", "--store", store, "--runs", tmp_path / "outputs",
                           *(["--delete"] if delete else [])], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ("1 deleted" if delete else "1 would be deleted; add --delete") in done.stdout
    assert (used.exists(), forgotten.exists()) == (True, not delete)
    assert [path.name for path in (store / "train").iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(("options", "sentence"), [
    (("--store", "nowhere", "--runs", "."), "--store nowhere is no folder; name that of the store"),
    (("--store", ".", "--runs", "nowhere"), "--runs nowhere is no folder; name that of the runs"),
    (("--store", "."), "neither outputs nor multirun is here"),
    (("--store", ".", "--runs", ".", "--days", "-1"), "--days -1 is no age"),
    (("--store", ".", "--runs", ".", "--days", "nan"), "--days nan is no age"),
])
def test_what_would_delete_too_much_is_refused(tmp_path: Path, options: tuple[str, ...], sentence: str) -> None:
    forgotten = stage(tmp_path, "train", 1)
    done = subprocess.run([sys.executable, "-m", "fireact.gc", *options, "--delete"], cwd=tmp_path, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert sentence in done.stderr
    assert forgotten.exists()


def test_what_a_killed_gc_left_goes_and_what_somebody_has_begun_with_stays(tmp_path: Path) -> None:
    left = tmp_path / "train" / f".{1:016x}.deleted"
    left.mkdir(parents=True)
    forgotten, begun = stage(tmp_path, "train", 2), stage(tmp_path, "train", 3)
    (begun / ".lock").touch()
    with FileLock(begun / ".lock"):
        assert not _delete(Found("train", begun, 100, ""))
        _collect(tmp_path, [tmp_path], 30, paid=False, delete=True)
    assert (left.exists(), forgotten.exists(), begun.exists()) == (False, False, True)
