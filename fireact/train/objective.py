"""What a training minimises: an object that the loop is given, which knows nothing of steps, ranks and forward passes.

`SftLoss` makes trajectories likely, `DpoLoss` makes one of two likelier than the other. Their units, an example or a
pair of them, are dealt over steps, ranks and forward passes as wholes, so a loss is a sum over units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from fireact.train import Dpo, data
from fireact.train.data import Unit
from fireact.types import Example, Pair


@dataclass(frozen=True)
class Predicted:
    """The trained tokens of the examples of one forward pass, those of each behind those of the one before."""

    losses: Tensor
    """(tokens,): the negative log-probability of each."""
    weights: Tensor
    """(tokens,): its weight, from the example's mask."""
    owners: Tensor
    """(tokens,): the number of its example."""
    right: Tensor
    """(tokens,): whether it was the likeliest of all tokens."""


class Objective(Protocol):
    """A loss, and what is told beside it."""

    measures: ClassVar[tuple[str, ...]]
    """The names of what `__call__` returns beside the loss."""

    def weight(self, unit: Any) -> float:
        """What a unit adds to the number that the loss of a batch is divided by."""
        ...

    def count(self, unit: Any) -> int:
        """What it adds to the number that the measures are divided by."""
        ...

    def __call__(self, predicted: Predicted, units: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses of `units`, and the sums of their measures, (measures,)."""
        ...

    def describe(self, measures: Mapping[str, float]) -> str:
        """The means of the measures, for people."""
        ...


@dataclass(frozen=True)
class SftLoss:
    """The mean negative log-probability of the trained tokens, by their weights."""

    measures: ClassVar[tuple[str, ...]] = ("token_accuracy",)

    def weight(self, unit: Example) -> float:
        """The sum of the weights of its tokens."""
        return data.weight(unit)

    def count(self, unit: Example) -> int:
        """The number of its trained tokens."""
        return data.trained(unit)

    def __call__(self, predicted: Predicted, units: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """See `Objective`."""
        return (predicted.losses * predicted.weights).sum(), predicted.right.sum()[None]

    def describe(self, measures: Mapping[str, float]) -> str:
        """See `Objective`."""
        return f"token accuracy {measures['token_accuracy']:.1%}"


@dataclass(frozen=True)
class DpoLoss:
    """Direct preference optimisation of whole trajectories (Rafailov et al. 2023, eq. 7; for agents ETO, Song et al.
    2024).

    The mean over pairs of -log sigmoid(r(chosen) - r(rejected)) with the reward r(y) = beta (log p(y) - log p_ref(y)).
    log p(y) is summed over the trained tokens of y by their weights: observations are left out as in supervised
    training.
    """

    options: Dpo
    measures: ClassVar[tuple[str, ...]] = ("reward_chosen", "reward_rejected", "reward_margin", "reward_accuracy")

    def weight(self, unit: Pair) -> float:
        """1: each pair counts the same, however long it is."""
        return 1.0

    def count(self, unit: Pair) -> int:
        """1: the measures are means over pairs."""
        return 1

    def __call__(self, predicted: Predicted, units: Sequence[Pair]) -> tuple[Tensor, Tensor]:
        """See `Objective`. A pair is ranked rightly (`reward_accuracy`) where the margin of its rewards is above 0."""
        scores = log_probs(predicted, units)
        reference = scores.new_tensor([pair.reference for pair in units]).reshape(scores.shape)
        lengths = scores.new_tensor([[data.weight(side) for side in pair.examples] for pair in units])
        lengths = lengths.reshape(scores.shape)
        ratios = scores - reference
        rewards = self.options.beta * (ratios / lengths if self.options.length_normalised else ratios)
        margins = rewards[:, 0] - rewards[:, 1]
        losses = -logsigmoid(margins)
        if self.options.sft_weight:
            losses = losses - self.options.sft_weight * scores[:, 0] / lengths[:, 0]
        measures = torch.stack([*rewards.sum(0), margins.sum(), (margins > 0).sum()])
        return losses.sum(), measures.detach()

    def describe(self, measures: Mapping[str, float]) -> str:
        """See `Objective`."""
        return f"margin {measures['reward_margin']:.3f}, {measures['reward_accuracy']:.1%} of pairs ranked rightly"


def log_probs(predicted: Predicted, units: Sequence[Unit]) -> Tensor:
    """Return the log-probability of each example of each unit, summed over its tokens by weight: (units, examples)."""
    count = sum(len(unit.examples) for unit in units)
    tokens = -(predicted.losses * predicted.weights)
    sums = tokens.new_zeros(count).index_add(0, predicted.owners, tokens)
    return sums.reshape(len(units), count // max(len(units), 1) or 2)
