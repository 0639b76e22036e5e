"""Passes side by side, each on cores of its own, with gradients that are added up in a fixed order.

Cores that compute a pass together wait for each other after every product of matrices: for small models a sixth of the
time, and where other programs take their turns on the cores, spinning instead of sleeping makes that many times worse.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

S = TypeVar("S")
T = TypeVar("T")


class Lanes:
    """Models on the same weights: `first`, and others with gradients of their own.

    Where there are others, the gradients of the first are kept in place.
    """

    def __init__(self, first: nn.Module, count: int) -> None:
        """Make them `count` models."""
        self.models = [first, *(_replica(first) for _ in range(count - 1))]
        self.pool = ThreadPoolExecutor(count, "lane")

    def __len__(self) -> int:
        """How many there are."""
        return len(self.models)

    def run(self, work: Callable[[nn.Module, S], T], shares: Sequence[S]) -> list[T]:
        """Let each model do its share of some work, side by side; afterwards the first has all gradients."""
        if len(self) == 1:
            return [work(self.models[0], share) for share in shares]
        threads = torch.get_num_threads()

        def in_lane(model: nn.Module, share: S) -> T:
            torch.set_num_threads(threads // len(self))
            return work(model, share)

        futures = [self.pool.submit(in_lane, *pair) for pair in zip(self.models, shares, strict=False)]
        wait(futures)
        torch.set_num_threads(threads)  # A lane has set its own, and that of threads to come.
        done = [future.result() for future in futures]
        total, *others = (_gradients(model) for model in self.models)
        for gradients in others:
            for whole, gradient in zip(total, gradients, strict=True):
                whole.add_(gradient)
                gradient.zero_()
        return done


def _gradients(model: nn.Module) -> list[Tensor]:
    return [weight.grad for weight in model.parameters() if weight.grad is not None]


def _replica(model: nn.Module) -> nn.Module:
    """A copy of the modules of `model`, whose weights are the same memory, with gradients of 0."""
    same: dict[int, Tensor] = {}
    for tensor in chain(model.parameters(), model.buffers()):
        same[id(tensor)] = nn.Parameter(tensor.detach()) if tensor.requires_grad else tensor
        if tensor.requires_grad:
            same[id(tensor)].grad = torch.zeros_like(tensor)
    return copy.deepcopy(model, same)
