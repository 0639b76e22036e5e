"""Judge a model that is being trained by the episodes it plays: the share of exact matches on a few questions.

A process of its own loads the weights as they are and plays, exactly as an evaluation does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from fireact.errors import DataError
from fireact.generate import PlayJob
from fireact.jsonl import read_jsonl, write_atomic
from fireact.model.local.weights import STAMP
from fireact.play.engine import Settings
from fireact.play.records import TRAJECTORIES
from fireact.process import PARENT
from fireact.sections import Budget, Taping
from fireact.train import checkpoint, export
from fireact.types import Trajectory

if TYPE_CHECKING:
    from fireact.train.loop import Training

JUDGED = "judged"
_AT_ONCE = 16


def by_episodes(job: Path, base_identity: str) -> Callable[[Training], float]:
    """Return what plays the questions of `job` with a training's weights. Raises DataError where it cannot."""

    def judge(training: Training) -> float:
        tensors = export.whole_weights(training.bare, training.train, training.accelerator.is_main_process)
        matches = torch.zeros((), device=training.accelerator.device)
        if training.accelerator.is_main_process:
            folder = training.out / JUDGED / f"step-{training.progress.step:08d}"
            with checkpoint.writing(training.out), checkpoint.replacing(folder / "student") as part:
                _save(training, tensors, part, base_identity)
            matches += _play(job, folder)
            shutil.rmtree(folder / "student")
        total: Any = training.accelerator.reduce(matches, reduction="sum")
        return float(total)

    return judge


def _save(training: Training, tensors: dict[str, torch.Tensor], folder: Path, base_identity: str) -> None:
    if training.train.method == "full":
        training.bare.save_pretrained(folder, state_dict=tensors)
    else:
        export.save_adapter(training.bare, tensors, folder)
    (folder / STAMP).write_text(json.dumps({"base_identity": base_identity}), encoding="utf-8")


def _play(job: Path, folder: Path) -> float:
    """Play the job's questions with the student in `folder`; return the share of exact matches."""
    wanted = PlayJob.model_validate_json(job.read_text(encoding="utf-8"))
    settings = Settings(concurrency=_AT_ONCE, tape=Taping(mode="off"), budget=Budget(), store=folder, run=str(folder),
                        sweep=None)
    mine = wanted.model_copy(update={"adapter": folder / "student"})
    write_atomic(folder / "engine.json", settings.model_dump_json())
    write_atomic(folder / "job.json", mine.model_dump_json())
    command = [sys.executable, "-m", "fireact.generate", str(folder / "engine.json"), str(folder / "job.json")]
    if code := subprocess.call(command, env={**os.environ, PARENT: str(os.getpid())}):
        raise DataError(f"the episodes that judge the training could not be played (exit code {code}, see above); "
                        "start again, it goes on from its last checkpoint; or set train.judge=loss")
    return fmean(record.score.em for record in read_jsonl(folder / TRAJECTORIES, Trajectory))
