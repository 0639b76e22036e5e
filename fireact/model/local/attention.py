"""Attention over the engine's KV, plugged into transformers as an attention implementation.

The tokens of all rows come packed in one sequence. New prompts attend row by row to KV gathered from the pool.
Decoding rows attend together: once to the trunk, the KV of the prefix that all rows share, which is read once for the
whole batch, and to their own KV, written in place.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fireact.errors import ConfigError

NAME = "fireact"


@dataclass
class Prefill:
    """New tokens of some prompts; writes their KV into the pool."""

    pool: Tensor
    """(layers, 2, slots, KV heads, head size)."""
    slots: list[Tensor]
    """The slots of each row's whole prompt."""
    known: list[int]
    """How many of them hold their KV already."""
    masks: dict[tuple[int, int | None], Tensor | None] = field(default_factory=dict)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float,
               window: int | None) -> Tensor:
        """Take packed (heads, tokens, head size); return the same shape as the query."""
        out, at = [], 0
        for row, (slots, known) in enumerate(zip(self.slots, self.known, strict=True)):
            new = len(slots) - known
            part = slice(at, at + new)
            for kind, states in enumerate((key, value)):
                self.pool[layer, kind].index_copy_(0, slots[known:], states[:, part].transpose(0, 1))
            past, past_value = self.pool[layer].index_select(1, slots[:known]).transpose(1, 2)
            mask = self._mask(row, known, new, window, query.device)
            out.append(functional.scaled_dot_product_attention(
                query[None, :, part], torch.cat([past, key[:, part]], 1)[None],
                torch.cat([past_value, value[:, part]], 1)[None], attn_mask=mask,
                is_causal=mask is None, scale=scaling, enable_gqa=True)[0])
            at += new
        return torch.cat(out, 1)

    def _mask(self, row: int, known: int, new: int, window: int | None, device: torch.device) -> Tensor | None:
        """Which keys each new token sees; None stands for plain causal attention without a past."""
        window = window if window is not None and window < known + new else None
        if known == 0 and window is None:
            return None
        if (row, window) not in self.masks:
            queries = torch.arange(known, known + new, device=device)[:, None]
            keys = torch.arange(known + new, device=device)[None]
            mask = keys <= queries
            self.masks[row, window] = mask if window is None else mask & (queries - keys < window)
        return self.masks[row, window]


@dataclass
class Decode:
    """One token of each active row, whose KV is appended in place to the row's own."""

    trunk: Tensor
    """(layers, 2, KV heads, trunk tokens, head size)."""
    own: Tensor
    """(layers, 2, row capacity, KV heads, own tokens, head size)."""
    lengths: Tensor
    """The own tokens of each row before this step."""
    longest: int
    """The most own tokens of a row, with this step's."""
    biases: dict[int | None, Tensor] = field(default_factory=dict)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float,
               window: int | None) -> Tensor:
        """Take packed (heads, rows, head size); return the same shape as the query."""
        rows, (kv_heads, size) = len(self.lengths), (key.shape[0], key.shape[-1])
        own = self.own[layer, :, :rows]
        index = torch.arange(rows, device=key.device)
        own[0, index, :, self.lengths] = key.transpose(0, 1)
        own[1, index, :, self.lengths] = value.transpose(0, 1)
        trunk, own, split = self.trunk[layer], own[..., : self.longest, :], self.trunk.shape[3]
        query = query.reshape(kv_heads, -1, rows, size).transpose(1, 2) * scaling
        scores = torch.cat([self._over_trunk(query, trunk[0].mT), query.transpose(0, 1) @ own[0].mT], -1)
        weights = (scores + self._bias(window, scores)).softmax(-1, dtype=torch.float32).to(value.dtype)
        out = weights[..., split:] @ own[1] + self._over_trunk(weights[..., :split].transpose(0, 1), trunk[1])
        return out.permute(1, 2, 0, 3).reshape(-1, rows, size)

    def _over_trunk(self, left: Tensor, right: Tensor) -> Tensor:
        """(KV heads, rows, group, n) by (KV heads, n, m), in one product a head: (rows, KV heads, group, m)."""
        return (left.flatten(1, 2) @ right).unflatten(1, left.shape[1:3]).transpose(0, 1)

    def _bias(self, window: int | None, scores: Tensor) -> Tensor:
        """0 where a row sees a key, minus infinity elsewhere: (rows, 1, 1, keys)."""
        if window not in self.biases:
            split = self.trunk.shape[3]
            keys = torch.arange(split + self.longest, device=scores.device)[None]
            position = (self.lengths + split)[:, None]
            hidden = keys > position if window is None else (keys > position) | (position - keys >= window)
            bias = torch.zeros(hidden.shape, dtype=scores.dtype, device=scores.device)
            self.biases[window] = bias.masked_fill_(hidden, float("-inf"))[:, None, None]
        return self.biases[window]


def attention(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *, scaling: float,
              kv: Prefill | Decode, sliding_window: int | None = None, softcap: float | None = None,
              s_aux: Tensor | None = None, **_: Any) -> tuple[Tensor, None]:
    """What transformers calls in every layer; tensors are (1, heads, tokens, head size). Raises ConfigError."""
    if softcap is not None or s_aux is not None:
        raise ConfigError(f"{type(module).__name__} caps its scores or has sinks, which the local engine does not "
                          "compute; serve this model with vLLM and reach it as an API model")
    out = kv.attend(module.layer_idx, query[0], key[0], value[0], scaling, sliding_window)
    return out.transpose(0, 1)[None], None
