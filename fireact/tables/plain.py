"""Tables as CSV: fractions as in metrics.json, standard error and interval in columns of their own."""

import csv
import io
from collections.abc import Iterable, Sequence

from fireact.stats import Contrast, Estimate
from fireact.study.sheet import Column, Sheet, Value

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula."""
_SPREAD = ("_se", "_low", "_high")


def to_csv(sheet: Sheet) -> str:
    """Return a table with one line a row."""
    head = [name for column in sheet.columns for name in _names(column)]
    return csv_text(head, ([part for column, value in zip(sheet.columns, row, strict=True)
                            for part in _parts(column, value)] for row in sheet.rows))


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a CSV; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return out.getvalue()


def _harmless(value: object) -> object:
    if not isinstance(value, str):
        return value
    # The writer quotes no lone carriage return, which readers take for the end of a line.
    return ("'" if value.startswith(_FORMULA) else "") + value.replace("\r", " ")


def _names(column: Column) -> list[str]:
    return [column.name, *(f"{column.name}{end}" for end in _SPREAD)] if column.kind in ("estimate", "contrast") \
        else [column.name]


def _parts(column: Column, value: Value) -> list[object]:
    if isinstance(value, (Estimate, Contrast)):
        return [value.value, value.se, value.low, value.high]
    return [value, *([None] * (len(_names(column)) - 1))]
