"""Layers that keep less for the backward pass: the same numbers, and only where the model has such layers."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    NanoChatConfig,
    NanoChatForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    StableLmConfig,
    StableLmForCausalLM,
)
from transformers.models.llama.modeling_llama import LlamaMLP, apply_rotary_pos_emb

from fireact.train import layers

SMALL = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2}
MODELS: dict[str, tuple[Callable[[], Any], dict[str, int]]] = {
    "llama": (lambda: LlamaForCausalLM(LlamaConfig(**SMALL)), {"Attention": 2, "MLP": 2, "RMSNorm": 5}),
    "queries are normed": (lambda: Qwen3ForCausalLM(Qwen3Config(**SMALL, head_dim=8)),
                           {"Attention": 2, "MLP": 2, "RMSNorm": 9}),
    "norms from 1, gates by gelu": (lambda: GemmaForCausalLM(GemmaConfig(**SMALL, head_dim=8)), {"Attention": 2}),
    "turned the other way": (lambda: NanoChatForCausalLM(NanoChatConfig(**SMALL)), {}),
    "a part is turned": (lambda: StableLmForCausalLM(StableLmConfig(**SMALL)), {"Attention": 2, "MLP": 2}),
    "learnt positions": (lambda: GPT2LMHeadModel(GPT2Config(
        vocab_size=96, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)), {})}


def loss_and_gradients(model: PreTrainedModel) -> tuple[torch.Tensor, list[torch.Tensor]]:
    ids = torch.arange(1, 41)[None]
    loss: Any = model(input_ids=ids, labels=ids).loss
    loss.backward()
    return loss.detach(), [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
@pytest.mark.parametrize("name", MODELS)
def test_the_numbers_are_those_without_them(name: str, checkpointing: bool) -> None:
    torch.manual_seed(0)
    make, replaced = MODELS[name]
    model = make().train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    ours = deepcopy(model)
    layers.plug_in(ours)
    kinds = [type(module).__name__ for module in ours.modules() if "forward" in vars(module)]
    assert Counter(next(part for part in ("Attention", "MLP", "RMSNorm") if kind.endswith(part))
                   for kind in kinds) == replaced
    loss, expected = loss_and_gradients(model)
    met, found = loss_and_gradients(ours)
    torch.testing.assert_close(met, loss, rtol=1e-6, atol=0)
    for mine, its in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_as_near_to_the_truth_as_without_them(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    exact = LlamaForCausalLM(LlamaConfig(**SMALL)).train()
    plain, ours = (deepcopy(exact).to(dtype) for _ in range(2))
    layers.plug_in(ours)
    (_, true), (_, its), (_, mine) = (loss_and_gradients(model) for model in (exact, plain, ours))
    for truth, one, other in zip(true, mine, its, strict=True):
        assert one.dtype == dtype
        assert (one.float() - truth).norm() <= 1.5 * (other.float() - truth).norm() + 1e-3 * truth.norm()


def test_autocast_may_give_positions_another_precision_than_queries() -> None:
    torch.manual_seed(0)
    plain = LlamaForCausalLM(LlamaConfig(**SMALL)).train()
    ours = deepcopy(plain)
    layers.plug_in(ours)
    with torch.autocast("cpu", torch.bfloat16):
        (loss, expected), (met, found) = loss_and_gradients(plain), loss_and_gradients(ours)
    torch.testing.assert_close(met, loss, rtol=1e-3, atol=0)
    for mine, its in zip(found, expected, strict=True):
        assert (mine - its).norm() <= 0.05 * its.norm() + 1e-6


class Scaled(LlamaMLP):
    """The parts of Llama's gate, in another sum, as Falcon-H1 has it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(self.up_proj(x) * self.act_fn(self.gate_proj(x) * 0.5))


class OneMore(nn.Module):
    """Llama's norm but for a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.variance_epsilon = nn.Parameter(torch.ones(8)), 1e-6

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        input_dtype = hidden_states.dtype
        hidden_states = hidden_states.to(torch.float32)
        variance = hidden_states.pow(3).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        return self.weight * hidden_states.to(input_dtype)


@pytest.mark.parametrize("other", [lambda: Scaled(LlamaConfig(**SMALL)), OneMore], ids=["scaled", "another power"])
def test_other_sums_stay_as_they_are(other: Callable[[], nn.Module]) -> None:
    model: Any = other()
    model.is_gradient_checkpointing = False
    layers.plug_in(model)
    assert not any("forward" in vars(module) for module in model.modules())


def test_rotary_positions_of_any_angles() -> None:
    """Of which the halves differ, too."""
    draw = torch.Generator().manual_seed(0)
    query, key = (torch.randn(2, heads, 5, 8, generator=draw, dtype=torch.float64, requires_grad=True)
                  for heads in (4, 2))
    cos, sin = (torch.randn(2, 5, 8, generator=draw, dtype=torch.float64) for _ in range(2))
    for mine, its in zip(layers._rotated(query, key, cos, sin), apply_rotary_pos_emb(query, key, cos, sin),
                         strict=True):
        torch.testing.assert_close(mine, its)
    assert torch.autograd.gradcheck(lambda *states: layers._rotated(*states, cos, sin), (query, key))
