"""A training on pairs as a whole: its reference, kills, ranks, and what is wrong with its input."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fireact.train import Train, data, worker
from fireact.train.dpo import LOG_PROBS
from fireact.train.faults import NOT_FINITE
from fireact.train.ranks import launcher
from fireact.train.worker import main
from tests.train.conftest import MakeJob, make_examples, make_pairs, read_metrics
from tests.train.test_worker import same_weights

DPO: dict[str, Any] = {"dpo": {"beta": 0.5}, "epochs": 3}


def test_a_training_that_goes_on_keeps_its_reference(make_job: MakeJob, tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    whole, parts = make_job("whole", **DPO), make_job("parts", **DPO)
    assert main(["worker", str(whole)]) == 0
    job = worker.read_job(parts)
    training = worker.start(job, make_pairs(40), make_pairs(7, seed=1))
    for batch in data.epoch_batches(40, 8, 0, epoch=0)[:3]:
        training.step(batch)
    training.save()
    first = (job.out / LOG_PROBS).read_bytes()
    again = worker.start(job, make_pairs(40), make_pairs(7, seed=1))
    assert capsys.readouterr().out.count("the reference of 47 pairs is computed once") == 2
    assert again.progress.step == 3
    assert again.examples == training.examples
    assert main(["worker", str(parts)]) == 0
    assert (job.out / LOG_PROBS).read_bytes() == first
    expected, met = read_metrics(tmp_path / "whole"), read_metrics(tmp_path / "parts")
    for name in ("step", "loss", "reward_margin", "reward_accuracy", "validation_loss", "validation_reward_margin"):
        assert [line.get(name) for line in met] == pytest.approx([line.get(name) for line in expected], abs=1e-6)
    same_weights(tmp_path / "whole", tmp_path / "parts", 1e-6)


def test_after_a_checkpoint_the_reference_is_still_the_start(make_job: MakeJob) -> None:
    """Even where its file was lost: it is computed before the checkpoint is loaded."""
    job = worker.read_job(make_job(**DPO, checkpoint_every=2))
    training = worker.start(job, make_pairs(40), make_pairs(7, seed=1))
    for _ in range(4):
        training.step([0, 1, 2, 3])
    training.save()
    (job.out / LOG_PROBS).unlink()
    again = worker.start(job, make_pairs(40), make_pairs(7, seed=1))
    assert again.progress.step == 4
    for pair, other in zip(again.examples, training.examples, strict=True):
        assert pair.reference == pytest.approx(other.reference, abs=1e-4)
    assert any(weight.abs().sum() for name, weight in again.weights.items() if "lora_B" in name)


@pytest.mark.parametrize("damage", [lambda path: path.write_text("{"), lambda path: path.write_text(
    json.dumps({"job": "another", "train": [], "validation": []}))], ids=["torn", "of another job"])
def test_a_reference_that_is_none_is_computed_again(make_job: MakeJob, damage: Any) -> None:
    job = worker.read_job(make_job(**DPO))
    pairs = make_pairs(40)
    expected = worker.start(job, pairs, []).examples
    damage(job.out / LOG_PROBS)
    assert worker.start(job, pairs, []).examples == expected


@pytest.mark.parametrize("options", [{"micro_batch_tokens": 50}, {"packing": False, "micro_batch_tokens": 120},
                                     {"gradient_checkpointing": True}], ids=str)
def test_how_pairs_are_cut_into_passes_changes_nothing(make_job: MakeJob, tmp_path: Path, options: Any) -> None:
    common = {**DPO, "learning_rate": 1e-3, "max_steps": 6}
    assert main(["worker", str(make_job("whole", **common))]) == 0
    assert main(["worker", str(make_job("parts", **common, **options))]) == 0
    whole, parts = read_metrics(tmp_path / "whole"), read_metrics(tmp_path / "parts")
    for name in ("loss", "reward_margin", "tokens", "trained_tokens", "validation_loss"):
        assert [line.get(name) for line in parts] == pytest.approx([line.get(name) for line in whole], abs=1e-4)


def test_two_ranks_learn_what_one_does(make_job: MakeJob, tmp_path: Path) -> None:
    # 9 pairs in batches of 4: in the last step, one rank has nothing to do.
    options = {**DPO, "examples": make_pairs(9), "batch_size": 4, "micro_batch_tokens": 1, "learning_rate": 1e-3,
               "epochs": 1, "warmup_ratio": 0.0}
    one, two = make_job("one", **options), make_job("two", **options)
    assert main(["worker", str(one)]) == 0
    run = subprocess.run(launcher(Train(processes=2), two), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    expected, met = read_metrics(tmp_path / "one"), read_metrics(tmp_path / "two")
    for name in ("step", "loss", "reward_margin", "reward_accuracy", "validation_loss", "validation_reward_accuracy"):
        assert [line.get(name) for line in met] == pytest.approx([line.get(name) for line in expected], abs=1e-5)
    same_weights(tmp_path / "one", tmp_path / "two", 1e-5)


def test_the_best_weights_are_kept(make_job: MakeJob) -> None:
    job = worker.read_job(make_job(dpo={"beta": 5.0, "sft_weight": 0.1}, epochs=4, keep="best", learning_rate=0.05))
    worker.run(job)
    done = json.loads((job.out / "done.json").read_text(encoding="utf-8"))
    losses = {line["step"]: line["validation_loss"] for line in read_metrics(job.out) if "validation_loss" in line}
    assert done["kept_step"] == min(losses, key=lambda step: losses[step])


def test_a_loss_that_is_no_number_names_the_pairs(make_job: MakeJob, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_job(**DPO, method="full", learning_rate=1e20)
    assert main(["worker", str(path)]) == 2
    assert "the loss is" in capsys.readouterr().err
    seen = json.loads((worker.read_job(path).out / NOT_FINITE).read_text(encoding="utf-8"))
    assert all(name.startswith("p") for name in seen["examples"])


@pytest.mark.parametrize(("options", "sentence"), [
    ({"examples": make_examples(2), **DPO}, "expected one Pair as JSON a line"),
    ({"examples": make_pairs(2)}, "expected one Example as JSON a line"),
    ({"examples": [replace(pair, rejected=replace(pair.rejected, mask=(0,) * len(pair.rejected.mask)))
                   for pair in make_pairs(1)], **DPO}, "the example 'p0/rejected' has no trained tokens"),
])
def test_what_is_no_pair_is_refused(make_job: MakeJob, capsys: pytest.CaptureFixture[str], options: Any,
                                    sentence: str) -> None:
    assert main(["worker", str(make_job(**options))]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1


def test_a_job_is_another_with_another_beta(make_job: MakeJob) -> None:
    hashes = [worker.read_job(make_job(str(number), dpo=dpo)).hash()
              for number, dpo in enumerate(({"beta": 0.1}, {"beta": 0.2}, {"beta": 0.1, "sft_weight": 1.0}))]
    assert len(set(hashes)) == 3


def test_the_adapter_prefers_what_it_was_shown(make_job: MakeJob, base: Path) -> None:
    """With plain PEFT: the chosen side of held-out pairs gained on the rejected one, in log-probability."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from tests.train.test_objective import plain_log_prob

    job = worker.read_job(make_job(**{**DPO, "epochs": 6}))
    worker.run(job)
    model = AutoModelForCausalLM.from_pretrained(base)
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(job.out / "adapter"))
    done = json.loads((job.out / "done.json").read_text(encoding="utf-8"))
    with torch.no_grad():
        margins = [sum(sign * (plain_log_prob(tuned, side) - plain_log_prob(model, side)).item()
                       for sign, side in ((1, pair.chosen), (-1, pair.rejected))) for pair in make_pairs(7, seed=1)]
    assert 0.5 * sum(margins) / 7 == pytest.approx(done["validation_reward_margin"], rel=1e-3)
    assert min(margins) > 0
    assert load_file(job.out / "adapter" / "adapter_model.safetensors")
