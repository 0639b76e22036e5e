"""What a training does where a step fails: a loss that is no number, and memory that does not suffice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fireact.errors import ConfigError
from fireact.jsonl import write_atomic
from fireact.train import checkpoint

if TYPE_CHECKING:
    from fireact.train.loop import Training

NOT_FINITE = "not_finite.json"
HALVED = "micro_batch_tokens.json"
"""Holds the tokens of a forward pass once memory has not sufficed for what was asked for."""


def not_finite(training: Training, batch: list[int], loss: float, norm: float, rate: float) -> ConfigError:
    """Write down what the step saw, and return the error that ends the training."""
    alone = training.losses(batch)
    seen = {"step": training.progress.step + 1, "loss": str(loss), "gradient_norm": str(norm), "learning_rate": rate,
            "examples": {name: str(value) for name, value in alone.items()},
            "last_losses": training.progress.losses[-20:]}
    if training.accelerator.is_main_process:
        write_atomic(training.out / NOT_FINITE, json.dumps(seen, indent=1))
    last = checkpoint.newest(training.out)
    kept = "there is no checkpoint yet" if last is None else f"the checkpoint of step {last} is kept"
    return ConfigError(f"step {training.progress.step + 1}: the loss is {loss}, its gradient's norm {norm}; lower "
                       f"train.learning_rate, now {training.train.learning_rate}; {kept}, and "
                       f"the examples of this step with their losses are in {training.out / NOT_FINITE}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice, of a GPU or of the machine."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def allowed_tokens(out: Path, wanted: int) -> int:
    """The tokens of a forward pass: those `wanted`, or the fewer that memory was found to suffice for."""
    try:
        return min(wanted, int(json.loads((out / HALVED).read_text(encoding="utf-8"))["tokens"]))
    except (OSError, ValueError, KeyError, TypeError):
        return wanted


def halve(out: Path, tokens: int, longest: int) -> str:
    """Note that memory did not suffice for `tokens` a forward pass, and return what to say of it.

    Raises ConfigError where a single example, of up to `longest` tokens, is what does not fit.
    """
    if tokens <= longest // 2:
        raise ConfigError(f"memory does not suffice for a forward pass of one example of {longest} tokens; set "
                          "train.gradient_checkpointing=true, train.max_length lower with train.too_long=shorten, "
                          "train.bits=4 on a GPU, or more processes with a configuration of conf/accelerate")
    half = max(tokens // 2, 1)
    write_atomic(out / HALVED, json.dumps({"tokens": half}))
    last = checkpoint.newest(out)
    start = "beginning anew" if last is None else f"going on from the checkpoint of step {last}"
    return (f"memory did not suffice for {tokens} tokens a forward pass: {start} with {half}, "
            "in twice as many passes a step, which changes no result")
