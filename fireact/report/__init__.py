"""The report of a run: tables for the terminal, and one self-contained page, RUN/report.html.

    python main.py stage=report inputs.run=outputs/<day>/<time>-<id>     writes the page of an earlier run again
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from fireact.jsonl import write_atomic
from fireact.report.episodes import RESULTS, read_results
from fireact.report.html import render
from fireact.report.text import (
    Table,
    by_guise,
    contaminated,
    difference,
    faults_table,
    funnel_table,
    kinds_table,
    prices_table,
    results_table,
    stops_table,
    training_facts,
)

__all__ = ["HTML", "RESULTS", "print_funnel", "print_results", "read_results", "write_html"]

HTML = "report.html"
WIDTH = 120
"""Columns of the output where it goes to a file or a pipe."""


def print_funnel(cells: Mapping[str, Mapping[str, Any]], contamination: Mapping[str, Any]) -> None:
    """Print what the curation kept and dropped, one column a method, and which training questions are evaluated."""
    _print([funnel_table(cells), *contaminated(contamination)])


def print_results(metrics: Mapping[str, Any]) -> None:
    """Print what is there of a run's metrics: the teacher, the training, and the student in both guises."""
    parts: list[Table | str] = []
    if "generate" in metrics:
        parts.append(results_table("The teacher, by method", metrics["generate"]))
    if "train" in metrics:
        parts.append("Training: " + ", ".join(f"{name} {value}" for name, value in training_facts(metrics["train"])))
    for dataset, evaluation in metrics.get("evaluate", {}).items():
        summaries = by_guise(evaluation)
        parts += [results_table(f"The student on {dataset}", summaries), kinds_table(summaries), stops_table(summaries)]
        if "difference" in evaluation:
            parts.append(difference(evaluation["difference"]))
        if "faults" in evaluation:
            parts.append(faults_table(evaluation))
        priced = prices_table(evaluation)
        if priced:
            parts.append(priced)
    _print(parts)


def write_html(run_dir: Path) -> Path:
    """Write RUN/report.html from what there is in the run directory, and return its path.

    Raises ConfigError for a folder that is no run directory, DataError for a file in it that cannot be read.
    """
    page = run_dir / HTML
    write_atomic(page, render(run_dir))
    return page


def _print(parts: Iterable[Table | str]) -> None:
    # No markup: names and kinds are a user's data. Captured, because rich raises where the terminal lacks a character.
    console = Console(width=None if sys.stdout.isatty() else WIDTH, markup=False, highlight=False, emoji=False)
    with console.capture() as capture:
        for part in parts:
            console.print()
            if isinstance(part, Table):
                console.print(_plain(part.caption), style="bold")
            console.print(_rich(part, console.width) if isinstance(part, Table) else part)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(capture.get().encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _rich(table: Table, width: int) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, padding=(0, 2 if width >= 100 else 1), collapse_padding=True)
    for number, name in enumerate(table.head):
        shown.add_column(_plain(name), justify="right" if number else "left", header_style="dim", overflow="fold")
    for row in table.rows:
        shown.add_row(*map(_plain, row))
    return shown


def _plain(text: str) -> str:
    """Drop what could steer a terminal."""
    return "".join(letter for letter in text if letter.isprintable())
