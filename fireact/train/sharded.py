"""Weights and moments as whole tensors, whether one process holds them or each rank a shard (FSDP2's DTensor).

All ranks must call these together: gathering shards is a collective operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

_WEIGHT, _MOMENT = "weight/", "optimizer/"


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with all its shards."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def weights(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights that learn, by name, as they are put into a checkpoint."""
    return {f"{_WEIGHT}{name}": whole(weight.detach()) for name, weight in named.items()}


def moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's moments as they are put into a checkpoint."""
    return {f"{_MOMENT}{number}/{name}": whole(moment)
            for number, state in optimizer.state_dict()["state"].items() for name, moment in state.items()}


def load(tensors: Mapping[str, Tensor], named: Mapping[str, Tensor],
         optimizer: torch.optim.Optimizer | None = None) -> None:
    """Put a checkpoint's tensors into the weights, and its moments into the optimizer where one is given."""
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [] if optimizer is None else [weight for group in optimizer.param_groups for weight in group["params"]]
    for key, tensor in tensors.items():
        if key.startswith(_WEIGHT):
            weight: Any = named[key.removeprefix(_WEIGHT)]
            weight.data.copy_(_like(weight, tensor))
        elif optimizer is not None:
            number, _, moment = key.removeprefix(_MOMENT).partition("/")
            of = parameters[int(number)]
            mine = _like(of, tensor) if tensor.shape == of.shape else tensor.clone()
            state.setdefault(int(number), {})[moment] = mine
    if optimizer is not None:
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _like(place: Tensor, tensor: Tensor) -> Tensor:
    """Cut a whole tensor into the shards that `place` has."""
    if isinstance(place, DTensor):
        return distribute_tensor(tensor.to(place.device), place.device_mesh, place.placements)
    return tensor.clone()
