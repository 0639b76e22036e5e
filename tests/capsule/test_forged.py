"""What a forger changes is found, though all checksums are made anew."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fireact.capsule.contents import CAPSULE
from fireact.jsonl import decode, encode
from fireact.play.played import digest
from fireact.types import Trajectory
from tests.capsule.conftest import Files, Told, edit, forge, read, trajectories

EM = "evaluate/table/prompted/em"
Forged = Callable[[Callable[[Files], object]], Told]


@pytest.fixture
def forged(capsule: Callable[..., Told], verified: Callable[..., Told], paid_sweep: Path, tmp_path: Path) -> Forged:
    """Verify a sweep's capsule that somebody has changed."""

    def run(change: Callable[[Files], object]) -> Told:
        honest = tmp_path / "honest.zip"
        assert capsule("pack", paid_sweep, "--out", honest).code == 0
        return verified(forge(honest, tmp_path / "forged.zip", change), "--json")

    return run


def number(told: Told, name: str) -> dict:
    return next(one for one in json.loads(told.out)["runs"][0]["numbers"] if one["name"] == name)


def episodes(told: Told) -> dict:
    """Those of the first run."""
    return json.loads(told.out)["runs"][0]["episodes"][0]


def test_an_honest_one_holds(forged: Forged) -> None:
    assert forged(lambda files: None).code == 0


def test_a_better_metric_is_found(forged: Forged) -> None:
    def better(metrics: dict) -> None:
        metrics["evaluate"]["table"]["prompted"]["em"] = 0.75

    told = forged(lambda files: edit(files, "runs/0/metrics.json", better))
    assert told.code == 1
    assert (number(told, EM)["claimed"], number(told, EM)["found"]) == (0.75, 1.0)
    assert number(told, EM)["level"] == "differs"
    assert number(told, "evaluate/table/prompted/n")["level"] == "replayed"


def test_a_changed_row_of_the_results_is_found(forged: Forged) -> None:
    def change(files: Files) -> None:
        files["runs/0/results.jsonl"] = files["runs/0/results.jsonl"].replace(b'"em": 1.0', b'"em": 0.0', 1)

    told = forged(change)
    assert told.code == 1
    assert number(told, "results.jsonl")["why"] == "e.g. the row of q0"


def changed_record(files: Files, old: str, new: str) -> None:
    """Change the first record, and the digests that the manifests have of all."""
    name = trajectories(files)
    first, *rest = files[name].decode().splitlines()
    assert old in first
    lines = [first.replace(old, new), *rest]
    files[name] = "".join(f"{line}\n" for line in lines).encode()
    for run, n in (("0", 4), ("1", 6)):
        records = [decode(Trajectory, line, name) for line in lines[:n]]
        edit(files, f"runs/{run}/manifest.json", lambda told, records=records: told["stages"][
            "evaluate/table/prompted"].update(records=digest(records)))


def test_a_changed_episode_is_found_by_playing_it_again(forged: Forged) -> None:
    told = forged(lambda files: changed_record(files, "I know it.", "I am sure."))
    assert told.code == 1
    assert episodes(told)["records"] == episodes(told)["claimed"] != episodes(told)["replayed"]
    assert "the first record that differs is q0: in step" in episodes(told)["why"]
    assert "I am sure." in episodes(told)["why"]
    # The numbers follow from the records, which are worth no more than that.
    assert number(told, EM)["level"] == "recomputed"


def test_a_score_is_judged_anew(forged: Forged) -> None:
    def change(files: Files) -> None:
        name = trajectories(files)
        files[name] = files[name].replace(b'"answer":"word0"', b'"answer":"wrong"', 1)

    told = forged(change)
    assert told.code == 1
    assert number(told, EM)["found"] == 0.75
    assert episodes(told)["level"] == "differs"


def test_a_missing_record_is_found(forged: Forged) -> None:
    def change(files: Files) -> None:
        name = trajectories(files)
        files[name] = files[name].partition(b"\n")[2]

    told = forged(change)
    assert told.code == 1
    assert "has 3 of the 4 that are wanted" in number(told, EM)["why"]


def tape_rows(files: Files) -> list[dict]:
    return [json.loads(line) for line in files["tape.jsonl"].splitlines()]


def test_a_call_that_the_tape_lacks_is_found(forged: Forged) -> None:
    def change(files: Files) -> None:
        rows = tape_rows(files)
        rows.remove(next(row for row in rows if row["table"] == "calls"))
        files["tape.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()

    told = forged(change)
    assert told.code == 1
    assert any("has no answer to this request" in run["episodes"][0]["why"] for run in json.loads(told.out)["runs"])


def test_an_answer_that_was_changed_on_the_tape_is_found(forged: Forged) -> None:
    def change(files: Files) -> None:
        files["tape.jsonl"] = files["tape.jsonl"].replace(b"I know it.", b"I am sure.")

    told = forged(change)
    assert told.code == 1
    assert "the first record that differs is q0" in episodes(told)["why"]


def test_a_configuration_of_another_job_is_found(forged: Forged) -> None:
    def change(files: Files) -> None:
        files["runs/0/config.yaml"] = files["runs/0/config.yaml"].replace(b"max_rounds: 11", b"max_rounds: 12")

    told = forged(change)
    assert told.code == 1
    key = number(told, "key/evaluate/table/prompted")
    assert (key["level"], key["why"]) == ("differs", "config.yaml has another strategy than the job in jobs.json")


def test_code_of_somebodys_own_is_never_run(forged: Forged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))

    def change(files: Files) -> None:
        for name in ("runs/0/jobs.json", "runs/0/config.yaml"):
            files[name] = files[name].replace(b"fireact.tool.corpus.Corpus", b"evil.Tool")

    told = forged(change)
    assert "code of somebody's own" in episodes(told)["why"]
    assert episodes(told)["replayed"] is None
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("place", "text"), [
    ("runs/0/jobs.json", "is a path outside of it"), ("runs/0/manifest.json", "key"), ("runs/0/metrics.json", "JSON"),
    ("tape.jsonl", "is no row of a tape")])
def test_what_pack_did_not_write_is_one_sentence(forged: Forged, place: str, text: str) -> None:
    def change(files: Files) -> None:
        if place.endswith("jobs.json"):
            files[place] = files[place].replace(b"capsule:files/", b"/etc/", 1)
        elif place.endswith("manifest.json"):
            edit(files, place, lambda told: told["stages"]["evaluate/table/prompted"].update(key="../../../tmp/x"))
        else:
            files[place] = b"[" * 100_000

    told = forged(change)
    assert (told.code, told.out) == (2, "")
    assert told.err.count("\n") == 1
    assert text in told.err


def test_a_capsule_of_a_newer_format_is_refused(capsule: Callable[..., Told], paid_sweep: Path, tmp_path: Path
                                                ) -> None:
    assert capsule("pack", paid_sweep, "--out", tmp_path / "a.zip").code == 0
    files = read(tmp_path / "a.zip")
    edit(files, CAPSULE, lambda told: told.update(format=2))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    told = capsule("verify", tmp_path / "b.zip", "--work", tmp_path / "work")
    assert told.code == 2
    assert "of format 2, and this FireAct reads formats up to 1" in told.err


def test_the_record_of_a_forger_reads_as_any_other(paid_sweep: Path) -> None:
    """What the helper above relies on."""
    path = next((paid_sweep.parent / "store" / "generate").glob("*/trajectories.jsonl"))
    line = path.read_text().splitlines()[0]
    assert encode(decode(Trajectory, line, "")) == line
