"""Metrics in files: every stage's metrics.jsonl, and the run's own, which takes all of them over."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
_REPLAYED = 0.1
"""The replies from the tape, for each asked of the model, with which a process still measures its speed."""


def seconds_per_episode(folder: Path) -> float | None:
    """Return how long an episode took, in seconds of a whole process, or None where nobody measured it.

    A folder may have been played by several processes: each counts from 0. One whose replies came from the tape in the
    main measured nothing.
    """
    by_worker: dict[str, list[dict[str, Any]]] = {}
    for line in _lines(folder):
        by_worker.setdefault(line.get("worker", ""), []).append(line)
    last = [line for lines in by_worker.values() for line in _last(lines)]
    last = [line for line in last if line.get("replayed", 0) <= _REPLAYED * (line.get("calls", 0) + 1)]
    episodes = sum(line["new"] for line in last)
    return sum(line["seconds"] for line in last) / episodes if episodes else None


def _last(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where a worker's name was not recorded: the last line of each process, whose successor counts from 0 again."""
    following = [*lines[1:], {"new": 0}]
    return [line for line, after in zip(lines, following, strict=True) if after["new"] <= line["new"]]


def last_seconds(folder: Path, worker: str) -> float:
    """Return how long a worker was at the folder, without what came before its first episode."""
    seconds = [line["seconds"] for line in _lines(folder) if line.get("worker") == worker]
    return round(seconds[-1], 3) if seconds else 0.0


def _lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / METRICS
    return parse_metrics(path.read_bytes()) if path.exists() else []


def clock(seconds: float) -> str:
    """Write a duration as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def append_metrics(path: Path, values: Mapping[str, Any]) -> None:
    """Append a line of its own to a metrics file, though a kill or a full disk left half a line. Raises OSError."""
    with path.open("a+b") as file:
        unfinished = False
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            unfinished = file.read() != b"\n"
        file.write(b"\n" * unfinished + json.dumps(values).encode() + b"\n")


def parse_metrics(data: bytes) -> list[dict[str, Any]]:
    """Read the lines of a metrics file; what a kill or a full disk left of a line is passed over."""
    found = []
    for line in data.splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return [values for values in found if isinstance(values, dict)]


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested metrics into one level with / between the names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{name}/"))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
