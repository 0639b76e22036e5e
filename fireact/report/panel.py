"""Panels: the page's tables, whose cells may carry an interval, a bar or a colour, each with its data as CSV.

A figure that is a table is read by a screen reader, fits a phone and needs neither script nor image.
"""

import base64
import csv
import io
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from fireact.report.text import Table, minus

OPEN = 20
"""Rows of a panel that are shown at once; the others are behind a fold."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Datum = str | float | int | None


@dataclass(frozen=True)
class Axis:
    """The scale of a column of intervals."""

    low: float
    high: float
    labels: tuple[str, ...] = ()
    """At equal distances from the lowest to the highest."""

    def place(self, value: float) -> float:
        """Where a value stands, from 0 to 1."""
        width = self.high - self.low
        return min(1.0, max(0.0, (value - self.low) / width)) if width else 0.0


@dataclass(frozen=True)
class Head:
    """The head of a column."""

    text: str
    axis: Axis | None = None
    swatch: str = ""
    """The name of the colour that stands for the column in a bar."""
    hidden: bool = False
    """Whether only screen readers are told the text."""


@dataclass(frozen=True)
class Mark:
    """A cell: its text, what a panel is sorted by, and what is drawn with it."""

    text: str
    order: float | str | None = None
    span: tuple[float, float, float] | None = None
    """An interval on the column's axis as places from 0 to 1: its lower end, its value, its upper end."""
    parts: tuple[tuple[str, float], ...] = ()
    """A bar of (name of the colour, share)."""
    heat: float | None = None
    """How strong the colour behind the text is, from 0 to 1."""
    links: tuple[tuple[str, str], ...] = ()
    """(text, fragment of this page)."""
    tone: str = ""
    """A style: strong, wrap or soft."""


@dataclass(frozen=True)
class Panel:
    """A table of the page."""

    name: str
    """Its id on the page, and the name of the CSV."""
    caption: str
    head: tuple[Head, ...]
    rows: tuple[tuple[Mark, ...], ...]
    data: str
    """The CSV as a link."""
    note: str = ""
    sortable: bool = False
    open: int = OPEN

    @property
    def first(self) -> tuple[tuple[Mark, ...], ...]:
        """The rows that are shown at once; one that is left alone is shown with them."""
        return self.rows if len(self.rows) <= self.open + 1 else self.rows[: self.open]

    @property
    def rest(self) -> tuple[tuple[Mark, ...], ...]:
        """The rows behind a fold."""
        return self.rows[len(self.first):]


def plain(name: str, table: Table, note: str = "") -> Panel:
    """A table of text as a panel, whose CSV holds the same text."""
    rows = tuple(tuple(Mark(text, tone="wrap") if table.texts else Mark(minus(text) if place else text)
                       for place, text in enumerate(row)) for row in table.rows)
    return Panel(name, table.caption, tuple(Head(text) for text in table.head), rows,
                 csv_link(table.head, table.rows), note)


def share_axis(highest: float, lowest: float = 0.0) -> Axis:
    """An axis for shares that ends at tens of percent and holds `lowest` and `highest`."""
    low, high = _tenths(lowest, up=False), max(_tenths(highest, up=True), _tenths(lowest, up=False) + 0.1)
    return Axis(low, high, tuple(f"{100 * value:.0f}" for value in (low, (low + high) / 2, high)))


def balanced_axis(reach: float) -> Axis:
    """An axis for differences, with 0 in its middle."""
    reach = max(_tenths(reach, up=True), 0.1) if reach > 0.05 else 0.05
    return Axis(-reach, reach, (minus(f"{-100 * reach:.0f}"), "0", f"{100 * reach:+.0f}"))


def _tenths(value: float, *, up: bool) -> float:
    """The next tenth; the small amount keeps 0.3 at 0.3."""
    return math.ceil(value * 10 - 1e-9) / 10 if up else math.floor(value * 10 + 1e-9) / 10


def csv_link(head: Sequence[str], rows: Iterable[Sequence[Datum]]) -> str:
    """Return a table as the address of a CSV that works without script and network.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_harmless(name) for name in head])
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return "data:text/csv;base64," + base64.b64encode(out.getvalue().encode("utf-8", "replace")).decode()


def _harmless(value: Datum) -> Datum:
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    with suppress(ValueError):
        float(value)
        return value
    return "'" + value
