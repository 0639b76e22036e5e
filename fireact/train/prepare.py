"""Make a training job ready and do it: the tokens of the stage before, the student's weights, then the worker.

    python -m fireact.train.prepare FOLDER/job.json

This process holds the folder's lock while the worker trains, in this very process or, for several, in those that
`accelerate launch` starts.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fireact.curate import TRAIN, VALIDATION
from fireact.errors import DataError
from fireact.jsonl import write_atomic
from fireact.model.local import weights
from fireact.plugins import Node, build
from fireact.process import stage_main
from fireact.train import Train, ranks

if TYPE_CHECKING:
    from fireact.model.local import Local

WORKER_JOB = "worker.json"


def run(values: dict[str, Any], folder: Path) -> None:
    """Prepare and train. Raises DataError, ConfigError, ChildFailed."""
    train: Train = build(values["train"], "train")
    path = folder / WORKER_JOB
    refuse_layout(train)
    _prepare(values, train, folder)
    if alone(train):
        from fireact.train import worker

        worker.run(worker.read_job(path))
        return
    ranks.run(train, path)


def alone(train: Train) -> bool:
    """Whether one process trains."""
    return train.processes == 1 and train.accelerate_config is None


def refuse_layout(train: Train) -> None:
    """Refuse a layout over processes that the loop does not know. Raises ConfigError, DataError."""
    if train.accelerate_config:
        ranks.refuse(train.accelerate_config)


def student(values: dict[str, Any], train: Train) -> "Local":
    """The model of the job `values`, which fits to what `train` goes on from.

    Raises ConfigError where it does not, or is not to be had; ProviderError.
    """
    model: Node = values["model"]
    found: Local = build(model, "model", home=Path(values["home"]) / "weights")
    if train.start_from:
        weights.check_base(train.start_from, found.folder())
    return found


def _prepare(values: dict[str, Any], train: Train, folder: Path) -> None:
    learner = student(values, train)
    base, tokens = learner.folder(), Path(values["tokens"])
    if not (tokens / TRAIN).exists():
        raise DataError(f"{tokens / TRAIN} does not exist; run stage=tokenize first")
    held_out = tokens / VALIDATION
    write_atomic(folder / WORKER_JOB, json.dumps({
        "examples": str(tokens / TRAIN), "validation": str(held_out) if held_out.stat().st_size else None,
        "base": str(base), "base_identity": weights.identity(base), "base_name": learner.source, "out": str(folder),
        "seed": values["seed"], "judge": _judge(values, folder), "train": asdict(train)}, indent=1, default=str))


def _judge(values: dict[str, Any], folder: Path) -> str | None:
    """Write the job of the episodes that judge the training, where there are any, and return its path."""
    if not values.get("judge"):
        return None
    write_atomic(folder / "judge.json", json.dumps(values["judge"]))
    return str(folder / "judge.json")


if __name__ == "__main__":
    sys.exit(stage_main(run, sys.argv))
