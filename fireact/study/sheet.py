"""A table before it has a format: values with their kinds, which each format writes in its own way."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fireact.stats import Contrast, Estimate

Kind = Literal["text", "count", "share", "number", "dollars", "p", "estimate", "contrast"]
"""text, a whole number, a share between 0 and 1, any number, US dollars, a p value, an `Estimate` or `Contrast` of
shares."""
Spread = Literal["se", "interval"]
"""What is written beside an estimate: its standard error, or its 95% interval."""
Value = str | int | float | Estimate | Contrast | None


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    """In a CSV."""
    head: str
    """For people; shares are in percent there."""
    kind: Kind = "text"


@dataclass(frozen=True)
class Sheet:
    """A table of values, None where there is none."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    notes: tuple[str, ...] = ()
    """Sentences to be read with it."""
    best: frozenset[int] = frozenset()
    """The rows whose estimates of EM are set in bold."""


def filled(columns: Iterable[Column], rows: Iterable[tuple[Value, ...]]) -> tuple[tuple[Column, ...],
                                                                                 tuple[tuple[Value, ...], ...]]:
    """Return columns and rows without the columns that hold nothing."""
    known, lines = tuple(columns), tuple(rows)
    kept = [place for place in range(len(known)) if any(row[place] not in (None, "") for row in lines)]
    return tuple(known[place] for place in kept), tuple(tuple(row[place] for place in kept) for row in lines)


def shown(value: Value, kind: Kind, spread: Spread = "se") -> str:
    """Write a value for people; a value that is not known is a dash."""
    if value is None or value == "":
        return "-"
    if isinstance(value, Estimate):
        return _estimate(value, spread)
    if isinstance(value, Contrast):
        ends = "" if value.low is None or value.high is None else f" ({_points(value.low)} to {_points(value.high)})"
        return f"{_points(value.value)}{ends}"
    if isinstance(value, str):
        return value
    if kind == "p":
        return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
    return {"count": f"{value:,.0f}", "share": f"{100 * value:.1f}", "dollars": f"{value:.4f}"}.get(
        kind, f"{value:,.0f}" if value >= 100 else f"{value:.1f}")


def _estimate(value: Estimate, spread: Spread) -> str:
    if spread == "interval" and value.low is not None and value.high is not None:
        return f"{100 * value.value:.1f} ({100 * value.low:.1f} to {100 * value.high:.1f})"
    return f"{100 * value.value:.1f}" + ("" if value.se is None else f" ± {100 * value.se:.1f}")


def _points(difference: float) -> str:
    text = f"{100 * difference:+.1f}"
    return text if float(text) else "0.0"
