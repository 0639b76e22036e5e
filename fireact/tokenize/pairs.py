"""Preferences as rows: both sides of a pair are tokenised like any trajectory, and are used or left out together."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from fireact.preferences import SIDES, Preference
from fireact.tokenize.rows import Row
from fireact.types import Pair, Trajectory

Named = tuple[str, Trajectory]
"""A trajectory, and what its row is to be called."""


def sides(preferences: Sequence[Preference]) -> list[Named]:
    """The trajectories of all pairs, the chosen one of each before the rejected one."""
    return [(f"{one.id}/{side}", getattr(one, side)) for one in preferences for side in SIDES]


def together(rows: Sequence[Row]) -> list[Row]:
    """Leave out of the rows of `sides` what is left without its other side."""
    return list(chain.from_iterable(_both(*pair) for pair in zip(rows[::2], rows[1::2], strict=True)))


def pairs(rows: Sequence[Row]) -> Iterator[Pair]:
    """The pairs that are used, of rows that stand `together`."""
    for chosen, rejected in zip(rows[::2], rows[1::2], strict=True):
        if not chosen.left_out:
            yield Pair(chosen.example.id.removesuffix(f"/{SIDES[0]}"), chosen.example, rejected.example)


def _both(chosen: Row, rejected: Row) -> tuple[Row, Row]:
    return _unless(rejected, chosen), _unless(chosen, rejected)


def _unless(other: Row, row: Row) -> Row:
    if not other.left_out or row.left_out:
        return row
    return replace(row, left_out=f"the other side of its pair is left out: {other.left_out}", unpaired=True)
