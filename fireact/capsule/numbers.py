"""Numbers that are claimed, held against what they were found to be."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["replayed", "recomputed", "differs", "unchecked"]
"""replayed: it follows from episodes that follow from the tape. recomputed: it follows from the packed files. differs:
it does not. unchecked: nobody could tell here."""
TOLERANCE = 1e-9
"""Relative: other versions of Python and SciPy round the last digit otherwise."""


@dataclass(frozen=True)
class Number:
    """One of them."""

    name: str
    """Where it stands in metrics.json, its parts joined by a slash."""
    claimed: Any
    found: Any
    level: Level
    why: str = ""
    """Why it is unchecked, or what differs."""
    summary: str = ""
    """The summary that it is a part of, e.g. evaluate/factbook/prompted."""

    @property
    def short(self) -> str:
        """Its name within the summary."""
        return self.name.removeprefix(f"{self.summary}/")

    @property
    def holds(self) -> bool:
        """Whether it was checked and found to be right."""
        return self.level in ("replayed", "recomputed")

    @property
    def off(self) -> float | None:
        """By how much it differs, where that is a number."""
        if isinstance(self.claimed, (int, float)) and isinstance(self.found, (int, float)):
            return self.claimed - self.found
        return None


def flat(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All plain values in nested ones, each with its place; an empty list or mapping is a value."""
    if isinstance(values, (Mapping, list)) and values:
        parts = values.items() if isinstance(values, Mapping) else enumerate(values)
        for part, value in parts:
            yield from flat(value, f"{name}/{part}" if name else str(part))
    else:
        yield name, values


def same(claimed: Any, found: Any) -> bool:
    """Whether two plain values are the same, up to the last digits of a number."""
    if isinstance(claimed, bool) or isinstance(found, bool):
        return claimed is found
    if isinstance(claimed, (int, float)) and isinstance(found, (int, float)):
        return math.isclose(claimed, found, rel_tol=TOLERANCE, abs_tol=1e-12)
    return claimed == found


def compare(name: str, claimed: Any, found: Any, level: Level, why: str = "") -> Iterator[Number]:
    """Hold all values of `claimed` against `found`; `level` is what holds where they are the same."""
    here = dict(flat(found, name))
    for place, value in flat(claimed, name):
        if place in here and same(value, here[place]):
            yield Number(place, value, here[place], level, why)
        elif place in here:
            yield Number(place, value, here[place], "differs")
        else:
            yield Number(place, value, None, "unchecked", "this version of FireAct does not compute it")


def unchecked(name: str, claimed: Any, why: str) -> Iterator[Number]:
    """Say of all values of `claimed` why they were not checked."""
    return (Number(place, value, None, "unchecked", why) for place, value in flat(claimed, name))
