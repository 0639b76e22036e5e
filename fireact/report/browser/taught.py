"""The teacher's episodes on the training questions: a sample of each of its files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fireact.errors import DataError
from fireact.failures import failure, hops
from fireact.jsonl import decode, open_file
from fireact.report.balance import balanced
from fireact.report.browser.outcomes import letter, stop_letter
from fireact.report.browser.records import Entry, told
from fireact.report.origin import place
from fireact.report.steps import clip
from fireact.study.types import Study
from fireact.types import Trajectory

FILES, EPISODES = 6, 60
"""How many of the teacher's files are looked into, and how many episodes of each are shown."""
LOOKED_AT = 2000
"""Of a file's records, those that the sample is taken from."""


@dataclass
class Taught:
    """A sample of a teacher's episodes."""

    name: str
    where: str
    records: Sequence[Trajectory]
    looked_at: int

    @property
    def entries(self) -> list[Entry]:
        """Their steps."""
        return [[[0], *told(record)] for record in self.records]

    def outcomes(self) -> dict[str, Any]:
        """How they went, as `Played.data` says it."""
        return {"o": "".join(letter(right=record.score.em == 1, failure=failure(record)) for record in self.records),
                "s": "".join(stop_letter(record.stop.value) for record in self.records),
                "a": [None if record.answer is None else clip(record.answer) for record in self.records],
                "e": [[record.rounds for record in self.records], [record.tool_calls for record in self.records],
                      *([round(record.total(name), 1) for record in self.records]
                        for name in ("prompt_tokens", "completion_tokens", "seconds"))]}

    def data(self) -> dict[str, Any]:
        """What the page reads at once."""
        questions = [[record.id, clip(record.question.text), clip(record.question.answers[0]), record.question.kind,
                      hops(record.question), int(record.score.em == 1), 1] for record in self.records]
        note = (f"{len(self.records)} of the teacher's {self.looked_at:,} episodes, right ones, wrong ones and kinds "
                "mixed evenly: not in the proportion in which they occurred." if len(self.records) < self.looked_at
                else "")
        return {"name": self.name, "note": note, "questions": questions, "sides": [0, None],
                "series": [["teacher", "teacher", self.where]]}


def taught(study: Study) -> list[Taught]:
    """A sample of each of the teacher's files, as far as they are there and can be read."""
    files: dict[str, tuple[Path, str]] = {}
    for cell in study.cells:
        for path in sorted(cell.folder.glob("trajectories*.jsonl")) if len(files) < FILES else ():
            if path.exists():
                folder = place(study, cell)
                files.setdefault(os.path.realpath(path),
                                 (path, path.name if folder == "." else f"{folder}/{path.name}"))
    found = []
    for path, where in list(files.values())[:FILES]:
        records = [record for record in _read(path) if record.attempt == 0]
        chosen = balanced(records, lambda record: record.id, lambda record: record.score.em == 1,
                          lambda record: (record.method, record.question.kind, record.stop.value))[:EPISODES]
        methods = ", ".join(dict.fromkeys(record.method for record in chosen))
        name = f"training questions, teacher ({methods})" + (f", {where}" if len(files) > 1 else "")
        found += [Taught(name, where, chosen, len(records))] if chosen else []
    return found


def _read(path: Path) -> list[Trajectory]:
    """The first records of a file, without those that cannot be read."""
    records = []
    with open_file(path) as file:
        for line in islice(file, LOOKED_AT):
            try:
                records += [decode(Trajectory, line.decode("utf-8", "replace"), "")] if line.endswith(b"\n") else []
            except DataError:
                continue
    return records
