"""DeepSpeed's ZeRO: two processes that share out gradients and moments learn what one does. The engine is its own."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig

from fireact.errors import ConfigError
from fireact.train import Train, memory, ranks, worker, zero
from tests.helpers import ROOT
from tests.train.conftest import MakeJob, make_pairs
from tests.train.sharding import OPTIONS, begin, launch, losses, same

ZERO = "zero2_4"


@pytest.fixture
def deepspeed() -> None:
    """Skip where DeepSpeed is not installed: it is an extra of its own."""
    pytest.importorskip("deepspeed", reason="the extra `deepspeed` is not installed")


@pytest.mark.usefixtures("deepspeed")
def test_adapters_and_a_stop(make_job: MakeJob, tmp_path: Path) -> None:
    one, whole, two = (make_job(name, **OPTIONS) for name in ("one", "whole", "two"))
    assert worker.main(["worker", str(one)]) == 0
    launch(ZERO, whole)
    same(tmp_path / "one", tmp_path / "whole", "adapter/adapter_model.safetensors", 1e-5)
    assert launch(ZERO, two, "4")
    assert max((tmp_path / "two" / "checkpoint").glob("step-*")).name == "step-00000004"
    assert launch(ZERO, two) == 0
    same(tmp_path / "whole", tmp_path / "two", "adapter/adapter_model.safetensors", 1e-6)


@pytest.mark.usefixtures("deepspeed")
def test_all_weights_from_the_checkpoint_of_one_process_and_back(make_job: MakeJob, tmp_path: Path,
                                                                 untied: Path) -> None:
    options = {**OPTIONS, "method": "full", "base": untied, "gradient_checkpointing": True, "keep": "best",
               "weight_decay": 0.1, "max_grad_norm": 0.1}
    one, two = make_job("one", **options), make_job("two", **options)
    assert worker.main(["worker", str(one)]) == 0
    begin(two)
    assert launch(ZERO, two, "4")
    assert worker.main(["worker", str(two)]) == 0
    same(tmp_path / "one", tmp_path / "two", "model/model.safetensors", 1e-5)


@pytest.mark.usefixtures("deepspeed")
def test_pairs_in_stage_1(make_job: MakeJob, tmp_path: Path) -> None:
    options = {**OPTIONS, "examples": make_pairs(9), "dpo": {}}
    one, two = make_job("one", **options), make_job("two", **options)
    assert worker.main(["worker", str(one)]) == 0
    launch(ZERO, two, options=("--zero_stage", "1"))
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)


@pytest.mark.usefixtures("deepspeed")
@pytest.mark.parametrize("method", ["lora", "full"])
def test_half_precision_trains_float32(make_job: MakeJob, tmp_path: Path, method: str) -> None:
    one, two = (make_job(name, **OPTIONS, method=method, dtype="bfloat16") for name in ("one", "two"))
    assert worker.main(["worker", str(one)]) == 0
    launch(ZERO, two, "2")
    kept = load_file(tmp_path / "two" / "checkpoint" / "step-00000002" / "state.safetensors")
    assert {tensor.dtype for tensor in kept.values()} == {torch.float32}
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one")[:2], abs=0.02)


@pytest.mark.usefixtures("deepspeed")
def test_a_loss_that_is_no_number_ends_it_before_the_step(make_job: MakeJob, tmp_path: Path) -> None:
    assert launch(ZERO, make_job("two", **{**OPTIONS, "learning_rate": 1e30}), "100")
    assert not (tmp_path / "two" / "checkpoint").exists()
    seen = json.loads((tmp_path / "two" / "not_finite.json").read_text(encoding="utf-8"))
    assert not math.isfinite(float(seen["loss"])) or not math.isfinite(float(seen["gradient_norm"]))


def config(tmp_path: Path, **options: Any) -> Path:
    """A file for accelerate with DeepSpeed's `options`."""
    path = tmp_path / "zero.yml"
    path.write_text(json.dumps({"distributed_type": "DEEPSPEED", "deepspeed_config": options}), encoding="utf-8")
    return path


def test_without_deepspeed_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zero, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"not installed: pip install 'fireact\[deepspeed\]'"):
        ranks.refuse(ROOT / "conf" / "accelerate" / f"{ZERO}.yml")


@pytest.mark.parametrize(("options", "sentence"), [
    ({"zero_stage": 3}, "DeepSpeed's zero_stage 3; expected 1 or 2: to share out the weights as well choose FSDP2"),
    ({"offload_optimizer_device": "cpu"}, "offload_optimizer_device 'cpu'; expected none"),
])
def test_what_is_not_done_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                            options: dict[str, Any], sentence: str) -> None:
    monkeypatch.setattr(zero, "find_spec", lambda name: object())
    with pytest.raises(ConfigError, match=sentence):
        ranks.refuse(config(tmp_path, **options))
    ranks.refuse(config(tmp_path, zero_stage=1))


def test_other_files_are_not_looked_into() -> None:
    ranks.refuse(ROOT / "conf" / "accelerate" / "fsdp2_8.yml")


def test_gradients_and_moments_are_shared_out_and_weights_are_not() -> None:
    shape = LlamaConfig(hidden_size=4096, num_hidden_layers=32, intermediate_size=11008, vocab_size=32000)
    whole, shared = (memory.estimate(shape, Train(method="full"), 1024, torch.float32, shards)
                     for shards in (memory.WHOLE, memory.Shards(1, 8, 8)))
    assert shared.weights == whole.weights
    # Of its share the engine keeps the weights once more, and makes the gradients flat: 12 and 8 bytes, not 8 and 4.
    assert shared.moments == pytest.approx(whole.moments * 1.5 / 8)
    assert shared.gradients == pytest.approx(whole.gradients * 2 / 8 + zero.BUCKET * 4)
