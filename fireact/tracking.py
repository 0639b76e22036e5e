"""What a run measures over time: metrics.jsonl, always; W&B as its mirror; progress for the person who waits."""

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fireact.errors import ConfigError
from fireact.schema import Wandb
from fireact.types import StopReason, Trajectory

METRICS = "metrics.jsonl"
EVERY = 5.0
"""Seconds between two lines of progress."""


class Progress:
    """Counts episodes as they end, prints a line every few seconds, and writes the same to FOLDER/metrics.jsonl."""

    def __init__(self, label: str, total: int, before: int, folder: Path):
        """`before` of the `total` episodes were played earlier."""
        self.label, self.total, self.played, self.folder = label, total, before, folder
        self.new = self.correct = self.rounds = self.tokens = self.unreached = 0
        self.last_error: str | None = None
        self.started = self._shown = time.monotonic()

    def advance(self, record: Trajectory) -> None:
        """Count one episode."""
        self.played += 1
        self.new += 1
        self.correct += record.score.em > 0
        self.rounds += record.rounds
        self.tokens += int(record.total("completion_tokens"))
        if record.stop is StopReason.MODEL:
            self.unreached, self.last_error = self.unreached + 1, record.error
        if time.monotonic() - self._shown > EVERY or self.played == self.total:
            self._shown = time.monotonic()
            self._show()

    def close(self) -> None:
        """Say where things stand when the work ends early."""
        if self.new and self.played < self.total:
            self._show()

    def _show(self) -> None:
        seconds = time.monotonic() - self.started
        left = (self.total - self.played) * seconds / max(self.new, 1)
        values = {"played": self.played, "em": self.correct / self.new, "rounds": self.rounds / self.new,
                  "tokens": self.tokens, "new": self.new, "seconds": seconds}
        print(f"  {self.label}: {self.played}/{self.total} played, {values['em']:.0%} right, "
              f"{values['rounds']:.1f} rounds each, {clock(left)} left", flush=True)
        append_metrics(self.folder / METRICS, values)


def seconds_per_episode(folder: Path) -> float | None:
    """Return how long an episode took, in seconds of the whole machine, or None where nobody measured it.

    A folder may have been played by several processes, one after the other: each counts from 0.
    """
    path = folder / METRICS
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    following = [*lines[1:], {"new": 0}]
    last = [line for line, after in zip(lines, following, strict=False) if after["new"] <= line["new"]]
    episodes = sum(line["new"] for line in last)
    return sum(line["seconds"] for line in last) / episodes if episodes else None


def clock(seconds: float) -> str:
    """Write a duration as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def append_metrics(path: Path, values: dict[str, Any]) -> None:
    """Append one line to a metrics file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


@dataclass
class Tracker:
    """One run's metrics: run_dir/metrics.jsonl, and its W&B run where there is one."""

    run_dir: Path
    wandb_run: Any = None
    _read: dict[Path, int] = field(default_factory=dict)

    def forward(self, stage: str, path: Path) -> None:
        """Take over what a stage has appended to its own metrics file since the last call."""
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(whole)
        for line in whole.splitlines():
            self.log(stage, json.loads(line))

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
