"""Takes over what stages write to their metrics files while they run: into the run's own, and to W&B."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fireact.errors import ConfigError
from fireact.tracking.metrics import METRICS, append_metrics, parse_metrics

if TYPE_CHECKING:
    from fireact.schema import Config
    from fireact.tracking.mirror import Mirror


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
    mirror: Mirror | None = None
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
        if self.mirror is not None:
            self.mirror.log(stage, values)

    def finish(self, metrics: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        """Send W&B the summary, tables of the results, and the files of the run as artifacts; end its run.

        `rows` are those of results.jsonl.
        """
        if self.mirror is not None:
            self.mirror.conclude(metrics, rows)
        self.close()

    def close(self, exit_code: int = 0) -> None:
        """End the W&B run, if it is still open."""
        if self.mirror is not None:
            self.mirror.close(exit_code)
            self.mirror = None


def open_tracker(run_dir: Path, config: Config) -> Tracker:
    """Start tracking a run. W&B is never asked for a key interactively. Raises ConfigError where online lacks one."""
    wanted = config.wandb.mode
    keyed = bool(os.environ.get("WANDB_API_KEY"))
    if wanted == "online" and not keyed:
        raise ConfigError("wandb.mode=online needs the environment variable WANDB_API_KEY; "
                          "set it, or wandb.mode=offline and run `wandb sync` later")
    if wanted == "disabled":
        return Tracker(run_dir)
    # What wandb tells its makers of itself, and its own prints: read when it is imported.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    # Seconds for a single question to the server, asked where artifacts are logged.
    os.environ.setdefault("WANDB_HTTP_TIMEOUT", "5")
    try:
        import wandb  # noqa: F401
    except ImportError:
        if wanted == "auto":
            print("W&B is not installed; metrics go to metrics.jsonl only (pip install wandb)", file=sys.stderr)
            return Tracker(run_dir)
        raise ConfigError(f"wandb.mode={wanted} needs W&B: pip install wandb, "
                          "or set wandb.mode=disabled") from None
    from fireact.tracking.mirror import open_mirror

    return Tracker(run_dir, open_mirror(run_dir, config, online=wanted == "online" or (wanted == "auto" and keyed)))
