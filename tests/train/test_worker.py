"""The worker as a process: exit codes, sentences, kills, ranks."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fireact.train import Train
from fireact.train.ranks import launcher
from fireact.train.worker import main
from fireact.types import Example
from tests.helpers import files_up_to
from tests.train.conftest import MakeJob, make_examples, read_metrics

WORKER = [sys.executable, "-m", "fireact.train.worker"]
ADAPTER = "adapter/adapter_model.safetensors"


def same_weights(one: Path, other: Path, tolerance: float) -> None:
    weights, others = load_file(one / ADAPTER), load_file(other / ADAPTER)
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=0, atol=tolerance)


def kill_after(out: Path, job: Path, step: int) -> None:
    """Start the worker and kill it without warning once a step is logged."""
    process = subprocess.Popen([*WORKER, str(job)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    try:
        while not (out / "metrics.jsonl").exists() or len(read_metrics_safely(out)) < step:
            assert process.poll() is None, "the worker ended before it could be killed"
            assert time.monotonic() < deadline, "the worker takes too long"
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait()


def read_metrics_safely(out: Path) -> list[str]:
    return (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()


def test_a_killed_training_ends_like_an_undisturbed_one(make_job: MakeJob, tmp_path: Path) -> None:
    options = {"examples": make_examples(400), "epochs": 2, "dropout": 0.1, "checkpoint_every": 7, "validate_every": 30}
    undisturbed, killed = make_job("undisturbed", **options), make_job("killed", **options)
    assert main(["worker", str(undisturbed)]) == 0
    kill_after(tmp_path / "killed", killed, 12)
    kept = int(max((tmp_path / "killed" / "checkpoint").glob("step-*")).name[5:])
    assert 7 <= kept < 100
    assert main(["worker", str(killed)]) == 0
    expected, met = read_metrics(tmp_path / "undisturbed"), read_metrics(tmp_path / "killed")
    assert [line["step"] for line in met] == [line["step"] for line in expected]
    for name in ("loss", "lr", "tokens", "trained_tokens", "validation_loss"):
        assert [line.get(name) for line in met] == pytest.approx([line.get(name) for line in expected], abs=1e-6)
    same_weights(tmp_path / "undisturbed", tmp_path / "killed", 1e-6)


def test_ctrl_c_ends_with_130(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(examples=make_examples(400), epochs=20, checkpoint_every=2)
    process = subprocess.Popen([*WORKER, str(job)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("step 1/1000  loss ")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert list((tmp_path / "out" / "checkpoint").glob("step-*"))


def test_a_file_that_cannot_grow_ends_with_a_sentence(make_job: MakeJob, capsys: pytest.CaptureFixture[str]) -> None:
    job = make_job(checkpoint_every=1)
    with files_up_to(4096):
        code = main(["worker", str(job)])
    error = capsys.readouterr().err
    assert code == 2
    assert re.fullmatch(r"error: cannot write under .* start again: it goes on from the beginning\n", error)


@pytest.mark.parametrize(("examples", "options", "sentence"), [
    ([], {}, "out.jsonl: no examples; expected at least one"),
    ([Example("q", (1, 2), (1, 0))], {}, "'q' has no trained tokens after its first"),
    ([Example("q", (1, 96), (0, 1))], {}, "'q' holds the token id 96, outside the model's vocabulary of 96"),
    ([Example("q", (1,) * 65, (1,) * 65)], {}, "'q' has 65 tokens, but the model's window holds 64"),
    (None, {"bits": 4}, "train.bits=4 needs an NVIDIA GPU"),
    (None, {"dtype": "float16"}, "train.dtype=float16 needs an NVIDIA GPU"),
    (None, {"liger": True}, "train.liger=true needs an NVIDIA GPU"),
    (None, {"targets": ["query"]}, "train.targets names 'query'"),
    (None, {"base": Path("nowhere")}, "nowhere holds no config.json"),
    (None, {"rank": 0}, "train.rank: Input should be greater than or equal to 1, got '0'"),
    (None, {"lerning_rate": 1}, "train.lerning_rate: Unexpected"),
])
def test_bad_input_ends_with_a_sentence(make_job: MakeJob, capsys: pytest.CaptureFixture[str],
                                        examples: list[Example] | None, options: dict, sentence: str) -> None:
    assert main(["worker", str(make_job(examples=examples, **options))]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1


def test_a_folder_of_another_job_is_refused(make_job: MakeJob, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", str(make_job(max_steps=1))]) == 0
    assert main(["worker", str(make_job(max_steps=1, log_every=5))]) == 0
    assert main(["worker", str(make_job(max_steps=1, seed=1))]) == 2
    assert "done.json is the result of another job; train into another folder" in capsys.readouterr().err
    assert main(["worker"]) == 2
    assert main(["worker", "nowhere.json"]) == 2


def test_two_ranks_learn_what_one_does(make_job: MakeJob, tmp_path: Path) -> None:
    # 9 examples in batches of 4: in the last step, one rank has nothing to do.
    options = {"examples": make_examples(9), "batch_size": 4, "micro_batch_tokens": 1, "learning_rate": 1e-3,
               "warmup_ratio": 0.0}
    one, two = make_job("one", **options), make_job("two", **options)
    assert main(["worker", str(one)]) == 0
    run = subprocess.run(launcher(Train(processes=2), two), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    expected, met = read_metrics(tmp_path / "one"), read_metrics(tmp_path / "two")
    assert [line["step"] for line in met] == [line["step"] for line in expected]
    for name in ("loss", "validation_loss", "validation_token_accuracy"):
        assert [line.get(name) for line in met] == pytest.approx([line.get(name) for line in expected], abs=1e-5)
    same_weights(tmp_path / "one", tmp_path / "two", 1e-5)
    assert json.loads((tmp_path / "two" / "done.json").read_text(encoding="utf-8"))["steps"] == 3
