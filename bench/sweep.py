"""Write a sweep's folder as `python main.py -m` leaves it, its episodes made up, for benchmarks and tests."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import yaml

from fireact.failures import FAILURES

Choices = Mapping[str, str]
Right = Callable[[Choices, str, int], bool]
"""Whether the student of a cell, in a guise, is right on a question by its number."""
GUISES = ("prompted", "finetuned")
DATASET = "factbook"


def make(folder: Path, axes: Mapping[str, Sequence[str]], questions: int, right: Right, *,
         guises: Sequence[str] = GUISES) -> Path:
    """Write a sweep of all combinations of the axes' values; each cell's students answer the same questions."""
    cells = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    for number, choices in enumerate(cells):
        cell(folder / str(number), choices, questions, right, guises=guises)
    listed = [{"number": number, "choices": choices,
               "overrides": [f"{axis}={value}" for axis, value in choices.items()]}
              for number, choices in enumerate(cells)]
    sweep = {"id": "0123456789ab", "name": "made", "command": "python main.py -m ...",
             "axes": {axis: list(values) for axis, values in axes.items()}, "cells": listed}
    (folder / "sweep.json").write_text(json.dumps(sweep), encoding="utf-8")
    (folder / "multirun.yaml").write_text("{}\n", encoding="utf-8")
    return folder


def cell(folder: Path, choices: Choices, questions: int, right: Right, *, guises: Sequence[str] = GUISES,
         steps: int = 20) -> Path:
    """Write a run directory."""
    folder.mkdir(parents=True)
    config: dict[str, Any] = {"name": "made", "stage": "pipeline", "seed": 0, "report": {"prices": [], "contrasts": []}}
    for axis, value in choices.items():
        *path, last = axis.split(".")
        node = config
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    size = int(choices.get("curate.n", "500"))
    label = "-".join(choices.values())
    stages = {f"evaluate/{DATASET}/{guise}": {"key": f"{guise}-{label}", "reused": False, "seconds": 1.0}
              for guise in guises}
    metrics = {"curate": {"react": {"task": DATASET, "method": "react", "played": 2 * size, "dropped": {}, "kept": size,
                                    "train": size - 16, "validation": 16}},
               "evaluate": {DATASET: {}}}
    manifest = {"version": 1, "state": "done", "error": None, "command": "python main.py", "packages": {},
                "stages": {"train": {"key": f"train-{label}", "reused": False, "seconds": 60.0}, **stages}}
    lines = [{"stage": "train", "step": step, "loss": 2.0 / step} for step in range(1, steps + 1)]
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    rows = (row(choices, guise, number, right(choices, guise, number)) for guise in guises
            for number in range(questions))
    (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in rows), encoding="utf-8")
    return folder


def row(choices: Choices, guise: str, number: int, right: bool) -> dict[str, Any]:
    """A row of results.jsonl, as `evaluate.rows` makes it."""
    draw = Random(number)
    return {"dataset": DATASET, "guise": guise, "fault": "", "model": "made-up",
            "method": choices.get("strategy", "react"), "id": f"q{number}", "attempt": 0,
            "kind": ("bridge", "comparison", "yes/no")[number % 3], "hops": 1 + number % 3,
            "question": f"Which city lies at the mouth of river number {number}?", "gold": f"city {number}",
            "answer": f"city {number}" if right else f"city {draw.randrange(1000)} in the north",
            "em": float(right), "f1": float(right), "stop": "finished",
            "failure": None if right else list(FAILURES)[number % len(FAILURES)], "seen": right,
            "rounds": 2 + number % 3, "tool_calls": 1 + number % 3, "prompt_tokens": 400 + number % 50,
            "completion_tokens": 100 + number % 30, "cached_tokens": 0, "seconds": 1.5 + number % 7,
            "cost": 0.001 * (1 + number % 5)}


def by_chance(choices: Choices, guise: str, number: int) -> bool:
    """A `Right` by a coin whose weight depends on cell and guise; the same coin falls the same way each time."""
    level = (0.1 if guise == "prompted" else 0.3) + 0.3 * Random(f"{sorted(choices.items())} {guise}").random()
    return Random(f"{sorted(choices.items())} {guise} {number}").random() < level
