"""See whether a training could begin here, before a teacher is paid for what it would learn from.

    python -m fireact.train.preflight FOLDER/job.json

The student's weights are fetched; its options are held against this machine and its configuration. Nothing is loaded.
"""

import sys
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from fireact.plugins import build
from fireact.process import stage_main
from fireact.train import Train, kernels, layout, lora, memory, prepare, ranks


def run(values: dict[str, Any], folder: Path) -> None:
    """Raise what the training would end with before its first step: ConfigError, DataError, ProviderError."""
    train: Train = build(values["train"], "train")
    prepare.refuse_layout(train)
    base = prepare.student(values, train).folder()
    train, dtype = lora.as_started(train), layout.dtype_of(train)
    config = lora.read_config(base)
    refuse(config, train)
    if train.check_memory:
        kind, processes, stage = ranks.planned(train)
        memory.check(base, train, _largest(train, config), dtype, memory.shards_of(kind, processes, stage),
                     memory.available(processes))


def _largest(train: Train, config: PretrainedConfig) -> int:
    """The tokens of the largest forward pass, as far as that is known before there are any examples."""
    longest = train.max_length or getattr(config, "max_position_embeddings", None) or train.micro_batch_tokens
    return min(train.micro_batch_tokens, train.batch_size * (2 if train.dpo else 1) * longest)


def refuse(config: PretrainedConfig, train: Train) -> None:
    """Refuse what a model of this configuration, or this machine, has not. Raises ConfigError."""
    if train.bits:
        lora.need_quantised(train.bits)
    if train.liger:
        kernels.need_liger(config.model_type)
    if train.method == "lora" and train.targets != "all-linear":
        lora.known_targets(memory.hollow(config), train.targets)


if __name__ == "__main__":
    sys.exit(stage_main(run, sys.argv))
