"""Tables and sentences on the terminal."""

import sys
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fireact.report.text import Table

WIDTH = 120
"""Columns of the output where it goes to a file or a pipe."""


def show(parts: Iterable[Table | str], colours: Mapping[str, str] | None = None) -> None:
    """Print tables and sentences; `colours` are of cells that begin with such words."""
    # No markup: names and kinds are a user's data. Captured, because rich raises where the terminal lacks a character.
    console = Console(width=None if sys.stdout.isatty() else WIDTH, markup=False, highlight=False, emoji=False)
    with console.capture() as capture:
        before: Table | str = ""
        for part in parts:
            if isinstance(part, Table) or isinstance(before, Table):
                console.print()
            before = part
            if isinstance(part, Table):
                console.print(_plain(part.caption), style="bold")
            console.print(_rich(part, console.width, colours or {}) if isinstance(part, Table) else _plain(part))
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(capture.get().encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _rich(table: Table, width: int, colours: Mapping[str, str]) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, padding=(0, 2 if width >= 100 else 1), collapse_padding=True)
    for number, name in enumerate(table.head):
        justify = "right" if number and not table.texts else "left"
        shown.add_column(_plain(name), justify=justify, header_style="dim", overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(_plain(cell), style=_colour(cell, colours)) for cell in row))
    return shown


def _colour(cell: str, colours: Mapping[str, str]) -> str:
    return next((colour for words, colour in colours.items() if cell.startswith(words)), "")


def _plain(text: str) -> str:
    """Drop what could steer a terminal."""
    return "".join(letter for letter in text if letter.isprintable())
