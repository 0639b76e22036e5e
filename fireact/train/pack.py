"""Put examples into one forward pass: packed one behind the other, or padded where the model cannot have that.

In a pack each example attends to itself alone (fireact/train/attention.py) and its positions begin at 0, so it is
computed as if it were by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from fireact.train.data import IGNORE
from fireact.types import Example


@dataclass(frozen=True)
class Batch:
    """What one forward pass takes, and what its predictions are held against."""

    inputs: dict[str, Any]
    """The arguments of the model."""
    targets: Tensor
    """(rows, tokens): the token after each position, IGNORE where that is not trained on."""
    weights: Tensor
    """(rows, tokens): its weight in the loss."""


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
