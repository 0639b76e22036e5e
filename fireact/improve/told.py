"""What the rounds leave in their folder: which there are, what each played and reached, and the best one's numbers."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fireact.command import command
from fireact.improve.rounds import adapter
from fireact.jsonl import write_atomic
from fireact.report.rounds import learnt
from fireact.schema import Config
from fireact.store import key
from fireact.study.types import ROUND
from fireact.tracking.identity import SWEEP, asked

IMPROVE = "improve.json"
_COPIED = ("config.yaml", "metrics.json", "results.jsonl", "manifest.json")


@dataclass(frozen=True)
class Round:
    """A round that is done."""

    number: int
    taught: int
    """Trajectories of the teacher that were trained on."""
    played: int
    """Episodes of the student of the round before."""
    kept: int
    """Those of them that passed the filters."""
    trained: int
    """Those that were trained on."""
    scores: dict[str, dict[str, float | None]]
    """On the validation split, by dataset: n, em, em_se."""

    @property
    def score(self) -> float:
        """What it is judged by: the mean exact match over the datasets."""
        found = [summary["em"] or 0.0 for summary in self.scores.values()]
        return sum(found) / len(found)


def read_round(run_dir: Path, number: int) -> Round:
    """Read what a finished round came to."""
    metrics = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    scores = {dataset: {name: guises["finetuned"][name] for name in ("n", "em", "em_se")}
              for dataset, guises in metrics["evaluate"].items()}
    return Round(number, *learnt(metrics["curate"]), scores)


def note(place: Path, config: Config, rounds: Sequence[int], errors: dict[int, str] | None = None) -> None:
    """Write which rounds there are, as a sweep writes its cells."""
    place.mkdir(parents=True, exist_ok=True)
    axes = {ROUND: [str(number) for number in rounds]} if len(rounds) > 1 else {}
    cells = [{"number": number, "choices": {ROUND: str(number)}, "overrides": [],
              "error": (errors or {}).get(number)} for number in rounds]
    write_atomic(place / SWEEP, json.dumps(
        {"id": key(improve=asked(config))[:8], "name": config.name, "command": command(), "axes": axes,
         "cells": cells}, indent=1))


def save(run_dir: Path, config: Config, rounds: Sequence[Round], best: int, why: str) -> None:
    """Write what the rounds came to."""
    told: dict[str, Any] = {
        "rounds": [asdict(each) for each in rounds], "best": best, "ending": why,
        "improve": config.improve.model_dump(mode="json"), "own": config.own.model_dump(mode="json")}
    write_atomic(run_dir / IMPROVE, json.dumps(told, indent=1))


def take_over(run_dir: Path, judged: Path) -> None:
    """Make the folder of the rounds the best student's run directory, too."""
    for name in _COPIED:
        shutil.copyfile(judged / name, run_dir / name)
    link = run_dir / "adapter"
    link.unlink(missing_ok=True)
    link.symlink_to(adapter(judged), target_is_directory=True)
