"""Adapters: PEFT's format and results, another arithmetic."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn.functional import cross_entropy

from fireact.errors import ConfigError, DataError
from fireact.plugins import check
from fireact.train import Train, lora


def gradients(model: torch.nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of made-up ids, and the gradient of every adapter, whose weights are set to known values first."""
    draw = torch.Generator().manual_seed(0)
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    for weight in weights.values():
        weight.data = torch.randn(weight.shape, generator=draw) * 0.1
    ids = torch.randint(0, 96, (3, 17), generator=draw)
    logits = model(input_ids=ids).logits
    loss = cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    return loss, {name: weight.grad for name, weight in weights.items() if weight.grad is not None}


def test_the_fused_arithmetic_is_that_of_peft(base: Path) -> None:
    fused = lora.attach(lora.load_base(base, torch.float32), Train(rank=4, alpha=12), "tiny")
    plain = get_peft_model(lora.load_base(base, torch.float32),  # type: ignore[arg-type]
                           LoraConfig(r=4, lora_alpha=12, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert sum("forward" in vars(module) for module in fused.modules()) == 14
    loss, ours = gradients(fused)
    expected_loss, theirs = gradients(plain)
    assert ours.keys() == theirs.keys()
    torch.testing.assert_close(loss, expected_loss)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-4, atol=1e-7)


def test_the_fused_arithmetic_in_half_precision_is_that_of_peft(base: Path) -> None:
    """Weights in bfloat16 beside adapters in float32, under autocast as accelerate has it."""
    fused = lora.attach(lora.load_base(base, torch.bfloat16), Train(rank=4, alpha=12), "tiny")
    plain = get_peft_model(lora.load_base(base, torch.bfloat16),  # type: ignore[arg-type]
                           LoraConfig(r=4, lora_alpha=12, target_modules="all-linear", task_type="CAUSAL_LM"))
    exact = lora.attach(lora.load_base(base, torch.float32), Train(rank=4, alpha=12), "tiny")
    assert sum("forward" in vars(module) for module in fused.modules()) == 14
    with torch.autocast("cpu", torch.bfloat16):
        loss, ours = gradients(fused)
        expected_loss, theirs = gradients(plain)
    _, true = gradients(exact)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-2, atol=1e-2)
    for name, gradient in ours.items():
        assert gradient.dtype == torch.float32
        scale = true[name].norm()
        assert (gradient - true[name]).norm() < max(2 * (theirs[name] - true[name]).norm(), 0.02 * scale)


@pytest.mark.parametrize("options", [{"dropout": 0.1}, {"bias": "all"}])
def test_what_the_fused_arithmetic_does_not_know_is_left_to_peft(base: Path, options: dict) -> None:
    model = lora.load_base(base, torch.float32)
    if "bias" in options:
        model = model.__class__(model.config.__class__(**{**model.config.to_dict(), "attention_bias": True}))
    adapted = lora.attach(model, Train(**options, targets=["q_proj"]), "tiny")
    assert not any("forward" in vars(module) for module in adapted.modules())


def test_unknown_targets_are_refused_with_those_that_exist(base: Path) -> None:
    model = lora.load_base(base, torch.float32)
    with pytest.raises(ConfigError, match=r"'query', which is no linear module .* down_proj, .* v_proj"):
        lora.attach(model, Train(targets=["q_proj", "query"]), "tiny")
    with pytest.raises(ConfigError, match=r"train\.targets is empty"):
        lora.attach(model, Train(targets=[]), "tiny")


def test_a_head_is_refused_where_it_is_the_embedding_too(base: Path, untied: Path) -> None:
    """Merged into one, an adapter of the other would be lost or change both."""
    with pytest.raises(ConfigError, match="names 'lm_head', whose weights are those of this model's embedding too"):
        lora.attach(lora.load_base(base, torch.float32), Train(targets=["q_proj", "lm_head"]), "tiny")
    adapted = lora.attach(lora.load_base(untied, torch.float32), Train(targets=["q_proj", "lm_head"]), "tiny")
    assert any("lm_head.lora_A" in name for name, _ in adapted.named_parameters())


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no config\.json"):
        lora.read_config(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    with pytest.raises(DataError, match="cannot be loaded"):
        lora.load_base(tmp_path, torch.float32)


@pytest.mark.parametrize(("options", "sentence"), [
    ({"rank": 0}, r"train\.rank=0 does not fit: input should be greater than or equal to 1"),
    ({"learning_rate": 0.0}, r"train\.learning_rate=0\.0 does not fit: input should be greater than 0"),
    ({"learning_rate": float("inf")}, r"train\.learning_rate=inf does not fit: input should be a finite number"),
    ({"epochs": float("nan")}, r"train\.epochs=nan does not fit"),
    ({"dropout": 1.0}, r"train\.dropout=1\.0 does not fit: input should be less than 1"),
    ({"warmup_ratio": 1.5}, r"train\.warmup_ratio=1\.5 does not fit: input should be less than or equal to 1"),
    ({"weight_decay": -0.1}, r"train\.weight_decay=-0\.1 does not fit: input should be greater than or equal to 0"),
])
def test_numbers_out_of_range_are_refused(options: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check({"_target_": "fireact.train.Train", **options}, "train")


@pytest.mark.parametrize("name", ["rank", "alpha", "max_steps", "batch_size", "micro_batch_tokens", "max_length",
                                  "checkpoint_every", "log_every", "validate_every", "threads", "processes"])
def test_every_count_is_at_least_one(name: str) -> None:
    check({"_target_": "fireact.train.Train", name: 1}, "train")
    with pytest.raises(ConfigError, match=f"train.{name}=0 does not fit: input should be greater than or equal to 1"):
        check({"_target_": "fireact.train.Train", name: 0}, "train")
