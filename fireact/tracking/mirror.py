"""The W&B run of a cell. Nothing that happens to it costs the run its own numbers.

Points are sent in the order of the journal, each once, though processes are killed (journal.py). The summary, the
tables and the artifacts come last. Offline, all starts of all runs are kept in STORE/wandb, so that one
`wandb sync STORE/wandb` sends them in their order.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import wandb
from filelock import FileLock, Timeout

from fireact.errors import first_line
from fireact.keys import hidden
from fireact.store import key
from fireact.tracking.artifacts import Output, outputs
from fireact.tracking.identity import Identity, identify, without_secrets
from fireact.tracking.journal import Journal, Point
from fireact.tracking.metrics import flatten
from fireact.tracking.tables import result_table, sample

if TYPE_CHECKING:
    from fireact.schema import Config

_REACHED, _FINISHED = 10.0, 20.0
"""Seconds after which a server is given up, at the start and at the end."""
_ANSWERED = 30.0
"""Seconds for one answer, of those that W&B's process waits for while the run goes on."""
_MEGABYTES_A_SECOND = 1.0
"""The least speed at which files are waited for."""
_FLUSHED = 0.2
"""Seconds after which W&B's process writes to its file what it was told; a kill loses what came later."""


@dataclass
class Mirror:
    """An open W&B run."""

    run: Any
    journal: Journal
    first: int
    """The first point that this start sends."""
    run_dir: Path
    config: Config
    lock: FileLock
    failed: bool = False
    _axes: set[str] = field(default_factory=set)

    @property
    def online(self) -> bool:
        """Whether a server is sent what is told."""
        return self.run.settings.mode == "online"

    def log(self, stage: str, values: dict[str, Any]) -> None:
        """Send a point, unless W&B has it; after a failure, write it down for the next start."""
        self._attempt(lambda: self._log(stage, values))

    def _log(self, stage: str, values: dict[str, Any]) -> None:
        if self.journal.add(stage, values) and not self.failed:
            self._send(len(self.journal.points) - 1)

    def catch_up(self) -> None:
        """Send the points that a killed start left."""
        if not self.online:
            # A synced folder's summary takes the place of the one before, so each has the last values of all points.
            earlier = [_named(point) for point in self.journal.points[:self.first]]
            self._attempt(lambda: self.run.summary.update({name: value for told in earlier
                                                           for name, value in told.items()}))
        for index in range(self.first, len(self.journal.points)):
            if not self.failed:
                self._attempt(partial(self._send, index))

    def _send(self, index: int) -> None:
        point = self.journal.points[index]
        stage, values = point
        axis = next((name for name in ("step", "played") if values.get(name) is not None), None)
        if axis and stage not in self._axes:
            self._axes.add(stage)
            self.run.define_metric(f"{stage}/{axis}")
            self.run.define_metric(f"{stage}/*", step_metric=f"{stage}/{axis}")
        self.run.log(_named(point), step=self.run.starting_step + index - self.first, commit=True)

    def conclude(self, metrics: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """Send what is known at the end: the summary, tables of the results, and the files of the run."""
        if not self.failed:
            self._attempt(lambda: self._conclude(metrics, rows))

    def _conclude(self, metrics: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        self.run.summary.update(flatten(dict(metrics)))
        for name, (columns, data) in {"episodes": sample(rows), "results": result_table(metrics)}.items():
            mark = f"{name}:{key(columns=columns, data=data)}"
            if data and not (self.online and mark in self.journal.artifacts):
                self.run.summary[name] = wandb.Table(list(columns), list(data))
                self.journal.artifact(mark)
        for output in outputs(self.run_dir, self.run.id, self.config, metrics):
            self._save(output)

    def _save(self, output: Output) -> None:
        for role, wanted in (("made", output.made), ("used", output.used)):
            artifact = output.artifact()
            mark = f"{output.name}:{artifact.digest}:{role}"
            if not wanted or mark in self.journal.artifacts:
                continue
            if role == "made":
                self.run.log_artifact(artifact)
            else:
                # `use_artifact` asks the server at once, which an offline run has none of; this is what it does.
                self.run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
            if self.online:
                artifact.wait(timeout=int(_FINISHED + output.megabytes / _MEGABYTES_A_SECOND))
            self.journal.artifact(mark)

    def close(self, exit_code: int) -> None:
        """End the run. What W&B did not take in time is left to the next start."""
        try:
            self._attempt(lambda: self.run.finish(exit_code=exit_code))
            if self.failed:
                _let_go()
            else:
                self._attempt(self.journal.end)
        finally:
            self.lock.release()

    def _attempt(self, act: Callable[[], object]) -> None:
        """Do something with W&B; where that fails, say so once."""
        try:
            act()
        # Its client is of another make and talks to other processes and machines, and no fault there may end this run.
        except Exception as error:
            if not self.failed:
                print(f"W&B did not take everything ({_reason(error)}); start the same command again to send it what "
                      "is missing", file=sys.stderr, flush=True)
            self.failed = True


def _named(point: Point) -> dict[str, Any]:
    return {f"{point.stage}/{name}": value for name, value in point.values.items() if name != "worker"}


def open_mirror(run_dir: Path, config: Config, online: bool) -> Mirror | None:
    """Begin the W&B run of a cell, or go on with it; offline where no server takes it.

    None, with a sentence, where another process has that run, or where only the server could tell what it has.
    """
    folder, whose = config.store / "wandb", identify(run_dir, config)
    lock = FileLock(folder / f"{whose.id}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"W&B: another process writes the run {whose.id}; the metrics of this one go to metrics.jsonl only",
              file=sys.stderr, flush=True)
        return None
    journal = Journal.read(folder / f"{whose.id}.jsonl")
    mirror = _begin(run_dir, config, whose, lock, journal, online)
    if mirror is None:
        lock.release()
    else:
        mirror.catch_up()
    return mirror


def _begin(run_dir: Path, config: Config, whose: Identity, lock: FileLock, journal: Journal,
           online: bool) -> Mirror | None:
    undecided = journal.cut is not None and journal.cut["online"]
    later = _LATER if undecided else f"the run goes on offline; send it later with: wandb sync {config.store / 'wandb'}"
    run = _start(config, whose, "online", later) if online else None
    first = journal.first_missing(run.starting_step if run else None)
    if first is None:
        if not online:
            print(f"W&B: only its server knows what it got of this run, which was cut off online; {_LATER}",
                  file=sys.stderr, flush=True)
        return None
    run = run or _start(config, whose, "offline", "metrics go to metrics.jsonl only")
    if run is None:
        return None
    journal.start(Path(run.settings.sync_dir).name, run.settings.mode == "online", first, run.starting_step)
    return Mirror(run, journal, first, run_dir, config, lock)


_LATER = "what it lacks is sent by the next start that reaches it"


def _start(config: Config, whose: Identity, mode: Literal["online", "offline"], otherwise: str) -> Any:
    """Return W&B's run; None where it cannot be begun, with a sentence that ends with what is done otherwise."""
    options = config.wandb
    settings = wandb.Settings(
        console="off", silent=True, symlink=False, x_disable_stats=True, disable_git=True, disable_code=True,
        init_timeout=_REACHED, finish_timeout=_FINISHED, finish_timeout_raises=True,
        x_graphql_timeout_seconds=_ANSWERED, x_transaction_log_flush_interval=_FLUSHED)
    try:
        return wandb.init(project=options.project, entity=options.entity, group=whose.group, id=whose.id,
                          resume="allow", tags=options.tags or None, name=whose.name, dir=str(config.store),
                          mode=mode, config=without_secrets(config.model_dump(mode="json")), settings=settings)
    except Exception as error:  # As above.
        # Its process holds on to the id of a run that it could not begin.
        _let_go()
        print(f"W&B cannot be used ({_reason(error)}); {otherwise}", file=sys.stderr, flush=True)
        return None


def _let_go() -> None:
    """End W&B's process, which may be gone, so that the next run begins with another."""
    with suppress(OSError):
        wandb.teardown()


def _reason(error: Exception) -> str:
    """A short reason, without the key."""
    return hidden(first_line(error), os.environ.get("WANDB_API_KEY", ""))[:200]
