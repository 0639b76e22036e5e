"""Passes side by side, each on cores of its own, with gradients that are added up in a fixed order.

Cores that compute a pass together wait for each other after every product of matrices: for small models a sixth of the
time, and where other programs take their turns on the cores, spinning instead of sleeping makes that many times worse.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import chain, takewhile
from threading import Event
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

    def run(self, work: Callable[[nn.Module, S], Iterator[T]], shares: Sequence[S]) -> list[T]:
        """Let each model do its share of some work, part by part, side by side; return what the parts give.

        Afterwards the first model has all gradients. Where a lane fails, or this thread is interrupted, the others end
        with the part that they are at.
        """
        if len(self) == 1:
            return [found for share in shares for found in work(self.models[0], share)]
        threads, stopped = torch.get_num_threads(), Event()

        def in_lane(number: int, share: S) -> list[T]:
            torch.set_num_threads(threads // len(self) + (number < threads % len(self)))
            return list(takewhile(lambda _: not stopped.is_set(), work(self.models[number], share)))

        futures = [self.pool.submit(in_lane, *pair) for pair in enumerate(shares)]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stopped.set()
            torch.set_num_threads(threads)  # A lane has set its own, and that of threads to come.
        done = [found for future in futures for found in future.result()]
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
