"""How a training lies over processes and devices: as accelerate's launcher was told, see conf/accelerate."""

from __future__ import annotations

import os
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.utils import DistributedType
from torch import nn

from fireact.errors import ConfigError
from fireact.train import Train, sharded, zero
from fireact.train.memory import Shards, shards_of

_KNOWN = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU, DistributedType.FSDP,
          DistributedType.DEEPSPEED)
_PRECISION = {torch.float32: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}


def dtype_of(train: Train) -> torch.dtype:
    """What is computed in. Raises ConfigError for a precision that the device lacks."""
    cuda = torch.cuda.is_available()
    if train.dtype == "float16" and not cuda:
        raise ConfigError("train.dtype=float16 needs an NVIDIA GPU, and torch sees none here; choose float32, "
                          "or bfloat16")
    if train.dtype == "bfloat16" and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError(f"train.dtype=bfloat16 is not what {torch.cuda.get_device_name()} computes in; choose "
                          "float16 or float32")
    if train.dtype == "auto":
        best = torch.bfloat16 if cuda and torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return best if cuda else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[train.dtype]


def several() -> bool:
    """Whether this is one of several processes."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def join(train: Train, dtype: torch.dtype) -> Accelerator:
    """Join the other processes, if there are any, to compute in `dtype`. Raises ConfigError."""
    handlers: list[Any] = [DistributedDataParallelKwargs(broadcast_buffers=False)]
    # Accelerate joins processes without a GPU only where it is told how, and that they have none.
    several_cpus = several() and not torch.cuda.is_available()
    if several_cpus:
        handlers.append(InitProcessGroupKwargs(backend="gloo"))
    # DeepSpeed joins them itself, and its own half precision would train weights in it.
    accelerator = Accelerator(cpu=several_cpus and not zero.asked(), kwargs_handlers=handlers,
                              mixed_precision="no" if zero.asked() else _PRECISION[dtype])
    if accelerator.distributed_type not in _KNOWN:
        raise ConfigError(f"accelerate was configured for {accelerator.distributed_type.value}; this loop knows one "
                          "process, data-parallel ones, FSDP2 and DeepSpeed's ZeRO stages 1 and 2, see conf/accelerate")
    sharded.configure(accelerator, dtype)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        zero.configure(accelerator, train, dtype)
    return accelerator


def shards(accelerator: Accelerator) -> Shards:
    """How this layout shares a model out."""
    kind = accelerator.distributed_type
    plugin: Any = accelerator.state.deepspeed_plugin if kind == DistributedType.DEEPSPEED else None
    return shards_of(kind, accelerator.num_processes, plugin.zero_stage if plugin else 0)


def prepare(accelerator: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer,
            dtype: torch.dtype) -> tuple[Any, Any]:
    """Lay the model and the optimizer out over all processes."""
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        return zero.prepare(accelerator, model, optimizer, dtype)
    return accelerator.prepare(model, optimizer)
