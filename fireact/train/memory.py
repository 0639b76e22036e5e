"""How much memory a training takes, from the model's configuration alone: to be known before anything is loaded.

Weights, gradients and moments are exact but for lanes. Activations follow from the shapes of a Llama-like layer: up to
18 % above what torch keeps without recomputation, which a test counts. What the libraries take, and the allocator
cannot use, is a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from accelerate.utils import DistributedType
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig

from fireact.errors import ConfigError
from fireact.train import Train, lora, zero

GB = 1e9
_BYTES = {torch.float32: 4, torch.bfloat16: 2, torch.float16: 2}
_QUANTISED = {4: 0.52, 8: 1.05}
"""Bytes a weight in so many bits, with the constants of their blocks."""
_OVERHEAD = 1.0 * GB
"""The libraries themselves, what the allocator cannot use, and the gradients of adapters in lanes but the first."""
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


@dataclass(frozen=True)
class Shards:
    """How many devices share the weights, the gradients and the moments of AdamW; 1: each has all of them."""

    weights: int = 1
    gradients: int = 1
    moments: int = 1

    @property
    def zero(self) -> bool:
        """Whether it is DeepSpeed that shares them out: weights stay whole."""
        return self.weights < self.moments


WHOLE = Shards()


def estimate(config: PretrainedConfig, train: Train, tokens: int, dtype: torch.dtype,
             shards: Shards = WHOLE) -> Estimate:
    """Return what one of the devices needs that share the model, for `tokens` a pass."""
    model = hollow(config)
    size, full = _BYTES[dtype], train.method == "full"
    total = sum(weight.numel() for weight in model.parameters())
    linear = [module.weight.numel() for module in model.modules()
              if isinstance(module, nn.Linear) and module is not model.get_output_embeddings()]
    if full:
        # In half precision, autocast keeps a copy of the weights beside those in float32, FSDP2 of a layer at a time.
        weights, learnt = total * (4 + (size if size < 4 and shards.weights == 1 else 0)), total
    else:
        learnt = _adapter_size(model, train)
        # What is not quantised is kept in float32 beside what is, as PEFT prepares it.
        frozen = sum(linear) * _QUANTISED[train.bits] + (total - sum(linear)) * 4 if train.bits else total * size
        weights = frozen + learnt * 4
    layer = sum(linear) / config.num_hidden_layers
    gradients, moments = learnt * 4 / shards.gradients, learnt * 8 / shards.moments
    if shards.zero:
        # A share of the weights is kept once more, to be stepped on; the step makes its share of the gradients flat.
        gradients, moments = gradients + learnt * 4 / shards.moments + zero.BUCKET * 4, moments * 1.5
    return Estimate(weights / shards.weights, gradients, moments, tokens * activations(config, train, size),
                    _OVERHEAD + _passing(layer, max(linear), train, size, shards.weights))


def hollow(config: PretrainedConfig) -> Any:
    """A model of this configuration without weights: its modules, with their names and shapes."""
    with init_empty_weights():
        return AutoModelForCausalLM.from_config(config)


def _passing(layer: float, largest: int, train: Train, size: int, shards: int) -> float:
    """Bytes of weights that are whole, or of full precision, only while a layer is computed."""
    whole = 0.0 if shards == 1 else layer * (2 * size + (size + 4 if train.method == "full" else 0))
    return whole + (2 * largest * size if train.bits else 0)


def _adapter_size(model: Any, train: Train) -> int:
    head = model.get_output_embeddings()
    targets = None if train.targets == "all-linear" else lora.known_targets(model, train.targets)
    return sum(train.rank * (module.in_features + module.out_features) for name, module in model.named_modules()
               if isinstance(module, nn.Linear) and module is not head
               and (targets is None or name.rpartition(".")[2] in targets or name in targets))


def activations(config: Any, train: Train, size: int) -> float:
    """Bytes that the activations of one token take in the backward pass, computed in `size` bytes a number."""
    logits = 3 * _TRAINED * config.vocab_size * 4
    layer = layer_activations(config, train, size)
    if train.gradient_checkpointing:
        return config.num_hidden_layers * config.hidden_size * _stream(train, size) + layer + logits
    return config.num_hidden_layers * layer + logits


def layer_activations(config: Any, train: Train, size: int) -> float:
    """Bytes that one layer keeps of a token for its backward pass, as tests/train/test_memory.py counts on a Llama."""
    hidden, wide = config.hidden_size, config.intermediate_size
    head = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    queries = head * config.num_attention_heads
    keys = head * (getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
    norms = 2 * hidden * _stream(train, size)
    attention = size * (2 * queries + 2 * keys)
    # What goes from the gate into the last module is computed again, but not twice.
    gates = size * (3 if train.gradient_checkpointing else 2) * wide
    return norms + attention + gates + _inputs(hidden, queries, wide, train, size)


def _inputs(hidden: int, queries: int, wide: int, train: Train, size: int) -> float:
    """Bytes of a token that goes into the linear modules of a layer."""
    plain = train.method == "lora" and not (train.dora or train.bits)
    if train.dropout:
        # Each module has a copy of its own, what dropout leaves, beside its mask.
        return (size + 4) * (5 * hidden + queries + wide)
    # Else two of them take what is kept anyway; autocast makes of a norm in float32 a copy for each module.
    return size * (2 if plain or size == 4 else 5) * hidden


def _stream(train: Train, size: int) -> int:
    """Bytes of a number between two layers: float32 where the embedding's weights are kept so."""
    return 4 if train.method == "full" or train.bits else size


def check(base: Path, train: Train, tokens: int, dtype: torch.dtype, shards: Shards, here: float) -> None:
    """Refuse what cannot fit into the bytes that are free `here`, on each device. Raises ConfigError."""
    needed = estimate(lora.read_config(base), train, tokens, dtype, shards)
    if needed.total > here:
        raise ConfigError(
            f"this training takes about {needed.total / GB:.1f} GB on each device ({needed.sentence()}), with "
            f"{tokens} tokens at a time, and {here / GB:.1f} GB are free; "
            f"{'' if train.gradient_checkpointing else 'set train.gradient_checkpointing=true, '}lower "
            f"train.micro_batch_tokens, now {train.micro_batch_tokens}{_cheaper(train)}, share the model over more "
            "devices with a configuration of conf/accelerate, or set train.check_memory=false to try all the same")


def shards_of(kind: str, devices: int, zero_stage: int) -> Shards:
    """How a layout of the `kind` that accelerate calls it shares a model out."""
    if kind == DistributedType.FSDP:
        return Shards(devices, devices, devices)
    if kind == DistributedType.DEEPSPEED:
        return Shards(gradients=devices if zero_stage == 2 else 1, moments=devices)
    return WHOLE


def _cheaper(train: Train) -> str:
    if train.method == "full":
        return ", choose train=lora"
    return "" if train.bits == 4 else ", choose train=qlora on a GPU"


def available(processes: int) -> float:
    """Bytes that are free: of this process's GPU, or of the machine's memory for one of `processes`."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    import psutil

    return psutil.virtual_memory().available / processes
