"""Attention in a pack: each example attends to itself alone.

On CUDA in half precision that is one kernel (torch's varlen attention), elsewhere one call an example. Tokens that
several examples share are put before each of them again, here alone.
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
from fireact.train.pack import Shared, packed
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
              sliding_window: int | None = None, **passed: Any) -> tuple[Tensor, None]:
    """What transformers calls in every layer; tensors are (1, heads, tokens, head size). Raises ConfigError."""
    if cu_seq_lens_q is None or "shared" not in passed or attention_mask is not None:
        raise ConfigError("the attention of this model has a mask or a way of its own, so that examples cannot be "
                          "packed; set train.packing=false")
    shared: Shared | None = passed["shared"]
    device = query.device.type
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        query, key, value = query.to(kind), key.to(kind), value.to(kind)
    if device == "cpu" and _suits(query, value, max_length_q, sliding_window) and not dropout:
        runs = shared.runs if shared else [[slice(*pair)] for pair in pairwise(cu_seq_lens_q.tolist())]
        return _OnCpu.apply(query, key, value, runs, scaling), None
    if shared:
        query, key, value = (states.index_select(2, shared.places) for states in (query, key, value))
    out = _attended(query, key, value, cu_seq_lens_q, max_length_q, sliding_window, dropout, scaling)
    return out.index_select(1, shared.own) if shared else out, None


def _attended(query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, longest: int, sliding_window: int | None,
              dropout: float, scaling: float) -> Tensor:
    """Causal attention of each example, whose bounds are given, to itself; returns (1, tokens, heads, head size)."""
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) and not dropout:
        from torch.nn.attention.varlen import varlen_attn

        window = (-1 if sliding_window is None else sliding_window - 1, 0)
        q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
        out: Any = varlen_attn(q, k, v, bounds, bounds, longest, longest, scale=scaling, window_size=window,
                               enable_gqa=query.shape[1] != key.shape[1])
        return out[None]
    sizes, parts = bounds.diff().tolist(), []
    # Of a split tensor the gradient is put together once, of slices as often as there are examples.
    for size, *own in zip(sizes, *(states.split(sizes, 2) for states in (query, key, value)), strict=True):
        mask = _window(size, sliding_window, query.device)
        parts.append(functional.scaled_dot_product_attention(
            *own, attn_mask=mask, is_causal=mask is None, dropout_p=dropout, scale=scaling, enable_gqa=True))
    return torch.cat(parts, 2).transpose(1, 2)


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
    """Causal attention of each example, with tokens in `runs`, to itself; returns (1, tokens, heads, head size).

    It is the kernel that torch would choose. Autograd would keep keys and values as often as there are queries to each,
    and the result twice. What an example shares with another is attended again, forwards and backwards: it is not the
    attention that takes the time.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, runs: list[list[slice]],
                scale: float) -> Tensor:
        out = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format)
        sums = []
        for parts in runs:
            of_all, total = _FLASH(_rows(query, parts), *_repeated(query, key, value, parts), 0.0, True, scale=scale)
            own = out[:, parts[-1]]
            own.copy_(of_all[:, :, of_all.shape[2] - own.shape[1]:].transpose(1, 2))
            sums.append(total)
        ctx.save_for_backward(query, key, value, out, *sums)
        ctx.runs, ctx.scale = runs, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, *sums = ctx.saved_tensors
        gradient, out = gradient.transpose(1, 2), out.transpose(1, 2)
        of_query = torch.empty_like(query)
        # Summed up over all who share them.
        exact = torch.promote_types(key.dtype, torch.float32)
        of_others = [torch.zeros_like(states, dtype=exact) for states in (key, value)]
        for parts, total in zip(ctx.runs, sums, strict=True):
            first, *others = _FLASH_BACKWARD(
                _own_rows(gradient, parts), _rows(query, parts), *_repeated(query, key, value, parts),
                _rows(out, parts), total, 0.0, True, scale=ctx.scale)
            own = of_query[:, :, parts[-1]]
            own.copy_(first[:, :, first.shape[2] - own.shape[2]:])
            for of_other, other in zip(of_others, others, strict=True):
                _add(of_other, parts, other.unflatten(1, (key.shape[1], -1)).sum(2))
        return of_query, *(of_other.to(key.dtype) for of_other in of_others), None, None


def _rows(states: Tensor, parts: list[slice]) -> Tensor:
    """The tokens of an example, of states (1, heads, tokens, head size)."""
    return states[:, :, parts[0]] if len(parts) == 1 else torch.cat([states[:, :, part] for part in parts], 2)


def _own_rows(gradient: Tensor, parts: list[slice]) -> Tensor:
    """The same with zeros for what it shares: this is another's result."""
    *shared, own = (gradient[:, :, part] for part in parts)
    return torch.cat([*(torch.zeros_like(part) for part in shared), own], 2) if shared else own


def _add(states: Tensor, parts: list[slice], rows: Tensor) -> None:
    """Add the rows of an example to those of all."""
    for part, some in zip(parts, rows.split([part.stop - part.start for part in parts], 2), strict=True):
        states[:, :, part] += some


def _repeated(query: Tensor, key: Tensor, value: Tensor, parts: list[slice]) -> list[Tensor]:
    """Keys and values of an example, once for each head of the queries."""
    times = query.shape[1] // key.shape[1]
    return [_rows(states, parts).repeat_interleave(times, 1) for states in (key, value)]
