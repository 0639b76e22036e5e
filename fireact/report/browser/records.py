"""The steps of episodes, from the files that a run's links lead to: lines are found first, and only some are parsed."""

import json
import os
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fireact.errors import DataError, NewerVersion
from fireact.jsonl import open_file
from fireact.play.records import look, parse
from fireact.report.browser.outcomes import QuestionSet
from fireact.report.steps import clip, shown
from fireact.study.types import Study
from fireact.types import Trajectory

Entry = list[Any]
"""[the series that it is an episode of, its labelled steps or None, its error, why there are no steps]."""
GONE = "The record of this episode is no longer in the store."
UNREADABLE = "There is no record of this episode that can be read."
NEWER = "The record of this episode was written by a newer version of FireAct."


@dataclass
class Shelf:
    """A file of records, and the series of a set that it belongs to: cells that share a stage share its file."""

    path: Path
    series: list[int]
    """Indices in `QuestionSet.series`."""
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Offset and length in bytes, by question."""

    def look(self, wanted: Set[str]) -> None:
        """Find the records of the first attempts at these questions; the last of several counts if it was played."""
        played: set[str] = set()
        with suppress(DataError), open_file(self.path) as file:
            offset = 0
            for line in file:
                found = look(line)
                id, attempt, counts = (*found.name, found.played) if found else _parsed(line)
                if attempt == 0 and id in wanted and (counts or id not in played) and line.endswith(b"\n"):
                    self.places[id] = (offset, len(line))
                    played |= {id} if counts else set()
                offset += len(line)

    def mean_length(self, count: int) -> float:
        """About how long a record is, in bytes, if the file holds one for each of `count` questions."""
        with suppress(OSError):
            return self.path.stat().st_size / max(count, 1)
        return 0.0

    def entry(self, id: str, members: Set[int]) -> Entry | None:
        """A question's episode in those of its series that are `members`; None where none is."""
        series = [index for index in self.series if index in members]
        if not series:
            return None
        if not self.path.exists():
            return [series, None, None, GONE]
        if id not in self.places:
            return [series, None, None, UNREADABLE]
        offset, length = self.places[id]
        with open_file(self.path) as file:
            return [series, *steps(os.pread(file.fileno(), length, offset))]


def steps(line: bytes) -> tuple[list[tuple[str, str]] | None, str | None, str | None]:
    """A record's labelled steps, its error, and why there are none."""
    try:
        return told(parse(line, ""))
    except NewerVersion:
        return None, None, NEWER
    except DataError:
        return None, None, UNREADABLE


def told(record: Trajectory) -> tuple[list[tuple[str, str]], str | None, None]:
    """The same of a record that was read."""
    return [part for step in record.steps for part in shown(step)], record.error and clip(record.error), None


def _parsed(line: bytes) -> tuple[str, int, bool]:
    """Id, attempt and whether it counts, of a line that only a parser can read; what is damaged has no id."""
    with suppress(ValueError):
        values = json.loads(line)
        if isinstance(values, dict) and isinstance(values.get("id"), str):
            return values["id"], values.get("attempt", 0), True
    return "", -1, False


def shelves(study: Study, one: QuestionSet) -> list[Shelf]:
    """The files of a set's series, each once."""
    found: dict[str, Shelf] = {}
    for index, played in enumerate(one.series):
        path = os.path.realpath(played.path)
        found.setdefault(path, Shelf(Path(path), [])).series.append(index)
    return list(found.values())
