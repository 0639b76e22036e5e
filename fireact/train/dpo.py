"""The reference of DPO: how likely the policy found both sides of each pair at the start of the training.

It is computed once, before the first step, so that no second model is held, and lies in the training's folder, so that
a training that goes on after a kill does not compute it again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import ConfigDict

from fireact.errors import DataError
from fireact.jsonl import decode, write_atomic
from fireact.train import checkpoint
from fireact.train.data import places
from fireact.train.objective import log_probs
from fireact.types import Pair

if TYPE_CHECKING:
    from fireact.train.loop import Training

LOG_PROBS = "reference_logprobs.json"


@dataclass(frozen=True)
class _Kept:
    """What the file holds: log-probabilities of chosen and rejected, of the pairs to train on and of those held out."""

    job: str
    train: list[tuple[float, float]]
    validation: list[tuple[float, float]]

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}


def refer_to_start(training: Training) -> None:
    """Give each pair its reference, under the weights that `training` has now; all ranks must call this together.

    Raises DataError where the folder cannot be written.
    """
    kept = _read(training.out / LOG_PROBS, training)
    if kept is None:
        training.log.say(f"the reference of {len(training.examples) + len(training.validation)} pairs is computed once")
        kept = _Kept(training.progress.job, _measure(training, training.examples),
                     _measure(training, training.validation))
        if training.accelerator.is_main_process:
            with checkpoint.writing(training.out):
                training.out.mkdir(parents=True, exist_ok=True)
                write_atomic(training.out / LOG_PROBS, json.dumps(vars(kept)))
    training.examples = _with(training.examples, kept.train)
    training.validation = _with(training.validation, kept.validation)


def _read(path: Path, training: Training) -> _Kept | None:
    """What an earlier start of the same job left; None where there is nothing, or another job's, or a part."""
    try:
        kept = decode(_Kept, path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError, DataError):
        return None
    sizes = len(kept.train), len(kept.validation)
    mine = (training.progress.job, (len(training.examples), len(training.validation)))
    return kept if (kept.job, sizes) == mine else None


@torch.no_grad()
def _measure(training: Training, pairs: Sequence[Pair]) -> list[tuple[float, float]]:
    """The log-probabilities of both sides of each pair, computed in the forward passes of training, by all ranks."""
    found = torch.zeros(len(pairs), 2, device=training.accelerator.device)
    sizes = [places(pair, training.packs) for pair in pairs]
    training.bare.eval()
    for start in range(0, len(pairs), training.train.batch_size):
        batch = list(range(len(pairs)))[start: start + training.train.batch_size]
        for part in training.parts(batch, sizes):
            mine = [pairs[i] for i in part]
            found[part] = log_probs(training.predict(training.bare, mine), mine)
    training.bare.train()
    return [(chosen, rejected) for chosen, rejected in training.sum(found).tolist()]


def _with(pairs: Sequence[Pair], references: Sequence[tuple[float, float]]) -> list[Pair]:
    return [replace(pair, reference=reference) for pair, reference in zip(pairs, references, strict=True)]
