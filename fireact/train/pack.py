"""Put examples into one forward pass: packed one behind the other, or padded where the model cannot have that.

In a pack each example attends to itself alone (fireact/train/attention.py) and its positions begin at 0, so it is
computed as if it were by itself. What several begin with alike, a system prompt or the question of a pair of
preferences, is in the pack once: its states follow from itself alone, so they are the same for all. (Only attention
computes it again for each.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any

import torch
from torch import Tensor

from fireact.types import Example

LEAST = 8
"""Tokens that examples begin with alike, from which on these are shared."""


@dataclass(frozen=True)
class Batch:
    """What one forward pass takes, and what its predictions are held against."""

    inputs: dict[str, Any]
    """The arguments of the model."""
    places: Tensor
    """(trained tokens,): the places that they are predicted at, in all rows one behind the other."""
    targets: Tensor
    """(trained tokens,): these tokens, those of each example behind those of the one before."""
    weights: Tensor
    """(trained tokens,): their weights in the loss."""
    owners: Tensor
    """(trained tokens,): the numbers of their examples."""


@dataclass(frozen=True, eq=False)
class Shared:
    """Where the tokens of examples are in a row that has once what some of them begin with alike."""

    runs: list[list[slice]]
    """Of each example; the last are its own."""
    places: Tensor
    """(tokens of all examples,): the place of each in the row."""
    own: Tensor
    """(tokens of the row,): the number of each among the tokens of all examples."""


def packed(examples: Sequence[Example], device: torch.device, least: int | None = LEAST) -> Batch:
    """Return examples as one row; none of them makes a row of one token that is not trained on.

    They share what they begin with alike, from `least` tokens on, and are in the order of their tokens; None: they
    share nothing and stay in their order.
    """
    examples = examples or [Example("", (0,), (0,))]
    order = list(range(len(examples)))
    if least is not None:
        order.sort(key=lambda number: examples[number].ids)  # Of all before it, the last begins most like an example.
    rows = [examples[number] for number in order]
    laid = _laid_out(rows, least)
    # Of each example, its tokens that are not another's before.
    own = [range(len(one.ids) - (runs[-1].stop - runs[-1].start), len(one.ids))
           for one, runs in zip(rows, laid, strict=True)]
    places = [[place for run in runs for place in range(run.start, run.stop)] for runs in laid]
    starts = [0, *accumulate(len(one.ids) for one in rows)]
    bounds = torch.tensor(starts, dtype=torch.int32, device=device)
    longest = max(end - start for start, end in pairwise(starts))
    inputs = {"input_ids": _row((one.ids[n] for one, part in zip(rows, own, strict=True) for n in part), device),
              "position_ids": _row(chain.from_iterable(own), device),
              "cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds, "max_length_q": longest, "max_length_k": longest,
              "shared": None}
    if any(len(runs) > 1 for runs in laid):
        numbers = (start + n for start, part in zip(starts, own, strict=False) for n in part)
        inputs["shared"] = Shared(laid, _row(chain.from_iterable(places), device)[0], _row(numbers, device)[0])
    by_number = dict(zip(order, places, strict=True))
    return _batch(inputs, examples, [by_number[number] for number in range(len(examples))], device)


def _row(numbers: Iterable[int], device: torch.device) -> Tensor:
    return torch.tensor([list(numbers)], dtype=torch.long, device=device)


def _laid_out(examples: Sequence[Example], least: int | None) -> list[list[slice]]:
    """Where the tokens of each example are: behind what it shares with the one before it come its own."""
    laid: list[list[slice]] = []
    end, before = 0, ()
    for example in examples:
        alike = _alike(before, example.ids) if least is not None else 0
        shared = list(_first(laid[-1], alike)) if least is not None and laid and alike >= least else []
        start, end = end, end + len(example.ids) - (alike if shared else 0)
        laid.append([*shared, slice(start, end)])
        before = example.ids
    return laid


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _first(runs: Sequence[slice], count: int) -> Iterator[slice]:
    """The first `count` tokens of `runs`."""
    for run in runs:
        size = min(count, run.stop - run.start)
        if size:
            yield slice(run.start, run.start + size)
        count -= size


def padded(examples: Sequence[Example], device: torch.device) -> Batch:
    """Return examples as equally long rows, filled up on the right with id 0 under an attention mask."""
    examples = examples or [Example("", (0,), (0,))]
    longest = max(len(example.ids) for example in examples)
    fills = [longest - len(example.ids) for example in examples]
    ids = [[*example.ids, *[0] * fill] for example, fill in zip(examples, fills, strict=True)]
    seen = [[1] * (longest - fill) + [0] * fill for fill in fills]
    inputs = {"input_ids": torch.tensor(ids, device=device), "attention_mask": torch.tensor(seen, device=device)}
    places = [range(row * longest, row * longest + len(example.ids)) for row, example in enumerate(examples)]
    return _batch(inputs, examples, places, device)


def _batch(inputs: dict[str, Any], examples: Sequence[Example], places: Sequence[Sequence[int]],
           device: torch.device) -> Batch:
    """Find what is predicted, with tokens at `places`: each trained token at the place of the one before it."""
    trained = [(places[number][n - 1], example.ids[n], example.mask[n], number)
               for number, example in enumerate(examples) for n in range(1, len(example.ids)) if example.mask[n]]
    before, targets, weights, owners = zip(*trained, strict=True) if trained else ((), (), (), ())
    where, what, whose = (torch.tensor(part, dtype=torch.long, device=device) for part in (before, targets, owners))
    return Batch(inputs, where, what, torch.tensor(weights, dtype=torch.float32, device=device), whose)
