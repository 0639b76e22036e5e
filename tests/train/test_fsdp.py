"""FSDP2: two processes that share out a model learn what one does. Accelerate's own code shards it, on CPUs."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fireact.train import lora, worker
from tests.train.conftest import VOCABULARY, MakeJob, read_metrics
from tests.train.sharding import OPTIONS, launch, same

FSDP2 = "fsdp2_4"


def test_adapters_of_a_sharded_model_and_a_stop(make_job: MakeJob, tmp_path: Path) -> None:
    one, two = make_job("one", **OPTIONS), make_job("two", **OPTIONS)
    assert worker.main(["worker", str(one)]) == 0
    assert launch(FSDP2, two, "4")
    assert max((tmp_path / "two" / "checkpoint").glob("step-*")).name == "step-00000004"
    assert launch(FSDP2, two) == 0
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
    launch(FSDP2, two)
    same(tmp_path / "one", tmp_path / "two", "model/model.safetensors", 1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_tied_weights_are_saved_once(make_job: MakeJob, tmp_path: Path, base: Path, untied: Path, tied: bool) -> None:
    assert worker.main(["worker", str(make_job(method="full", max_steps=1, base=base if tied else untied))]) == 0
    assert ("lm_head.weight" in load_file(tmp_path / "out" / "model" / "model.safetensors")) is not tied


def test_half_precision_adapters_beside_frozen_shards(make_job: MakeJob, tmp_path: Path) -> None:
    one, two = (make_job(name, **OPTIONS, dtype="bfloat16") for name in ("one", "two"))
    assert worker.main(["worker", str(one)]) == 0
    launch(FSDP2, two)
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
