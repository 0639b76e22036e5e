"""Recorded searches: what was asked, and what came back. Read from a file of pairs, or out of trajectories.

A line is either {"query": ..., "observation": ...} or one of our own trajectories.jsonl.
"""

from dataclasses import dataclass
from pathlib import Path

from fireact.errors import DataError
from fireact.jsonl import read_located

REAL = ("", "exact")
"""The origins of observations that answer their own query: neither a fault, a refusal, nor what was merely near."""


@dataclass(frozen=True)
class Recording:
    """One search."""

    query: str
    observation: str

    @property
    def asked(self) -> str:
        """The query as `same` sees it."""
        return same(self.query)


@dataclass(frozen=True)
class _Step:
    text: str
    tool: str | None = None
    argument: str | None = None
    origin: str = ""


@dataclass(frozen=True)
class _Line:
    query: str | None = None
    observation: str | None = None
    steps: tuple[_Step, ...] | None = None

    def recordings(self, where: str) -> list[Recording]:
        if self.steps is not None:
            return [Recording(step.argument, step.text) for step in self.steps
                    if step.tool == "search" and step.argument is not None and step.origin in REAL]
        if self.query is None or self.observation is None:
            raise DataError(f"{where} records no search; expected {{\"query\": ..., \"observation\": ...}} "
                            "or one of FireAct's trajectories")
        return [Recording(self.query, self.observation)]


def read(path: Path) -> list[Recording]:
    """Return the recorded searches of a file, in its order.

    Raises DataError for a file that is missing, broken or holds no search.
    """
    found = [recording for where, line in read_located(path, _Line) for recording in line.recordings(where)]
    if not found:
        raise DataError(f"{path} holds no search; expected one a line, e.g. "
                        '{"query": "capital of Bhutan", "observation": "Thimphu is the capital of Bhutan."}')
    return found


def same(query: str) -> str:
    """What two queries have in common that differ in case and spaces only."""
    return " ".join(query.split()).casefold()
