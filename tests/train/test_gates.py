"""The gate that keeps less for the backward pass: the same numbers, and only where the model has such a gate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import GemmaConfig, GemmaForCausalLM, LlamaConfig, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaMLP

from fireact.train import gates, lora

SMALL = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2}


def loss_and_gradients(model: PreTrainedModel) -> tuple[torch.Tensor, list[torch.Tensor]]:
    ids = torch.arange(1, 41)[None]
    model.zero_grad()
    loss: Any = model(input_ids=ids, labels=ids).loss
    loss.backward()
    return loss.detach(), [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


def test_the_numbers_are_those_without_it(base: Path) -> None:
    model = lora.load_base(base, torch.float32)
    (loss, expected) = loss_and_gradients(model)
    gates.plug_in(model)
    assert all("forward" in vars(layer.mlp) for layer in model.model.layers)
    met, found = loss_and_gradients(model)
    assert torch.equal(met, loss)
    for mine, its in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-7)


class Scaled(LlamaMLP):
    """The parts of Llama's gate, in another sum, as Falcon-H1 has it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(self.up_proj(x) * self.act_fn(self.gate_proj(x) * 0.5))


@pytest.mark.parametrize("other", [lambda: GemmaForCausalLM(GemmaConfig(**SMALL, head_dim=8)),
                                   lambda: Scaled(LlamaConfig(**SMALL))], ids=["gelu", "scaled"])
def test_other_gates_stay_as_they_are(other: Callable[[], nn.Module]) -> None:
    model = other()
    gates.plug_in(model)
    assert not any("forward" in vars(module) for module in model.modules())
