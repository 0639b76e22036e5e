"""Trainings that go on from an adapter, or from a whole model, that an earlier training left."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fireact.errors import ConfigError
from fireact.store import fingerprint
from fireact.train import lora, worker
from fireact.train.worker import main
from tests.model.tiny import MODULES, tiny_adapter
from tests.train.conftest import MakeJob, make_pairs, read_metrics

ADAPTER = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of rank 4 with random weights."""
    return tiny_adapter(base, tmp_path_factory.mktemp("adapter"))


def test_its_weights_are_where_the_training_begins_and_its_shape_holds(make_job: MakeJob, adapter: Path) -> None:
    job = worker.read_job(make_job(start_from=str(adapter), rank=64, targets=["q_proj"], max_steps=1,
                                   learning_rate=1e-9))
    before = (adapter / ADAPTER).read_bytes()
    worker.run(job)
    started, left = load_file(adapter / ADAPTER), load_file(job.out / "adapter" / ADAPTER)
    assert started.keys() == left.keys()
    for name, weight in started.items():
        torch.testing.assert_close(left[name], weight, rtol=0, atol=1e-6)
    config = json.loads((job.out / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"], sorted(config["target_modules"])) == (4, 8, sorted(MODULES))
    assert config["base_model_name_or_path"] == "tiny/llama"
    assert "| rank | 4 |" in (job.out / "adapter" / "README.md").read_text(encoding="utf-8")
    told = json.loads((job.out / "adapter" / "fireact.json").read_text(encoding="utf-8"))
    assert told["train"]["start_from"] == fingerprint(adapter)
    assert (adapter / ADAPTER).read_bytes() == before


def test_a_supervised_training_goes_on(make_job: MakeJob, tmp_path: Path) -> None:
    assert main(["worker", str(make_job("one", epochs=3))]) == 0
    assert main(["worker", str(make_job("two", epochs=1, start_from=str(tmp_path / "one" / "adapter")))]) == 0
    first, second = (read_metrics(tmp_path / name) for name in ("one", "two"))
    assert second[0]["loss"] < first[0]["loss"] - 0.05


def test_a_whole_model_goes_on(make_job: MakeJob, tmp_path: Path) -> None:
    options = {"method": "full", "learning_rate": 1e-3}
    assert main(["worker", str(make_job("one", **options, epochs=3))]) == 0
    assert main(["worker", str(make_job("two", **options, start_from=str(tmp_path / "one" / "model")))]) == 0
    first, second = (read_metrics(tmp_path / name) for name in ("one", "two"))
    assert second[0]["loss"] < first[0]["loss"]


def test_pairs_are_held_against_the_adapter_not_the_base(make_job: MakeJob, adapter: Path) -> None:
    pairs = make_pairs(40)
    at_base = worker.start(worker.read_job(make_job("base", dpo={})), pairs, [])
    at_adapter = worker.start(worker.read_job(make_job("adapter", dpo={}, start_from=str(adapter))), pairs, [])
    for one, other in zip(at_base.examples, at_adapter.examples, strict=True):
        assert one.reference != pytest.approx(other.reference, abs=1e-2)
    loss, measures = at_adapter._backward(list(range(8)))
    assert loss == pytest.approx(0.693147, abs=1e-4)
    assert measures["reward_margin"] == pytest.approx(0, abs=1e-4)


def test_the_fused_arithmetic_is_used_for_it_too(base: Path, adapter: Path) -> None:
    train = lora.as_started(replace(worker.Train(), start_from=adapter))
    model = lora.attach(lora.load_base(base, torch.float32), train, "tiny")
    assert sum("forward" in vars(module) for module in model.modules()) == 14
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}


def test_a_job_is_another_with_another_start(make_job: MakeJob, base: Path, adapter: Path, tmp_path: Path) -> None:
    other = tiny_adapter(base, tmp_path / "other", seed=1)
    starts = [None, str(adapter), str(other)]
    hashes = [worker.read_job(make_job(f"job{number}", start_from=start)).hash() for number, start in enumerate(starts)]
    assert len(set(hashes)) == 3


def test_a_start_of_another_kind_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no LoRA adapter's folder, for it has no adapter_config\.json"):
        lora.as_started(worker.Train(start_from=base))
    with pytest.raises(ConfigError, match=r"is no model's folder, for it has no config\.json"):
        lora.as_started(worker.Train(start_from=adapter, method="full"))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "adapter_config.json").write_text("{")
    with pytest.raises(ConfigError, match="expected an adapter of PEFT"):
        lora.as_started(worker.Train(start_from=broken))
    config = (adapter / "adapter_config.json").read_text().replace('"r": 4', '"r": 5')
    (broken / "adapter_config.json").write_text(config)
    (broken / ADAPTER).write_bytes((adapter / ADAPTER).read_bytes())
    with pytest.raises(ConfigError, match="does not fit the model"):
        lora.attach(lora.load_base(base, torch.float32), worker.Train(start_from=broken), "tiny")
