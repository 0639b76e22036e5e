"""The command line: quick to start, and one sentence with exit code 2 for every mistake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.helpers import ROOT

MISTAKES = [
    (["modle=llama2_7b"], "error: modle is not an option (did you mean model?)"),
    (["model=llama_7b"], "error: model=llama_7b does not exist (did you mean llama2_7b?)"),
    (["evaluat.n=3"], "error: evaluat.n is not an option (did you mean evaluate.n?)"),
    (["train.rnk=3"], "error: train.rnk is not an option (did you mean train.rank?)"),
    (["strategy=cot", "strategy.wire=tools"],
     "error: strategy.wire is not an option of this strategy (known: attempts, prompt)"),
    (["+x=1"], "error: x is not an option"),
    (["model@teacher=api", "teacher.modl=x"], "error: teacher.modl is not an option (did you mean teacher.model?)"),
    (["model@teacher=api", "teacher.options={top_k: 5}"],
     "error: teacher.options.top_k is not there yet; write +teacher.options=... to add it"),
    (["stage=generate", "generate.n=2", "hydra.run.dir=/proc/x"], "error: /proc/x cannot be made (No such file or"),
    (["stage=generate", "store=/proc/x"], "error: store=/proc/x cannot be made (No such file or directory); choose"),
    (["-m", "hydra/launcher=submitit_slurm", "worker=0,1"], "error: hydra/launcher cannot be used here: Could not"),
    (["model@teachr=api"], "error: nothing is selected for model@teachr yet; write +model@teachr=... to add it"),
    (["modle@teacher=api"], "config group 'modle' does not exist"),
    (["stage=trian"], "(did you mean train?)"),
    (["generate.n=many"], "error: generate.n='many' does not fit: input should be a valid integer"),
    (["seed=["], "error: "),
    (["seed=${nothing}"], "error: "),
    (["experiment=nowhere"], "error: experiment=nowhere does not exist"),
    (["--config-dir", "/nowhere"], "error: Additional config directory '/nowhere' not found"),
    (["strategy.prompt=factbok"], "there is no few-shot text of that name for react (did you mean factbook?)"),
    (["generate.n=99999", "stage=generate"], "error: generate.n=99999 is more than the 2400 questions of the split"),
    (["generate.split=tain", "stage=generate"], "(did you mean train?)"),
    (["model=api", "stage=evaluate"], "model=gpt-4.1 is not one; choose train=hosted"),
    (["train=hosted", "stage=train"], "this way to train is for hosted models and model=SmolLM2-135M-Instruct is not"),
    (["model=oracle", "stage=train"], "model=oracle cannot be fine-tuned"),
    (["model=_local"], "error: model.name is missing; set it, e.g. model.name=..."),
    (["report.prices=[gpt-99]"], "gpt-99"),
    (["evaluate.faults=[nun]"], "noise.fault='nun' does not fit"),
    (["evaluate.n={hotpot: 3}"], "evaluate.n names the dataset 'hotpot', which the run does not have"),
    (["curate.counts={factbook: {raect: 3}}"], "curate.counts.factbook names 'raect', which the run does not have"),
    (["model@teacher=api", "stage=generate", "generate.n=2"], "set the environment variable OPENAI_API_KEY"),
    (["dataset=table", "stage=generate"], "the dataset has no file for the split 'train'"),
    (["dataset=table", "dataset.train=/nowhere.jsonl", "stage=generate"], "/nowhere.jsonl"),
    (["tool.corpus=/nowhere.jsonl", "stage=generate", "generate.n=2"], "/nowhere.jsonl"),
    (["inputs.trajectories=/nowhere.jsonl", "stage=curate"], "/nowhere.jsonl does not exist"),
    (["inputs.adapter=/nowhere", "stage=evaluate"], "inputs.adapter=/nowhere is no adapter's or model's folder"),
    (["evaluate.n=999"], "error: evaluate.n=999 is more than the 500 questions of the split 'test'"),
    (["evaluate.prompted=false", "evaluate.finetuned=false", "stage=evaluate"], "leave nothing to evaluate"),
    (["model=7"], "error: Hydra cannot read these options"),
    (["+generate.n=3"], "error: generate.n is there already; write it without the +"),
    (["inputs.run=/nowhere", "stage=report"], "/nowhere"),
    (["wandb.mode=online", "stage=generate", "generate.n=2"], "WANDB_API_KEY"),
    (["model.package=null", "model.source=/nowhere", "evaluate.finetuned=false", "evaluate.n=2", "stage=evaluate"],
     "error: there is no folder '/nowhere'"),
    (["model=llama2_7b", "evaluate.finetuned=false", "evaluate.n=2", "stage=evaluate"],
     "meta-llama/Llama-2-7b-chat-hf"),
]


@pytest.mark.parametrize(("options", "sentence"), MISTAKES, ids=[" ".join(options) for options, _ in MISTAKES])
def test_a_mistake_gets_one_sentence_and_exit_code_2(run_main, options: list[str], sentence: str) -> None:
    done = run_main(*options)
    assert done.returncode == 2, done.stdout + done.stderr
    assert sentence in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_broken_line_of_a_dataset_is_named(run_main, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "Q?", "answer": "A b"}\n{"question": \n')
    done = run_main("dataset=table", f"dataset.train={tmp_path}/q.jsonl", "stage=generate", "generate.n=1")
    assert done.returncode == 2
    assert f"{tmp_path}/q.jsonl:2" in done.stderr


def test_a_broken_line_of_a_corpus_is_named(run_main, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"id": "1", "title": "T", "text": "x"}\nnot json\n')
    done = run_main(f"tool.corpus={tmp_path}/c.jsonl", "stage=generate", "generate.n=1")
    assert done.returncode == 2
    assert f"{tmp_path}/c.jsonl:2" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_window_too_small_for_the_prompt(run_main, tiny_options: Path) -> None:
    done = run_main("--config-dir", str(tiny_options), "model=tiny_a", "model.window=200", "stage=evaluate",
                    "evaluate.finetuned=false", "evaluate.n=2")
    assert done.returncode == 2
    assert "no question fits" in done.stderr
    assert "200 tokens" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small disk needs root on Linux")
def test_a_full_disk_keeps_what_is_finished(run_main, tmp_path: Path, store: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], capture_output=True,
                             check=False)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        (disk / "home").symlink_to(store / "home")
        done = run_main("stage=generate", "generate.n=300", f"store={disk}")
        assert done.returncode == 2, done.stdout + done.stderr
        assert "disk is full" in done.stderr
        assert "Traceback" not in done.stderr
        records = next(disk.glob("generate/*/trajectories.jsonl")).read_bytes()
        assert records.count(b"\n") > 5
    finally:
        subprocess.run(["umount", disk], check=True)


def test_main_starts_without_torch() -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", "main.py", "--cfg", "job"], cwd=ROOT, text=True,
                          capture_output=True, env=environment(), check=True)
    assert "model:" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "hydra" in imported
    assert not imported & {"torch", "transformers", "wandb", "matplotlib", "scipy"}


def test_a_recipe_from_outside_the_repository(run_main, tmp_path: Path) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nname: mine\nstage: generate\ngenerate: {n: 3}\n")
    done = run_main("--config-dir", str(tmp_path / "conf"), "experiment=mine")
    assert done.returncode == 0, done.stderr
    assert "name: mine" in (tmp_path / "run" / "config.yaml").read_text()
