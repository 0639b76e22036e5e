"""The gate of a Llama-like layer, silu(gate) * up, which keeps its two inputs alone for the backward pass.

Autograd would keep silu(gate) too, a seventh of all activations of a LoRA training. (Liger's kernel does the same on a
GPU.) Forwards the numbers are those of transformers, to the last bit.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers.activations import ACT2FN
from transformers.models.llama.modeling_llama import LlamaMLP

_SILU = tuple({type(ACT2FN[name]) for name in ("silu", "swish")})
_CODE = LlamaMLP.forward.__code__

def plug_in(model: nn.Module) -> None:
    """Make the layers of `model` that compute what Llama's do, word for word, use this gate."""
    for module in model.modules():
        code = getattr(type(module).forward, "__code__", None)
        if code and (code.co_code, code.co_names) == (_CODE.co_code, _CODE.co_names) and isinstance(
                module.act_fn, _SILU):
            module.forward = partial(_forward, module)


def _forward(module: Any, x: Tensor) -> Tensor:
    return module.down_proj(_Gate.apply(module.gate_proj(x), module.up_proj(x)))


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return functional.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        of_up = functional.silu(gate).mul_(gradient)
        return torch.ops.aten.silu_backward(gradient * up, gate), of_up
