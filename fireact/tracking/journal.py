"""What the W&B run of a cell has been sent: one append-only file a run, STORE/wandb/<id>.jsonl.

A process may be killed, and with it what W&B's own process had not written. So every point is written here first, and
a start that ended properly says so. The next start goes on behind the last point that W&B certainly has:

    {"start": "offline-run-...", "online": false, "first": 0, "step": 0, "unsynced": {}}
                                                  from which point on, as which step of W&B's, and the points that
                                                  still lie in folders
    {"stage": "train", "values": {"step": 1, "loss": 0.5}}                   a point
    {"artifact": "adapter-...:<digest>"}
    {"end": 1}                                                               so many points are there
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fireact.store import key
from fireact.tracking.metrics import append_metrics, parse_metrics


class Point(NamedTuple):
    """What a stage measured at one moment."""

    stage: str
    values: dict[str, Any]

    @property
    def identity(self) -> str:
        """The same for a step that was made again after a kill; of a line without a step, all of it counts."""
        step = self.values.get("step")
        values = self.values if step is None else [step, list(self.values)]
        return key(stage=self.stage, values=values)


@dataclass
class Journal:
    """The file and what it says."""

    path: Path
    points: list[Point] = field(default_factory=list)
    sent: int = 0
    """So many of the points are with W&B, or in a folder of an offline run that ended properly."""
    cut: dict[str, Any] | None = None
    """The line of the last start, where it did not end properly."""
    artifacts: set[str] = field(default_factory=set)
    """Those that were sent by starts that ended properly."""
    _offline: dict[str, int] = field(default_factory=dict)
    """The points in each folder of an offline start that ended properly."""
    _known: set[str] = field(default_factory=set)
    _logged: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Journal:
        """Read a journal, an empty one where there is no file. Raises OSError."""
        journal = cls(path)
        for line in parse_metrics(path.read_bytes()) if path.exists() else []:
            journal._take(line)
        return journal

    def _take(self, line: dict[str, Any]) -> None:
        if "stage" in line:
            point = Point(line["stage"], line["values"])
            self.points.append(point)
            self._known.add(point.identity)
        elif "artifact" in line:
            self._logged.add(line["artifact"])
        elif "start" in line:
            self.cut, self._logged = line, set()
        elif "end" in line:
            if self.cut is not None and not self.cut["online"]:
                self._offline[self.cut["start"]] = line["end"] - self.cut["first"]
            self.cut, self.sent = None, line["end"]
            self.artifacts |= self._logged

    def _append(self, line: Mapping[str, Any]) -> None:
        append_metrics(self.path, line)
        # As it will be read again: keys of JSON are strings.
        self._take(json.loads(json.dumps(line)))

    def add(self, stage: str, values: dict[str, Any]) -> bool:
        """Write a point down, and return whether it is new. Raises OSError."""
        new = Point(stage, values).identity not in self._known
        if new:
            self._append({"stage": stage, "values": values})
        return new

    def first_missing(self, step: int | None) -> int | None:
        """Return the first point that W&B lacks, None where only the server could tell.

        `step` is where the server's history ends, None where it was not asked. What a killed process left offline is
        deleted, unless it was synced, to be written again.
        """
        cut = self.cut
        if cut is None:
            return self.sent
        if not cut["online"]:
            if self._synced(cut["start"]):
                return len(self.points)
            shutil.rmtree(self.path.parent / cut["start"], ignore_errors=True)
            return cut["first"]
        if step is None:
            return None
        came_later = sum(points for name, points in cut["unsynced"].items() if self._synced(name))
        arrived = step - cut["step"] - came_later
        return cut["first"] + min(max(arrived, 0), len(self.points) - cut["first"])

    def start(self, name: str, online: bool, first: int, step: int) -> None:
        """Note that points from `first` on are sent from now on, as W&B's steps from `step` on. Raises OSError.

        `name` is that of the folder which W&B keeps beside the journal.
        """
        unsynced = {other: points for other, points in self._offline.items() if not self._synced(other)}
        self._append({"start": name, "online": online, "first": first, "step": step, "unsynced": unsynced})

    def _synced(self, name: str) -> bool:
        """Whether `wandb sync` has sent a folder."""
        return any((self.path.parent / name).glob("*.synced"))

    def artifact(self, name: str) -> None:
        """Note an artifact. Raises OSError."""
        self._append({"artifact": name})

    def end(self) -> None:
        """Note that W&B has all. Raises OSError."""
        self._append({"end": len(self.points)})
