"""Attention in a pack: each example attends to itself alone.

On CUDA in half precision that is one kernel (torch's varlen attention), elsewhere one call an example.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

from fireact.errors import ConfigError
from fireact.train.pack import packed
from fireact.types import Example

NAME = "fireact_packed"
_PACKABLE = {"full_attention", "sliding_attention"}
_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def can_pack(model: PreTrainedModel) -> bool:
    """Whether all layers are attention of the kinds that `attention` computes."""
    config = model.config.get_text_config()
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    return bool(model._supports_attention_backend) and layers <= _PACKABLE and not capped \
        and not any(name.endswith("sinks") for name, _ in model.named_parameters())


def attend_in_packs(model: PreTrainedModel, tries: bool = True) -> bool:
    """Make `model`, which `can_pack`, use the attention of packs.

    With `tries`, two tokens are tried first: where the model has a mask of its own, or calls attention in a way of its
    own, False is returned and it stays as it is.
    """
    before: Any = model.config._attn_implementation
    AttentionInterface.register(NAME, attention)
    model.set_attn_implementation(NAME)
    if tries:
        two = packed([Example("", (token,), (0,)) for token in (0, 1)], model.device)
        try:
            with torch.no_grad():
                model(**two.inputs, use_cache=False)
        except ConfigError:
            model.set_attn_implementation(before)
            return False
    return True


def attention(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *, scaling: float,
              cu_seq_lens_q: Tensor | None = None, max_length_q: int = 0, dropout: float = 0.0,
              sliding_window: int | None = None, **_: Any) -> tuple[Tensor, None]:
    """What transformers calls in every layer; tensors are (1, heads, tokens, head size). Raises ConfigError."""
    if cu_seq_lens_q is None or attention_mask is not None:
        raise ConfigError("the attention of this model has a mask or a way of its own, so that examples cannot be "
                          "packed; set train.packing=false")
    device = query.device.type
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        query, key, value = query.to(kind), key.to(kind), value.to(kind)
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) and not dropout:
        from torch.nn.attention.varlen import varlen_attn

        window = (-1 if sliding_window is None else sliding_window - 1, 0)
        q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
        out: Any = varlen_attn(q, k, v, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q, scale=scaling,
                               window_size=window, enable_gqa=query.shape[1] != key.shape[1])
        return out[None], None
    if device == "cpu" and _suits(query, value, max_length_q, sliding_window) and not dropout:
        return _OnCpu.apply(query, key, value, cu_seq_lens_q.tolist(), scaling), None
    sizes, parts = cu_seq_lens_q.diff().tolist(), []
    # Of a split tensor the gradient is put together once, of slices as often as there are examples.
    for size, *own in zip(sizes, *(states.split(sizes, 2) for states in (query, key, value)), strict=True):
        mask = _window(size, sliding_window, query.device)
        parts.append(functional.scaled_dot_product_attention(
            *own, attn_mask=mask, is_causal=mask is None, dropout_p=dropout, scale=scaling, enable_gqa=True))
    return torch.cat(parts, 2).transpose(1, 2), None


def _suits(query: Tensor, value: Tensor, longest: int, window: int | None) -> bool:
    """Whether `_OnCpu` can take it: all heads are alike and each token sees all before it. (It cannot be compiled.)"""
    return (query.shape[-1] == value.shape[-1] and (window is None or window >= longest)
            and not torch.compiler.is_compiling())


def _window(size: int, window: int | None, device: torch.device) -> Tensor | None:
    """Which tokens each token of an example sees, where that is not all before it."""
    if window is None or size <= window:
        return None
    place = torch.arange(size, device=device)
    behind = place[:, None] - place[None]
    return (behind >= 0) & (behind < window)


class _OnCpu(torch.autograd.Function):
    """Causal attention of each example, whose bounds are given, to itself; returns (1, tokens, heads, head size).

    It is the kernel that torch would choose. Autograd would keep keys and values as often as there are queries to each,
    and the result twice.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bounds: list[int], scale: float) -> Tensor:
        out = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format)
        sums = []
        for part in _parts(bounds):
            own, total = _FLASH(query[:, :, part], *_repeated(query, key, value, part), 0.0, True, scale=scale)
            out[:, part] = own.transpose(1, 2)
            sums.append(total)
        ctx.save_for_backward(query, key, value, out, *sums)
        ctx.bounds, ctx.scale = bounds, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, *sums = ctx.saved_tensors
        of_query, *of_others = (torch.empty_like(states) for states in (query, key, value))
        for part, total in zip(_parts(ctx.bounds), sums, strict=True):
            first, *others = _FLASH_BACKWARD(
                gradient[:, part].transpose(1, 2), query[:, :, part], *_repeated(query, key, value, part),
                out[:, part].transpose(1, 2), total, 0.0, True, scale=ctx.scale)
            of_query[:, :, part] = first
            for of_other, other in zip(of_others, others, strict=True):
                torch.sum(other.unflatten(1, (key.shape[1], -1)), 2, out=of_other[:, :, part])
        return of_query, *of_others, None, None


def _parts(bounds: list[int]) -> list[slice]:
    return [slice(start, end) for start, end in pairwise(bounds)]


def _repeated(query: Tensor, key: Tensor, value: Tensor, part: slice) -> list[Tensor]:
    """Keys and values of a part, once for each head of the queries."""
    times = query.shape[1] // key.shape[1]
    return [states[:, :, part].repeat_interleave(times, 1) for states in (key, value)]
