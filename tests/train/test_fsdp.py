"""FSDP2: two processes that share out a model learn what one does. Accelerate's own code shards it, on CPUs."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fireact.train import lora, worker
from tests.train.conftest import MakeJob
from tests.train.sharding import OPTIONS, begin, launch, losses, same

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
    begin(two)
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
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=0.02)
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
