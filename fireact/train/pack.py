"""Put examples into one forward pass: packed one behind the other, or padded where the model cannot have that.

In a pack each example attends to itself alone and its positions begin at 0, so it is computed as if it were by itself.
On CUDA in half precision that is one kernel (torch's varlen attention), elsewhere one call an example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

from fireact.train.data import IGNORE
from fireact.types import Example

NAME = "fireact_packed"
_PACKABLE = {"full_attention", "sliding_attention"}


@dataclass(frozen=True)
class Batch:
    """What one forward pass takes, and what its predictions are held against."""

    inputs: dict[str, Any]
    """The arguments of the model."""
    targets: Tensor
    """(rows, tokens): the token after each position, IGNORE where that is not trained on."""
    weights: Tensor
    """(rows, tokens): its weight in the loss."""


def can_pack(model: PreTrainedModel) -> bool:
    """Whether all layers are attention of the kinds that `attention` computes."""
    config = model.config.get_text_config()
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    return bool(model._supports_attention_backend) and layers <= _PACKABLE and not capped \
        and not any(name.endswith("sinks") for name, _ in model.named_parameters())


def plug_in(model: PreTrainedModel) -> None:
    """Make `model`, which `can_pack`, use the attention of packs."""
    AttentionInterface.register(NAME, attention)
    model.set_attn_implementation(NAME)


def packed(examples: Sequence[Example], device: torch.device) -> Batch:
    """Return examples as one row; none of them makes a row of one token that is not trained on."""
    ids, targets, weights, positions, starts = [], [], [], [], [0]
    for example in examples:
        ids += example.ids
        targets += _targets(example)
        weights += [*example.mask[1:], 0]
        positions += range(len(example.ids))
        starts.append(len(ids))
    if not examples:
        ids, targets, weights, positions, starts = [0], [IGNORE], [0], [0], [0, 1]
    bounds = torch.tensor(starts, dtype=torch.int32, device=device)
    longest = max(end - start for start, end in pairwise(starts))
    inputs = {"input_ids": torch.tensor([ids], device=device), "position_ids": torch.tensor([positions], device=device),
              "cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds, "max_length_q": longest, "max_length_k": longest}
    return Batch(inputs, torch.tensor([targets], device=device),
                 torch.tensor([weights], device=device, dtype=torch.float32))


def padded(examples: Sequence[Example], device: torch.device) -> Batch:
    """Return examples as equally long rows, filled up on the right with id 0 under an attention mask."""
    if not examples:
        examples = [Example("", (0,), (0,))]
    longest = max(len(example.ids) for example in examples)
    ids, seen, targets, weights = [], [], [], []
    for example in examples:
        size, fill = len(example.ids), longest - len(example.ids)
        ids.append([*example.ids, *[0] * fill])
        seen.append([*[1] * size, *[0] * fill])
        targets.append([*_targets(example), *[IGNORE] * fill])
        weights.append([*example.mask[1:], *[0] * (fill + 1)])
    inputs = {"input_ids": torch.tensor(ids, device=device), "attention_mask": torch.tensor(seen, device=device)}
    return Batch(inputs, torch.tensor(targets, device=device),
                 torch.tensor(weights, device=device, dtype=torch.float32))


def _targets(example: Example) -> list[int]:
    following = zip(example.ids[1:], example.mask[1:], strict=True)
    return [*(token if weight else IGNORE for token, weight in following), IGNORE]


def attention(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *, scaling: float,
              cu_seq_lens_q: Tensor, max_length_q: int, dropout: float = 0.0, sliding_window: int | None = None,
              **_: Any) -> tuple[Tensor, None]:
    """What transformers calls in every layer; tensors are (1, heads, tokens, head size)."""
    if query.is_cuda and torch.is_autocast_enabled("cuda"):
        kind = torch.get_autocast_dtype("cuda")
        query, key, value = query.to(kind), key.to(kind), value.to(kind)
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) and not dropout:
        from torch.nn.attention.varlen import varlen_attn

        window = (-1 if sliding_window is None else sliding_window - 1, 0)
        q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
        out: Any = varlen_attn(q, k, v, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q, scale=scaling,
                               window_size=window, enable_gqa=query.shape[1] != key.shape[1])
        return out[None], None
    sizes, parts = cu_seq_lens_q.diff().tolist(), []
    # Of a split tensor the gradient is put together once, of slices as often as there are examples.
    for size, *own in zip(sizes, *(states.split(sizes, 2) for states in (query, key, value)), strict=True):
        mask = _window(size, sliding_window, query.device)
        parts.append(functional.scaled_dot_product_attention(
            *own, attn_mask=mask, is_causal=mask is None, dropout_p=dropout, scale=scaling, enable_gqa=True))
    return torch.cat(parts, 2).transpose(1, 2), None


def _window(size: int, window: int | None, device: torch.device) -> Tensor | None:
    """Which tokens each token of an example sees, where that is not all before it."""
    if window is None or size <= window:
        return None
    place = torch.arange(size, device=device)
    behind = place[:, None] - place[None]
    return (behind >= 0) & (behind < window)
