"""Tables as GitHub's markdown."""

import re
from collections.abc import Collection, Iterable, Sequence

from fireact.study.sheet import Sheet, Spread, shown

_SPECIAL = re.compile(r"[\\|*`]|<(?=[A-Za-z/!?])")
"""What ends a cell, or is taken for markup: a text is to be read as it is."""


def markdown(sheet: Sheet, spread: Spread = "se") -> str:
    """Return a table under its caption, with its notes."""
    rows = [[shown(value, column.kind, spread) for column, value in zip(sheet.columns, row, strict=True)]
            for row in sheet.rows]
    left = [place for place, column in enumerate(sheet.columns) if column.kind == "text"]
    bold = [(row, place) for row in sheet.best for place, column in enumerate(sheet.columns) if column.name == "em"]
    notes = [part for note in sheet.notes for part in (_cell(note), "")]
    return "\n".join([f"**{_cell(sheet.caption)}**", "",
                      *table([column.head for column in sheet.columns], rows, left, bold), "", *notes])


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[int] = (0,),
          bold: Collection[tuple[int, int]] = ()) -> list[str]:
    """Return the lines of a table; the columns that are not set `left` hold numbers, `bold` are cells by row and
    column."""
    rule = ["---" if place in left else "---:" for place in range(len(head))]
    lines = [[f"**{_cell(text)}**" if (number, place) in bold else _cell(text) for place, text in enumerate(row)]
             for number, row in enumerate(rows)]
    return [_line(map(_cell, head)), _line(rule), *map(_line, lines)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", " ".join(text.split()))
