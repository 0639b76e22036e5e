"""A student made whole: what was trained whole stays what it is, a sum is rounded once, all or nothing is left."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from fireact.errors import ConfigError, DataError
from fireact.parity import PARITY
from fireact.train import merge, prepare
from tests.helpers import files_up_to
from tests.model.tiny import tiny_adapter, tiny_model
from tests.train.test_prepare import RECORDS, job


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("student"))


def values(base: Path, adapter: Path, **given: Any) -> dict[str, Any]:
    model = {"_target_": "fireact.model.local.Local", "name": "tiny", "source": str(base), "template": "alpaca"}
    return {"model": model, "adapter": str(adapter), "adapter_key": "k", "dtype": "auto", "weights": True,
            "home": str(adapter / "home"), **given}


def test_a_model_trained_whole_is_its_own(base: Path, tmp_path: Path) -> None:
    prepare.run(job(tmp_path, base, RECORDS, method="full", max_steps=2), tmp_path)
    merge.run(values(base, tmp_path / "model"), tmp_path / "merged")
    made = tmp_path / "merged" / merge.MODEL
    before, after = (load_file(folder / "model.safetensors") for folder in (tmp_path / "model", made))
    assert all(torch.equal(before[name], after[name]) for name in before | after)
    assert AutoModelForCausalLM.from_pretrained(made).generation_config
    assert "Observation" in AutoTokenizer.from_pretrained(made).chat_template


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_the_sum_is_rounded_once(base: Path, tmp_path: Path, dtype: str) -> None:
    adapter = tiny_adapter(base, tmp_path / "adapter")
    merge.run(values(base, adapter, dtype=dtype), tmp_path)
    whole = load_file(tmp_path / merge.MODEL / "model.safetensors")["model.layers.0.self_attn.q_proj.weight"]
    before = load_file(base / "model.safetensors")["model.layers.0.self_attn.q_proj.weight"]
    tensors = load_file(adapter / "adapter_model.safetensors")
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    expected = before + 2 * tensors[name.format("B")] @ tensors[name.format("A")]
    kind = torch.float32 if dtype == "auto" else torch.bfloat16
    assert whole.dtype == kind
    torch.testing.assert_close(whole, expected.to(kind), rtol=1e-6 if dtype == "auto" else 0.008, atol=1e-6)


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize(("dtype", "least", "most"), [("float32", 0.0, 1e-3), ("bfloat16", 1e-4, 0.3)])
def test_what_was_written_is_held_against_the_training(base: Path, tmp_path: Path, method: str, dtype: str,
                                                       least: float, most: float) -> None:
    prepare.run(job(tmp_path, base, RECORDS, method=method, max_steps=2), tmp_path)
    student = tmp_path / ("adapter" if method == "lora" else "model")
    merge.run(values(base, student, dtype=dtype), tmp_path / "merged")
    written = load_file(tmp_path / "merged" / merge.MODEL / "model.safetensors")
    assert {tensor.dtype for tensor in written.values()} == {getattr(torch, dtype)}
    found = json.loads((tmp_path / "merged" / PARITY).read_text(encoding="utf-8"))["forms"]
    assert least <= found[f"published model in {dtype}"]["largest_difference"] < most


def test_only_the_tokenizer_where_no_weights_are_wanted(base: Path, tmp_path: Path) -> None:
    merge.run(values(base, tiny_adapter(base, tmp_path / "adapter"), weights=False), tmp_path / "made")
    assert {path.name for path in (tmp_path / "made").iterdir()} == {merge.TOKENIZER, "done.json"}


def test_what_does_not_fit_or_cannot_be_written(base: Path, tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "other", seed=1)
    adapter = tiny_adapter(base, tmp_path / "adapter")
    with pytest.raises(ConfigError, match="was trained on"):
        merge.run(values(other, adapter), tmp_path / "made")
    with files_up_to(100_000), pytest.raises(DataError, match="cannot write under"):
        merge.run(values(base, adapter), tmp_path / "made")
    assert not (tmp_path / "made" / merge.MODEL).exists()
    assert not (tmp_path / "made" / "done.json").exists()
    merge.run(values(base, adapter), tmp_path / "made")
    assert (tmp_path / "made" / merge.MODEL / "model.safetensors").exists()
