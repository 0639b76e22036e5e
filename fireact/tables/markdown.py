"""Tables as GitHub's markdown."""

from collections.abc import Iterable, Sequence

from fireact.tables.sheet import Sheet, Spread, shown


def markdown(sheet: Sheet, spread: Spread = "se") -> str:
    """Return a table under its caption, with its notes."""
    rows = [[_bold(text) if number in sheet.best and column.name == "em" else text
             for column, value in zip(sheet.columns, row, strict=True) for text in [shown(value, column.kind, spread)]]
            for number, row in enumerate(sheet.rows)]
    left = [place for place, column in enumerate(sheet.columns) if column.kind == "text"]
    notes = [part for note in sheet.notes for part in (_cell(note), "")]
    return "\n".join([f"**{_cell(sheet.caption)}**", "", *table([column.head for column in sheet.columns], rows, left),
                      "", *notes])


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Return the lines of a table; the columns that are not set left hold numbers."""
    rule = ["---" if place in left else "---:" for place in range(len(head))]
    return [_line(head), _line(rule), *map(_line, rows)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _bold(text: str) -> str:
    return f"**{text}**"
