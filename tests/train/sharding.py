"""Trainings in two processes that share out a model, held against one process."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fireact.train import data, worker
from tests.helpers import ROOT
from tests.train.conftest import VOCABULARY, make_examples, read_metrics

OPTIONS: dict[str, Any] = {"examples": make_examples(9), "batch_size": 4, "micro_batch_tokens": 1, "epochs": 2,
                           "learning_rate": 1e-3, "warmup_ratio": 0.0, "checkpoint_every": 2}
"""In the last step of an epoch one rank has nothing to do."""


def launch(config: str, job: Path, *step: str, options: Sequence[str] = ()) -> int:
    """Train in two processes as a file of conf/accelerate says, up to a step if one is given; return the exit code."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", f"conf/accelerate/{config}.yml",
               "--num_processes", "2", "--mixed_precision", "no", *options,
               "-m", "tests.train.sharded_worker", str(job), *step]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or step, done.stderr
    return done.returncode


def begin(path: Path) -> None:
    """Train this process alone for two steps, and leave a checkpoint."""
    job = worker.read_job(path)
    training = worker.start(job, data.read_examples(job.examples, vocabulary=VOCABULARY, window=None), [])
    for batch in data.epoch_batches(9, 4, 0, 0)[:2]:
        training.step(batch)
    training.save()


def losses(folder: Path) -> list[float]:
    """The loss of every step."""
    return [line["loss"] for line in read_metrics(folder) if "loss" in line]


def same(one: Path, two: Path, file: str, tolerance: float) -> None:
    """Compare what two trainings left and told."""
    expected, met = read_metrics(one), read_metrics(two)
    assert [line["step"] for line in met] == [line["step"] for line in expected]
    for name in ("loss", "gradient_norm", "validation_loss", "validation_token_accuracy"):
        assert [line.get(name) for line in met] == pytest.approx([line.get(name) for line in expected], abs=tolerance)
    weights, others = load_file(one / file), load_file(two / file)
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=0, atol=tolerance)
