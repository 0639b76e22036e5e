"""Choose each row's next token, greedily or by its own stream of random numbers.

A row draws one number a token from a generator seeded for it alone, so what it samples does not depend on the rows it
shares a batch with, nor on the device.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampler:
    """How one row samples; a temperature of 0 is greedy."""

    temperature: float
    top_p: float
    numbers: random.Random


@dataclass
class Follow:
    """Leads a row along a known reply, and notes what the model thinks of each of its tokens."""

    reply: Sequence[int]
    greedy: list[int] = field(default_factory=list)
    """The token that the model would have written in the place of each."""
    logprobs: list[float] = field(default_factory=list)
    """The logarithm of each token's probability."""

    def next(self, logits: Tensor, greedy: int) -> int:
        """Note `logits` (vocabulary,) and their `greedy` token, and return the reply's."""
        token = self.reply[len(self.greedy)]
        self.greedy.append(greedy)
        self.logprobs.append(logits.float().log_softmax(-1)[token].item())
        return token


def choose(logits: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """Return one token for each row of `logits` (rows, vocabulary)."""
    tokens = logits.argmax(-1).tolist()
    warm = [row for row, sampler in enumerate(samplers) if sampler.temperature > 0]
    if warm:
        drawn = _draw(logits[warm].float(), [samplers[row] for row in warm])
        for row, token in zip(warm, drawn.tolist(), strict=True):
            tokens[row] = token
    return tokens


def _draw(logits: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    """Nucleus sampling (Holtzman et al., 2020) by inverting the cumulative distribution."""
    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=logits.dtype, device=logits.device)[:, None]

    temperature, top_p = column([s.temperature for s in samplers]), column([s.top_p for s in samplers])
    probabilities, order = (logits / temperature).softmax(-1).sort(descending=True, stable=True)
    before = probabilities.cumsum(-1) - probabilities
    mass = probabilities.masked_fill(before >= top_p, 0.0).cumsum(-1)
    numbers = column([s.numbers.random() for s in samplers]) * mass[:, -1:]
    rank = torch.searchsorted(mass, numbers, right=True).clamp(max=logits.shape[-1] - 1)
    return order.gather(1, rank)[:, 0]
