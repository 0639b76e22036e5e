"""The losses of each training, once for all cells that share it."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fireact.study.conditions import axes
from fireact.study.types import SEED, Cell, Study, TrainingCurve

_FILE = "metrics.jsonl"
_TRAIN = b'"train"'


def training_curves(study: Study) -> list[TrainingCurve]:
    """Return the curves of all trainings that there are losses of, in the order of the cells."""
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in study.cells:
        stage = cell.manifest.get("stages", {}).get("train", {})
        groups[stage.get("key") or f"cell {cell.number}"].append(cell)
    found = []
    for cells in groups.values():
        lines = next((steps for cell in cells if (steps := _steps(cell.folder / _FILE))), {})
        if lines:
            found.append(_curve(_label(study, cells), lines))
    return found


def _steps(path: Path) -> dict[int, dict[str, Any]]:
    """The training's metrics by step; of a step that was logged twice, the later counts. Damaged lines are left out."""
    found: dict[int, dict[str, Any]] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return {}
    for line in lines:
        if _TRAIN in line:
            with suppress(ValueError):
                values = json.loads(line)
                if isinstance(values, dict) and values.get("stage") == "train" and isinstance(values.get("step"), int):
                    found.setdefault(values["step"], {}).update(values)
    return dict(sorted(found.items()))


def _curve(label: str, lines: Mapping[int, Mapping[str, Any]]) -> TrainingCurve:
    losses = {step: values["loss"] for step, values in lines.items() if values.get("loss") is not None}
    held_out = [(step, values["validation_loss"]) for step, values in lines.items()
                if values.get("validation_loss") is not None]
    return TrainingCurve(label, list(losses), list(losses.values()), held_out)


def _label(study: Study, cells: Sequence[Cell]) -> str:
    """The choices that all cells have in common, the seed's among them; the study's name where there are none."""
    compared = [axis for axis in study.axes if axis in axes(study) or axis == SEED]
    shared = [f"{axis}={cells[0].choices[axis]}" for axis in compared
              if axis in cells[0].choices and len({cell.choices.get(axis) for cell in cells}) == 1]
    return ", ".join(shared) or study.name
