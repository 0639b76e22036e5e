"""How much memory a training takes, from the model's configuration alone: to be known before anything is loaded.

Weights, gradients and moments are exact; activations are counted from the shapes of a Llama-like layer and are good to
some 20 %, which a margin covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, init_empty_weights
from accelerate.utils import DistributedType
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig

from fireact.errors import ConfigError
from fireact.train import Train, lora

GB = 1e9
_BYTES = {torch.float32: 4, torch.bfloat16: 2, torch.float16: 2}
_QUANTISED = {4: 0.52, 8: 1.05}
"""Bytes a weight in so many bits, with the constants of their blocks."""
_OVERHEAD = 1.0 * GB
"""The libraries themselves, and what the allocator cannot use."""
_TRAINED = 0.6
"""The share of tokens that logits are computed for, at most in trajectories of the usual kind."""


@dataclass(frozen=True)
class Estimate:
    """Bytes on one device."""

    weights: float
    gradients: float
    moments: float
    activations: float
    overhead: float = _OVERHEAD

    @property
    def total(self) -> float:
        """All together."""
        return self.weights + self.gradients + self.moments + self.activations + self.overhead

    def sentence(self) -> str:
        """The parts, in gigabytes."""
        parts = {"weights": self.weights, "gradients": self.gradients, "moments of AdamW": self.moments,
                 "activations": self.activations, "overhead": self.overhead}
        return ", ".join(f"{name} {size / GB:.1f}" for name, size in parts.items()) + f": {self.total / GB:.1f} GB"


def estimate(config: PretrainedConfig, train: Train, tokens: int, dtype: torch.dtype, shards: int = 1) -> Estimate:
    """Return what one of `shards` devices needs that share the model (1: each has all of it), for `tokens` a pass."""
    with init_empty_weights():
        model: Any = AutoModelForCausalLM.from_config(config)
    total = model.num_parameters()
    if train.method == "full":
        # In half precision, autocast keeps a copy of the weights beside those in float32.
        weights, learnt = total * (4 + (_BYTES[dtype] if dtype != torch.float32 else 0)), total
    else:
        learnt = _adapter_size(model, train)
        linear = sum(module.in_features * module.out_features for name, module in model.named_modules()
                     if isinstance(module, nn.Linear) and "lm_head" not in name)
        each = _QUANTISED[train.bits] if train.bits else _BYTES[dtype]
        weights = (total - linear) * _BYTES[dtype] + linear * each + learnt * 4
    return Estimate(weights / shards, learnt * 4 / shards, learnt * 8 / shards,
                    tokens * _activations(config, train, _BYTES[dtype]))


def _adapter_size(model: nn.Module, train: Train) -> int:
    head: Any = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    targets = None if train.targets == "all-linear" else lora.known_targets(model, train.targets)
    return sum(train.rank * (module.in_features + module.out_features) for name, module in model.named_modules()
               if isinstance(module, nn.Linear) and module is not head
               and (targets is None or name.rpartition(".")[2] in targets or name in targets))


def _activations(config: Any, train: Train, size: int) -> float:
    """Bytes that a token's activations take in the backward pass, `size` bytes each."""
    hidden, layers = config.hidden_size, config.num_hidden_layers
    heads = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    keys = heads * (getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
    # Kept of a layer: inputs of both norms in float32 and of all linear modules, queries, keys, values and the
    # attention's output, gate and up and their product; with adapters, what goes into these is shared.
    layer = 2 * hidden * 4 + size * (7 * hidden + 3 * keys + 4 * config.intermediate_size)
    logits = 3 * _TRAINED * config.vocab_size * 4
    if train.gradient_checkpointing:
        return layers * hidden * size + layer + logits
    return layers * layer + logits


def check(base: Path, train: Train, tokens: int, dtype: torch.dtype, accelerator: Accelerator) -> None:
    """Refuse what cannot fit into the memory of the device. Raises ConfigError."""
    shards = accelerator.num_processes if accelerator.distributed_type == DistributedType.FSDP else 1
    needed = estimate(lora.read_config(base), train, tokens, dtype, shards)
    here = available(accelerator)
    if needed.total > here:
        raise ConfigError(
            f"this training takes about {needed.total / GB:.1f} GB on each device ({needed.sentence()}) and "
            f"{here / GB:.1f} GB are free; "
            f"{'' if train.gradient_checkpointing else 'set train.gradient_checkpointing=true, '}lower "
            f"train.micro_batch_tokens, now {tokens}{_cheaper(train)}, share the model over more devices with a "
            "configuration of conf/accelerate, or set train.check_memory=false to try all the same")


def _cheaper(train: Train) -> str:
    if train.method == "full":
        return ", choose train=lora"
    return "" if train.bits == 4 else ", choose train=qlora on a GPU"


def available(accelerator: Accelerator) -> float:
    """Bytes that are free: of the GPU, or of the machine's memory for this process's share."""
    if accelerator.device.type == "cuda":
        return torch.cuda.mem_get_info(accelerator.device)[0]
    import psutil

    return psutil.virtual_memory().available / accelerator.num_processes
