"""The report of a run or a sweep: tables for the terminal, and one self-contained page, FOLDER/report.html.

    python main.py stage=report inputs.run=outputs/<day>/<time>-<id>      writes the page of an earlier run again
    python main.py stage=report inputs.run=multirun/<day>/<time>-<id>     of a sweep, as far as its cells are done
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fireact.jsonl import read_jsonl, write_atomic
from fireact.report.attempts import attempts_table
from fireact.report.audit import audit_tables, counted, parity_lines
from fireact.report.rounds import is_own
from fireact.report.terminal import show
from fireact.report.text import (
    Table,
    by_guise,
    contaminated,
    difference,
    drops_evaluated,
    faults_table,
    funnel_table,
    kinds_table,
    price_notes,
    prices_table,
    results_table,
    stops_table,
    training_facts,
)

__all__ = ["HTML", "RESULTS", "counted", "parity_lines", "print_audit", "print_funnel", "print_results",
           "read_results", "write_html"]

HTML, RESULTS = "report.html", "results.jsonl"


def print_funnel(cells: Mapping[str, Mapping[str, Any]], contamination: Mapping[str, Any]) -> None:
    """Print what the curation kept and dropped, one column a method, and which training questions are evaluated."""
    show([funnel_table(cells), *contaminated(contamination, dropped=drops_evaluated(cells))])


def print_contamination(contamination: Mapping[str, Any]) -> None:
    """Print which evaluated questions are among those of a curated folder that was made by another run."""
    show(contaminated(contamination, dropped=False))


def print_audit(audit: Mapping[str, Any], page: Path) -> None:
    """Print which tokens are trained on, and which faults the training rows have."""
    show([*audit_tables(audit), f"The rows, coloured: {page}"])


def print_results(metrics: Mapping[str, Any]) -> None:
    """Print what is there of a run's metrics: the teacher, the training, and the student in both guises."""
    parts: list[Table | str | None] = []
    if "generate" in metrics:
        played = metrics["generate"]
        who = "The teacher, and the student itself" if any(map(is_own, played)) else "The teacher"
        parts += [results_table(f"{who}, by method", played), attempts_table(played)]
    if "train" in metrics:
        parts.append("Training: " + ", ".join(f"{name} {value}" for name, value in training_facts(metrics["train"])))
    for dataset, evaluation in metrics.get("evaluate", {}).items():
        summaries = by_guise(evaluation)
        parts += [results_table(f"The student on {dataset}", summaries), kinds_table(summaries), stops_table(summaries)]
        parts.append(attempts_table(summaries))
        if "difference" in evaluation:
            parts.append(difference(evaluation["difference"]))
        if "faults" in evaluation:
            parts.append(faults_table(evaluation))
        priced = prices_table(evaluation)
        if priced:
            parts += [priced, *price_notes(evaluation)]
    show(part for part in parts if part is not None)


def read_results(run_dir: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's results.jsonl, [] where there is none. Raises DataError."""
    path = run_dir / RESULTS
    return list(read_jsonl(path, dict)) if path.exists() else []


def write_html(folder: Path) -> Path:
    """Write FOLDER/report.html from what there is in a run directory or a sweep's, and return its path.

    Raises ConfigError for a folder that is neither, DataError for what a newer FireAct wrote.
    """
    # What draws the page is imported here: main.py prints its help without it.
    from fireact.report.findings import find
    from fireact.report.html import render
    from fireact.study.read import read

    study, path = read(folder), folder / HTML
    write_atomic(path, render(study, find(study)))
    return path
