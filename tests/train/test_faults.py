"""What a training does where it fails: memory, numbers, checkpoints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fireact.errors import ConfigError
from fireact.train import faults, worker
from fireact.train.loop import Training
from tests.train.conftest import MakeJob, make_examples, read_metrics


def test_where_memory_runs_out_less_is_done_at_once(make_job: MakeJob, tmp_path: Path) -> None:
    """And the results are those of a training with less at once from the start."""
    examples = [example for example in make_examples(400) if len(example.ids) == 24][:12]
    options = {"examples": examples, "batch_size": 12, "epochs": 3, "checkpoint_every": 1, "check_memory": False}
    job = make_job("small", micro_batch_tokens=300, **options)
    calm = make_job("calm", micro_batch_tokens=150, **options)
    assert worker.main(["worker", str(calm)]) == 0
    failing = _fails_first(job)
    assert ("memory did not suffice for 300 tokens a forward pass: going on from the checkpoint of step 1 with 150"
            in failing)
    assert json.loads((tmp_path / "small" / faults.HALVED).read_text(encoding="utf-8")) == {"tokens": 150}
    assert json.loads((tmp_path / "small" / "done.json").read_text(encoding="utf-8"))["micro_batch_tokens"] == 150
    expected, met = read_metrics(tmp_path / "calm"), read_metrics(tmp_path / "small")
    assert [line.get("loss") for line in met] == pytest.approx([line.get("loss") for line in expected], abs=1e-6)


def _fails_first(job: Path) -> str:
    """Train in a process whose second step asks for more memory than there can be; return what it said."""
    code = """
import sys, torch
from fireact.train import loop, worker
real = loop.Training._backward
def greedy(self, batch):
    if self.progress.step == 1 and self.micro_batch_tokens == 300:
        torch.empty(1 << 60, dtype=torch.uint8)
    return real(self, batch)
loop.Training._backward = greedy
sys.exit(worker.main(["worker", sys.argv[1]]))
"""
    run = subprocess.run([sys.executable, "-c", code, str(job)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_single_example_that_does_not_fit_ends_with_a_sentence(tmp_path: Path) -> None:
    assert "with 50, in twice as many passes" in faults.halve(tmp_path, 100, longest=80)
    with pytest.raises(ConfigError, match=r"does not suffice for a forward pass of one example of 200 tokens; set "
                                          r"train.gradient_checkpointing=true"):
        faults.halve(tmp_path, 100, longest=200)
    assert faults.allowed_tokens(tmp_path, 100) == 50
    assert faults.allowed_tokens(tmp_path, 20) == 20


def test_what_is_no_want_of_memory_is_raised(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_):
        raise RuntimeError("something else")

    monkeypatch.setattr(Training, "_backward", broken)
    with pytest.raises(RuntimeError, match="something else"):
        worker.run(worker.read_job(make_job(max_steps=1)))
    assert faults.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))


def test_what_a_failed_step_saw_is_written_down(make_job: MakeJob, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the loss is nan.*the checkpoint of step 1 is kept.*not_finite.json"):
        worker.run(worker.read_job(make_job(learning_rate=1e30, checkpoint_every=1)))
    seen = json.loads((tmp_path / "out" / faults.NOT_FINITE).read_text(encoding="utf-8"))
    assert seen["loss"] == "nan"
    assert len(seen["examples"]) == 8
    assert seen["step"] == len(seen["last_losses"]) + 1


def break_newest(out: Path, how: str) -> None:
    place = max((out / "checkpoint").glob("step-*"))
    if how == "cut":
        file = place / "state.safetensors"
        file.write_bytes(file.read_bytes()[:100])
    elif how == "flipped":
        file = place / "state.safetensors"
        content = bytearray(file.read_bytes())
        content[-8:] = bytes(8)
        file.write_bytes(content)
    elif how == "garbled":
        (place / "progress.json").write_text("{", encoding="utf-8")
    else:
        (place / "state.safetensors").unlink()


@pytest.mark.parametrize("how", ["cut", "garbled", "absent", "flipped"])
def test_a_damaged_checkpoint_is_passed_over(make_job: MakeJob, tmp_path: Path, how: str,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    job = make_job("calm", checkpoint_every=1, max_steps=5)
    assert worker.main(["worker", str(job)]) == 0
    broken = make_job("out", checkpoint_every=1, max_steps=5)
    code = ("import sys\nfrom fireact.train import loop, worker\nreal = loop.Training.step\ndef step(self, batch):\n"
            "    if self.progress.step == 3: sys.exit(9)\n    real(self, batch)\nloop.Training.step = step\n"
            "worker.main(['worker', sys.argv[1]])")
    assert subprocess.run([sys.executable, "-c", code, str(broken)], check=False, capture_output=True).returncode == 9
    assert len(list((tmp_path / "out" / "checkpoint").glob("step-*"))) == 2
    break_newest(tmp_path / "out", how)
    capsys.readouterr()
    assert worker.main(["worker", str(broken)]) == 0
    assert "step-00000003 is damaged (" in capsys.readouterr().out
    weights, others = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("calm", "out"))
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=0, atol=1e-6)


def test_no_step_is_lost_where_what_was_learnt_cannot_be_written(make_job: MakeJob, capsys: pytest.CaptureFixture[str],
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_job(max_steps=3, checkpoint_every=1000)
    with monkeypatch.context() as full:
        full.setattr(worker, "finish", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert worker.main(["worker", str(file)]) == 2
    assert "then start again: it goes on from the checkpoint of step 3" in capsys.readouterr().err
    steps = [line["step"] for line in read_metrics(worker.read_job(file).out)]
    assert worker.main(["worker", str(file)]) == 0
    assert [line["step"] for line in read_metrics(worker.read_job(file).out)] == steps


def test_the_best_of_no_validations_is_refused(make_job: MakeJob, capsys: pytest.CaptureFixture[str]) -> None:
    assert worker.main(["worker", str(make_job(validation=False, keep="best"))]) == 2
    assert "train.keep=best and train.patience=None go by validations" in capsys.readouterr().err


def test_only_damaged_checkpoints_end_with_a_sentence(make_job: MakeJob, capsys: pytest.CaptureFixture[str],
                                                      tmp_path: Path) -> None:
    job = make_job("out", checkpoint_every=1, max_steps=5)
    (tmp_path / "out" / "checkpoint" / "step-00000001").mkdir(parents=True)
    assert worker.main(["worker", str(job)]) == 2
    error = capsys.readouterr().err
    assert "is damaged (" in error
    assert "to start anew" in error
    assert len(error.splitlines()) == 1


def test_the_best_weights_are_kept_and_no_step_is_wasted(make_job: MakeJob, tmp_path: Path) -> None:
    """A rate at which the loss soon rises: the training stops, and leaves what it had before."""
    options = {"learning_rate": 0.3, "epochs": 20, "validate_every": 2, "keep": "best", "patience": 2,
               "schedule": "constant", "warmup_ratio": 0.0}
    job = worker.read_job(make_job(**options))
    worker.run(job)
    losses = {line["step"]: line["validation_loss"] for line in read_metrics(job.out) if "validation_loss" in line}
    done = json.loads((job.out / "done.json").read_text(encoding="utf-8"))
    best = min(losses, key=lambda step: losses[step])
    assert done["kept_step"] == best
    assert done["stopped_early"]
    assert done["steps"] == best + 4 < 100
    short = worker.read_job(make_job("short", **{**options, "max_steps": best, "keep": "last"}))
    worker.run(short)
    kept, expected = (load_file(out / "adapter" / "adapter_model.safetensors") for out in (job.out, short.out))
    for name, weight in kept.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6)
