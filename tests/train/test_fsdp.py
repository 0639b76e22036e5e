"""FSDP2: two processes that share out a model learn what one does. Accelerate's own code shards it, on CPUs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from fireact.train import lora, worker
from tests.helpers import ROOT
from tests.train.conftest import VOCABULARY, MakeJob, make_examples, read_metrics

LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "conf/accelerate/fsdp2_4.yml",
          "--num_processes", "2", "--mixed_precision", "no", "-m", "tests.train.sharded_worker"]
OPTIONS: dict[str, Any] = {"examples": make_examples(9), "batch_size": 4, "micro_batch_tokens": 1, "epochs": 2,
                           "learning_rate": 1e-3, "warmup_ratio": 0.0, "checkpoint_every": 2}
"""In the last step of an epoch one rank has nothing to do."""


def launch(job: Path, *step: str) -> int:
    """Train in two processes, and return the exit code."""
    done = subprocess.run([*LAUNCH, str(job), *step], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or step, done.stderr
    return done.returncode


def same(one: Path, two: Path, file: str, tolerance: float) -> None:
    """Compare what two trainings left and told."""
    expected, met = read_metrics(one), read_metrics(two)
    assert [line["step"] for line in met] == [line["step"] for line in expected]
    for name in ("loss", "gradient_norm", "validation_loss", "validation_token_accuracy"):
        assert [line.get(name) for line in met] == pytest.approx([line.get(name) for line in expected], abs=tolerance)
    weights, others = load_file(one / file), load_file(two / file)
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama whose head is a matrix of its own."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("untied")
    LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                 num_attention_heads=4, max_position_embeddings=64)).save_pretrained(folder)
    return folder


def test_adapters_of_a_sharded_model_and_a_stop(make_job: MakeJob, tmp_path: Path) -> None:
    one, two = make_job("one", **OPTIONS), make_job("two", **OPTIONS)
    assert worker.main(["worker", str(one)]) == 0
    assert launch(two, "4")
    assert max((tmp_path / "two" / "checkpoint").glob("step-*")).name == "step-00000004"
    assert launch(two) == 0
    same(tmp_path / "one", tmp_path / "two", "adapter/adapter_model.safetensors", 1e-5)


def test_all_weights_of_a_sharded_model_from_the_checkpoint_of_one_process(make_job: MakeJob, tmp_path: Path,
                                                                           untied: Path) -> None:
    options = {**OPTIONS, "method": "full", "base": untied, "gradient_checkpointing": True, "keep": "best"}
    one, two = make_job("one", **options), make_job("two", **options)
    assert worker.main(["worker", str(one)]) == 0
    job = worker.read_job(two)
    examples = worker.data.read_examples(job.examples, vocabulary=VOCABULARY, window=None)
    begun = worker.start(job, examples, [])
    for batch in worker.data.epoch_batches(9, 4, 0, 0)[:2]:
        begun.step(batch)
    begun.save()
    launch(two)
    same(tmp_path / "one", tmp_path / "two", "model/model.safetensors", 1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_tied_weights_are_saved_once(make_job: MakeJob, tmp_path: Path, base: Path, untied: Path, tied: bool) -> None:
    assert worker.main(["worker", str(make_job(method="full", max_steps=1, base=base if tied else untied))]) == 0
    assert ("lm_head.weight" in load_file(tmp_path / "out" / "model" / "model.safetensors")) is not tied


def test_half_precision_adapters_beside_frozen_shards(make_job: MakeJob, tmp_path: Path) -> None:
    one, two = (make_job(name, **OPTIONS, dtype="bfloat16") for name in ("one", "two"))
    assert worker.main(["worker", str(one)]) == 0
    launch(two)
    losses = [[line["loss"] for line in read_metrics(tmp_path / name) if "loss" in line] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], abs=0.02)
    for weight in load_file(tmp_path / "two" / "adapter" / "adapter_model.safetensors").values():
        assert weight.dtype == torch.float32
    assert json.loads((tmp_path / "two" / "done.json").read_text(encoding="utf-8"))["steps"] == 6


def test_a_model_without_values_is_the_same_model(base: Path) -> None:
    """What the other processes make, whose weights come from the first one."""
    model, empty = lora.load_base(base, torch.float32), lora.empty_base(base, torch.float32)
    assert {name: weight.shape for name, weight in empty.named_parameters()} == {
        name: weight.shape for name, weight in model.named_parameters()}
    assert len({weight.data_ptr() for weight in empty.parameters()}) == len(list(model.parameters()))
    for (name, buffer), (other, expected) in zip(empty.named_buffers(), model.named_buffers(), strict=True):
        assert name == other
        torch.testing.assert_close(buffer, expected)
