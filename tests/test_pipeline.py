"""The whole loop with real parts: the embedded dataset, the oracle, a tiny model that is trained and evaluated."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from fireact.jsonl import read_finished
from fireact.types import Trajectory

LEAN = ("curate.filters=[finished,correct]", "evaluate.parity.check=false")
"""Spares two processes that other tests have."""
SMALL = ("generate.n=16", "curate.n=6", "curate.validation=2", "evaluate.n=3", "train.batch_size=2")


def read_json(path: Path):
    return json.loads(path.read_text())


def test_the_quick_recipe_stage_by_stage_then_nothing_twice(run_main, tmp_path: Path, tiny_options: Path) -> None:
    """With a tiny model in the student's place; with SmolLM2 it takes minutes."""
    options = ("--config-dir", str(tiny_options), "experiment=quick", "model=tiny_a")
    refused = run_main(*options, "stage=train")
    assert refused.returncode == 2
    assert "stage=train goes on from stage=generate, which is not done" in refused.stderr
    for stage in ("generate", "curate", "train", "evaluate"):
        done = run_main(*options, f"stage={stage}")
        assert done.returncode == 0, done.stdout + done.stderr
    again = run_main(*options)
    assert again.returncode == 0
    stages = read_json(tmp_path / "run" / "manifest.json")["stages"]
    assert all(stage["reused"] for stage in stages.values())
    writes_what_the_readme_promises(tmp_path / "run")
    adapter = Path(stages["train"]["folder"]) / "adapter"
    elsewhere = run_main(*options, "stage=evaluate", f"inputs.adapter={adapter}", "evaluate.prompted=false",
                         "evaluate.n=2")
    assert elsewhere.returncode == 0, elsewhere.stderr
    foreign = run_main("--config-dir", str(tiny_options), "experiment=quick", "model=tiny_b", "stage=evaluate",
                       f"inputs.adapter={adapter}", "evaluate.prompted=false")
    assert foreign.returncode == 2
    assert "adapter" in foreign.stderr
    assert foreign.stderr.count("\n") == 1


def writes_what_the_readme_promises(run: Path) -> None:
    metrics, manifest = read_json(run / "metrics.json"), read_json(run / "manifest.json")
    result = metrics["evaluate"]["factbook"]
    for guise in ("prompted", "finetuned"):
        assert result[guise]["n"] == 8
        assert 0 <= result[guise]["em"] <= 1
        assert {"em_se", "f1", "rounds", "tool_calls", "completion_tokens", "cost"} <= set(result[guise])
    assert set(result["difference"]) == {"em", "ci95", "p", "n"}
    assert metrics["curate"]["react"]["train"] == 24
    assert metrics["train"]["steps"] == 6
    assert set(manifest["stages"]) == {"generate/react", "curate", "tokenize", "train", "parity",
                                       "evaluate/factbook/prompted", "evaluate/factbook/finetuned"}
    assert manifest["packages"]["transformers"]
    assert len((run / "results.jsonl").read_text().splitlines()) == 16
    assert (run / "adapter" / "adapter_config.json").exists()
    assert (run / "adapter" / "README.md").exists()
    assert len(list(read_finished(run / "trajectories.jsonl", Trajectory))) == 60
    assert "<html" in (run / "report.html").read_text()
    config = (run / "config.yaml").read_text()
    assert "model:" in config
    assert "name: quick" in config
    told = {json.loads(line)["stage"] for line in (run / "metrics.jsonl").read_text().splitlines()}
    assert {"generate/react", "train", "evaluate/factbook/prompted"} <= told


def test_a_sweep_of_four_cells_plays_each_strategy_once(run_main, tmp_path: Path, tiny_options: Path) -> None:
    done = run_main("-m", "--config-dir", str(tiny_options), "model=tiny_a,tiny_b", "strategy=react,reflexion", *SMALL,
                    *LEAN, "train.max_steps=3")
    assert done.returncode == 0, done.stdout + done.stderr
    cells = [read_json(tmp_path / "sweep" / str(number) / "manifest.json")["stages"] for number in range(4)]
    played = [(name, stage["key"]) for cell in cells for name, stage in cell.items()
              if name.startswith("generate/") and not stage["reused"]]
    assert sorted(name for name, _ in played) == ["generate/react", "generate/reflexion"]
    assert len({cell["train"]["key"] for cell in cells}) == 4
    for number in range(4):
        assert read_json(tmp_path / "sweep" / str(number) / "metrics.json")["evaluate"]["factbook"]["difference"]


def test_a_failing_cell_does_not_stop_the_others(run_main, tmp_path: Path) -> None:
    done = run_main("-m", "stage=generate", "generate.n=4", "strategy.prompt=nowhere,factbook")
    assert done.returncode == 2
    assert "strategy.prompt=nowhere" in done.stderr
    assert (tmp_path / "sweep" / "1" / "metrics.json").exists()


def test_a_mix_trains_on_all_its_methods(run_main, tmp_path: Path, tiny_options: Path) -> None:
    done = run_main("--config-dir", str(tiny_options), "model=tiny_a", "strategy=react_cot_reflexion", "generate.n=30",
                    "curate.n=20", "curate.validation=4", "stage=pipeline", "evaluate.n=2", "train.batch_size=10",
                    "evaluate.prompted=false", *LEAN)
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = read_json(tmp_path / "run" / "metrics.json")
    assert {method: part["train"] for method, part in metrics["curate"].items()} == {
        "react": 14, "cot": 5, "reflexion": 1}
    assert metrics["train"]["steps"] == 2
    assert {path.name for path in (tmp_path / "run").glob("trajectories-*.jsonl")} == {
        f"trajectories-{method}.jsonl" for method in ("react", "cot", "reflexion")}


def comparable(path: Path) -> dict:
    """Records without what two runs cannot have in common: time."""
    records = {}
    for record in read_finished(path, Trajectory):
        assert record.id not in records
        records[record.id] = (record.answer, record.stop, record.score,
                              [(step.kind, step.text, step.argument, step.ids) for step in record.steps])
    return records


def generated(store: Path) -> Path:
    return next((store / "generate").glob("*/trajectories.jsonl"))


def wait_until(condition, process, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.01)


def lines(store: Path, pattern: str) -> int:
    return sum(path.read_bytes().count(b"\n") for path in store.glob(pattern))


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_generation_goes_on_after_a_blow(start_main, run_main, tmp_path, store, shared_home, blow) -> None:
    options = ("stage=generate", "generate.n=200", "concurrency=2")
    process = start_main(*options)
    wait_until(lambda: lines(store, "generate/*/trajectories.jsonl") > 20, process)
    os.killpg(process.pid, blow)
    output, _ = process.communicate(timeout=60)
    early = lines(store, "generate/*/trajectories.jsonl")
    assert 20 < early < 200
    if blow is signal.SIGINT:
        assert process.returncode == 130
        assert re.search(r"Go on with:\n  \S*python\S* main.py", output)
        assert "Traceback" not in output
    done = run_main(*options)
    assert done.returncode == 0, done.stderr
    interrupted = comparable(generated(store))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "home").symlink_to(shared_home, target_is_directory=True)
    assert run_main(*options, f"store={tmp_path}/other").returncode == 0
    assert interrupted == comparable(generated(tmp_path / "other"))
    assert len(interrupted) == 200


def test_training_goes_on_after_a_kill(start_main, run_main, store: Path, tiny_options: Path) -> None:
    """And where the run alone was killed, its training ends by itself, from the last checkpoint on which it goes on."""
    options = ("--config-dir", str(tiny_options), "model=tiny_a", "generate.n=80", "curate.n=40", "train.batch_size=1",
               "train.epochs=10", "train.checkpoint_every=5", *LEAN)
    for stage in ("generate", "curate"):
        assert run_main(*options, f"stage={stage}").returncode == 0
    process = start_main(*options, "stage=train")
    wait_until(lambda: lines(store, "train/*/metrics.jsonl") > 12, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    folder = next((store / "train").iterdir())
    assert not (folder / "done.json").exists()
    done = run_main(*options, "stage=train")
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in steps if "loss" in line] == list(range(1, 401))


def test_two_runs_of_the_same_job_share_it(start_main, store: Path) -> None:
    options = ("stage=generate", "generate.n=200", "concurrency=2")
    first, second = start_main(*options), start_main(*options)
    outputs = [process.communicate(timeout=300)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert len(comparable(generated(store))) == 200


def test_more_questions_play_only_those_that_lack(run_main, store: Path) -> None:
    assert run_main("stage=generate", "generate.n=10").returncode == 0
    before = generated(store).read_bytes()
    assert run_main("stage=generate", "generate.n=15").returncode == 0
    after = generated(store).read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == 15
