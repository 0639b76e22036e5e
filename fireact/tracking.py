"""What a run measures over time: metrics.jsonl, always, and W&B as its mirror."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fireact.errors import ConfigError
from fireact.sections import Wandb

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


@dataclass
class _Source:
    """How far a stage's metrics file has been taken over."""

    inode: int = 0
    read: int = 0
    """Bytes."""
    sent: set[Any] = field(default_factory=set)
    """The steps sent, each with the names of its values."""

    def new(self, path: Path) -> list[dict[str, Any]]:
        """Return the lines appended since the last call; a training that goes on rewrites the file and steps again."""
        with path.open("rb") as file:
            now = os.fstat(file.fileno())
            if now.st_ino != self.inode or now.st_size < self.read:
                self.inode, self.read = now.st_ino, 0
            file.seek(self.read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.read += len(whole)
        return [values for values in parse_metrics(whole) if self._is_new(values)]

    def _is_new(self, values: dict[str, Any]) -> bool:
        if "step" not in values:
            return True
        before = len(self.sent)
        self.sent.add((values["step"], *values))
        return len(self.sent) > before


@dataclass
class Tracker:
    """One run's metrics: run_dir/metrics.jsonl, and its W&B run where there is one."""

    run_dir: Path
    wandb_run: Any = None
    worker: str = ""
    """Whose lines are taken over of a job that several runs play together."""
    _sources: dict[Path, _Source] = field(default_factory=dict)

    def forward(self, stage: str, path: Path) -> None:
        """Take over what a stage has written to its own metrics file since the last call, each step once."""
        if path.exists():
            for values in self._sources.setdefault(path, _Source()).new(path):
                if values.get("worker", self.worker) == self.worker:
                    self.log(stage, values)

    def log(self, stage: str, values: dict[str, Any]) -> None:
        """Append one line, {"stage": ..., **values}."""
        append_metrics(self.run_dir / METRICS, {"stage": stage, **values})
        if self.wandb_run is not None:
            self.wandb_run.log({f"{stage}/{name}": value for name, value in values.items()})

    def finish(self, metrics: dict[str, Any], rows: list[dict[str, Any]], adapter: Path | None) -> None:
        """Send the summary, the table of results and the adapter's path to W&B, and end its run."""
        if self.wandb_run is None:
            return
        import wandb

        self.wandb_run.summary.update(flatten(metrics))
        self.wandb_run.summary["adapter"] = str(adapter) if adapter else None
        if rows:
            columns: list[Any] = list(rows[0])
            table = wandb.Table(columns=columns, data=[[row.get(name) for name in columns] for row in rows])
            self.wandb_run.log({"results": table})
        self.close()

    def close(self, exit_code: int = 0) -> None:
        """End the W&B run, if it is still open."""
        if self.wandb_run is not None:
            self.wandb_run.finish(exit_code=exit_code)
            self.wandb_run = None


def open_tracker(run_dir: Path, options: Wandb, config: dict[str, Any], name: str) -> Tracker:
    """Start tracking a run. W&B is never asked for a key interactively. Raises ConfigError where online lacks one."""
    mode = options.mode
    if mode == "auto":
        mode = "online" if os.environ.get("WANDB_API_KEY") else "offline"
    if mode == "online" and not os.environ.get("WANDB_API_KEY"):
        raise ConfigError("wandb.mode=online needs the environment variable WANDB_API_KEY; "
                          "set it, or wandb.mode=offline and run `wandb sync` later")
    if mode == "disabled":
        return Tracker(run_dir)
    try:
        import wandb
        from wandb.errors import Error as WandbError
    except ImportError:
        if options.mode == "auto":
            print("W&B is not installed; metrics go to metrics.jsonl only (pip install wandb)", file=sys.stderr)
            return Tracker(run_dir)
        raise ConfigError(f"wandb.mode={options.mode} needs W&B: pip install wandb, "
                          "or set wandb.mode=disabled") from None
    settings = wandb.Settings(console="off", silent=True, x_disable_stats=True, disable_git=True, disable_code=True)
    try:
        run = wandb.init(project=options.project, entity=options.entity, group=options.group, tags=options.tags or None,
                         name=name, dir=str(run_dir), mode=mode, config=config, settings=settings)
    except WandbError as error:
        print(f"W&B cannot be used ({error}); metrics go to metrics.jsonl only", file=sys.stderr)
        return Tracker(run_dir)
    return Tracker(run_dir, run)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested metrics into one level with / between the names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{name}/"))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
