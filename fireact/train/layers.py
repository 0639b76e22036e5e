"""Norms, rotary positions and gates of Llama-like layers, in forms that keep less for the backward pass and make less.

(Liger's kernels do the same on a GPU.) The numbers are those of transformers but for rounding. A layer takes part that
is computed as Llama's is, word for word; those of many models are.
"""

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm, apply_rotary_pos_emb, rotate_half

_ROTARY = apply_rotary_pos_emb.__name__
_SILU = tuple({type(ACT2FN[name]) for name in ("silu", "swish")})


def plug_in(model: PreTrainedModel) -> None:
    """Make the layers of `model` that compute what Llama's do use these forms."""
    gated = _gated if model.is_gradient_checkpointing else _gated_once
    for module in model.modules():
        forward = type(module).forward
        if _same(forward, LlamaRMSNorm.forward):
            module.forward = partial(_normed, module)
        elif _same(forward, LlamaMLP.forward) and isinstance(module.act_fn, _SILU):
            module.forward = partial(gated, module)
        elif _turns(forward):
            module.forward = partial(_turning(forward), module)


def _turns(forward: Any) -> bool:
    """Whether a function calls the rotary positions of its module, and these are Llama's, in all that they call."""
    if not isinstance(forward, FunctionType) or _ROTARY not in forward.__code__.co_names:
        return False
    turn: Any = forward.__globals__.get(_ROTARY)
    return _same(turn, apply_rotary_pos_emb) and _same(turn.__globals__.get(rotate_half.__name__), rotate_half)


def _same(one: Any, other: Callable[..., Any]) -> bool:
    """Whether two functions have the same code, docstrings aside."""
    return isinstance(one, FunctionType) and _code(one) == _code(other)


def _code(function: Any) -> tuple[Any, ...]:
    code = function.__code__
    constants = tuple(value for value in code.co_consts if value not in (None, function.__doc__))
    return function.__defaults__, code.co_argcount, code.co_code, code.co_names, constants


def _normed(module: Any, x: Tensor) -> Tensor:
    return _Norm.apply(x, module.weight, module.variance_epsilon)


class _Norm(torch.autograd.Function):
    """weight x / sqrt(mean(x²) + epsilon), in float32 but for the weight (Zhang & Sennrich 2019).

    Autograd would keep x / sqrt(…) too, twice.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = length.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        unit = (x * scale).to(x.dtype)
        return unit.mul_(weight) if unit.dtype == weight.dtype else unit * weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, weight, scale = ctx.saved_tensors
        unit = x.float() * scale
        of_weight = (gradient * unit).flatten(0, -2).sum(0).to(weight.dtype) if ctx.needs_input_grad[1] else None
        inward = (gradient * weight).float()
        of_x = inward.addcmul_(unit, (inward * unit).mean(-1, keepdim=True), value=-1).mul_(scale)
        return of_x.to(x.dtype), of_weight, None


def _turning(forward: Any) -> Callable[..., Any]:
    """The same function, which finds `_rotated` under the name of transformers' function."""
    turning = FunctionType(forward.__code__, forward.__globals__ | {_ROTARY: _rotated}, forward.__name__,
                           forward.__defaults__, forward.__closure__)
    turning.__kwdefaults__ = forward.__kwdefaults__
    return turning


def _rotated(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor, unsqueeze_dim: int = 1) -> tuple[Tensor, Tensor]:
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return _Rotary.apply(query, cos, sin), _Rotary.apply(key, cos, sin)


class _Rotary(torch.autograd.Function):
    """Queries or keys x, (rows, heads, tokens, head size), turned by their positions (Su et al. 2021)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(gradient, cos, -sin.roll(sin.shape[-1] // 2, -1)), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x cos + (-x2, x1) sin, of the halves (x1, x2) of x."""
    turned = torch.empty_like(x, dtype=torch.result_type(x, cos))
    (x1, x2), (cos1, cos2), (sin1, sin2) = (part.chunk(2, -1) for part in (x, cos, sin))
    turned1, turned2 = turned.chunk(2, -1)
    torch.mul(x1, cos1, out=turned1).addcmul_(x2, sin1, value=-1)
    torch.mul(x2, cos2, out=turned2).addcmul_(x1, sin2)
    return turned


def _gated(module: Any, x: Tensor) -> Tensor:
    return module.down_proj(_Gate.apply(module.gate_proj(x), module.up_proj(x)))


def _gated_once(module: Any, x: Tensor) -> Tensor:
    """As `_gated`, but what goes into `down_proj` is computed again for the backward pass.

    It is known by its address, which is its own until `down_proj` returns.

    Gradient checkpointing, which does that for whole layers, would have its hooks replaced by these.
    """
    gate, up = module.gate_proj(x), module.up_proj(x)
    product = _Gate.apply(gate, up)
    place, gate, up = product.data_ptr(), gate.detach(), up.detach()

    def keep(tensor: Tensor) -> Tensor | torch.Size:
        same = tensor.data_ptr() == place and tensor.numel() == gate.numel() and tensor.is_contiguous()
        return tensor.shape if same else tensor

    def give(kept: Tensor | torch.Size) -> Tensor:
        return kept if isinstance(kept, Tensor) else _product(gate, up).view(kept)

    with saved_tensors_hooks(keep, give):
        return module.down_proj(product)


def _product(gate: Tensor, up: Tensor) -> Tensor:
    return functional.silu(gate).mul_(up)


class _Gate(torch.autograd.Function):
    """silu(gate) up; autograd would keep silu(gate) too."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return _product(gate, up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        of_up = _product(gate, gradient)
        return torch.ops.aten.silu_backward(gradient * up, gate), of_up
