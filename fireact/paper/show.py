"""A comparison on the terminal, with its verdicts in colour."""

import sys

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fireact.paper import Comparison
from fireact.paper.text import parts
from fireact.report.text import Table

WIDTH = 120
"""Columns of the output where it goes to a file or a pipe."""
_COLOURS = {"within error": "green", "above": "cyan", "below": "yellow", "not comparable": "dim"}


def show(comparison: Comparison) -> None:
    """Print a comparison."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH, markup=False, highlight=False, emoji=False)
    # Captured, because rich raises where the terminal lacks a character.
    with console.capture() as capture:
        for part in parts(comparison):
            if isinstance(part, Table):
                console.print()
                console.print(part.caption, style="bold")
            console.print(_rich(part) if isinstance(part, Table) else _safe(part))
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(capture.get().encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _rich(table: Table) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for number, name in enumerate(table.head):
        words = number == 0 or name == "verdict"
        shown.add_column(name, justify="left" if words else "right", header_style="dim", overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(_safe(cell), style=_COLOURS.get(cell.partition(" [")[0], "")) for cell in row))
    return shown


def _safe(text: str) -> str:
    """Drop what could steer a terminal: models' names and paths are a user's."""
    return "".join(letter for letter in text if letter.isprintable())
