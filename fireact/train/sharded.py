"""Weights and moments as whole tensors, whether one process holds them or each rank a shard (FSDP2's DTensor, ZeRO).

All ranks must call these together: gathering shards is a collective operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import DTensor, distribute_tensor

from fireact.train import zero
from fireact.train.zero import ZeroOptimizer

_WEIGHT, _MOMENT = "weight/", "optimizer/"


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with all its shards."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gather(named: Iterable[tuple[str, Tensor]], keep: bool) -> dict[str, Tensor]:
    """Return tensors with all their shards, by name; ranks that do not `keep` them take part and get nothing.

    One tensor at a time is whole on a device: what was sharded goes on to the machine's memory.
    """
    kept: dict[str, Tensor] = {}
    for name, tensor in named:
        gathered = whole(tensor.detach())
        if keep:
            kept[name] = gathered.cpu() if isinstance(tensor, DTensor) else gathered
    return kept


def weights(named: Mapping[str, Tensor], keep: bool = True) -> dict[str, Tensor]:
    """Return the weights that learn, by name, as they are put into a checkpoint."""
    return gather(((f"{_WEIGHT}{name}", weight) for name, weight in named.items()), keep)


def moments(optimizer: torch.optim.Optimizer | ZeroOptimizer, keep: bool = True) -> dict[str, Tensor]:
    """Return the optimizer's moments as they are put into a checkpoint."""
    if isinstance(optimizer, ZeroOptimizer):
        return {f"{_MOMENT}{number}/{name}": moment for number, name, moment in optimizer.moments(keep)}
    states = optimizer.state_dict()["state"].items()
    return gather(((f"{_MOMENT}{number}/{name}", moment) for number, state in states for name, moment in state.items()),
                  keep)


def configure(accelerator: Accelerator, dtype: torch.dtype) -> None:
    """Let FSDP2 compute in `dtype` and sum gradients in float32, as data-parallel processes do."""
    if accelerator.is_fsdp2 and dtype != torch.float32:
        plugin: Any = accelerator.state.fsdp_plugin
        plugin.mixed_precision_policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)


def reads_weights(accelerator: Accelerator) -> bool:
    """Whether this process reads the base's weights: under FSDP2 the first may do so for all."""
    plugin: Any = accelerator.state.fsdp_plugin if accelerator.is_fsdp2 else None
    return plugin is None or not plugin.cpu_ram_efficient_loading or accelerator.is_main_process


def is_whole(accelerator: Accelerator) -> bool:
    """Whether this process holds all weights whole, at all times."""
    return accelerator.distributed_type != DistributedType.FSDP


def accumulating(accelerator: Accelerator, model: nn.Module) -> AbstractContextManager[Any]:
    """Put off the sum of gradients over all ranks to the last pass of a step.

    Not under FSDP2, which would keep whole gradients until then: the memory that its shards save. ZeRO decides itself.
    """
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        return zero.accumulating(model)
    return accelerator.no_sync(model) if is_whole(accelerator) else nullcontext()


def load(tensors: Mapping[str, Tensor], named: Mapping[str, Tensor],
         optimizer: torch.optim.Optimizer | ZeroOptimizer | None = None) -> None:
    """Put a checkpoint's tensors into the weights, and its moments into the optimizer where one is given."""
    kept: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(_WEIGHT):
            weight: Any = named[key.removeprefix(_WEIGHT)]
            weight.data.copy_(_like(weight, tensor))
        else:
            number, _, moment = key.removeprefix(_MOMENT).partition("/")
            kept.setdefault(int(number), {})[moment] = tensor
    if isinstance(optimizer, ZeroOptimizer):
        optimizer.load(kept)
    elif optimizer is not None:
        _load_moments(kept, optimizer)


def _load_moments(kept: Mapping[int, Mapping[str, Tensor]], optimizer: torch.optim.Optimizer) -> None:
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    state = {number: {name: _like(parameters[number], moment) if moment.shape == parameters[number].shape
                      else moment.clone() for name, moment in moments.items()} for number, moments in kept.items()}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _like(place: Tensor, tensor: Tensor) -> Tensor:
    """Cut a whole tensor into the shards that `place` has."""
    if isinstance(place, DTensor):
        return distribute_tensor(tensor.to(place.device), place.device_mesh, place.placements)
    return tensor.clone()
