"""A comparison in words and tables: for the terminal, and as CSV and Markdown beside the runs."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from fireact.jsonl import write_atomic
from fireact.paper import Compared, Comparison
from fireact.paper.cells import PERCENT, Cell
from fireact.paper.verdict import Estimate
from fireact.report.text import Table
from fireact.tables import markdown
from fireact.tables.plain import csv_text

COLOURS = {"within error": "green", "above": "cyan", "below": "yellow", "not comparable": "dim"}
"""Of the verdicts on a terminal."""
_HEAD = ("", "paper", "± se", "n", "ours", "± se", "n", "difference (95%)", "verdict")
_COLUMNS = ("table", "cell", "metric", "paper", "paper_se", "paper_n", "ours", "ours_se", "ours_n", "low", "high",
            "verdict", "why", "note", "source", "run")
_METRICS = {"em": "EM %", "f1": "F1 %", "gain": "gain, points of EM", "turns": "turns", "dollars": "US$ an episode",
            "seconds": "s an episode", "megabytes": "MB"}


def parts(comparison: Comparison) -> list[Table | str]:
    """Return what a terminal shows: the numbers with their verdicts, the reasons, and what is missing."""
    notes = _notes(comparison.rows)
    shown: list[Table | str] = []
    if comparison.rows:
        rows = tuple((_label(row.cell), *_numbers(row), _verdict(row, notes)) for row in comparison.rows)
        shown.append(Table(comparison.table.title, _HEAD, rows))
        shown += [f"[{number}] {text}" for text, number in notes.items()]
    if any(row.cell.setting.method == "react" and row.verdict != "not comparable" for row in comparison.rows):
        shown.append("The paper's searches were answered by the Google of 2023, which nobody can ask any more.")
    shown += [_histogram(row) for row in comparison.rows if row.cell.counts]
    return [*shown, *_missing(comparison)]


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """Write <table>.csv and <table>.md into a folder, and return their paths. Raises OSError."""
    paths = [folder / f"{comparison.table.name}{ending}" for ending in (".csv", ".md")]
    for path, text in zip(paths, (to_csv(comparison), to_markdown(comparison)), strict=True):
        write_atomic(path, text)
    return paths


def to_csv(comparison: Comparison) -> str:
    """Return one line a number, fractions as in metrics.json."""
    lines = []
    for row in comparison.rows:
        low, high = row.difference or ("", "")
        lines.append([comparison.table.name, row.cell.label, row.cell.metric, *_plain(row.paper), *_plain(row.ours),
                      low, high, row.verdict, "; ".join(row.why), row.cell.note, row.cell.source, row.measure.run])
    lines += [[comparison.table.name, cell.label, cell.metric, cell.value, "", cell.n, "", "", "", "", "", "not run",
               "", cell.note, cell.source, ""] for cell in comparison.missing]
    return csv_text(_COLUMNS, lines)


def to_markdown(comparison: Comparison) -> str:
    """Return the same for people."""
    lines = [f"# {comparison.table.title}", ""]
    for part in parts(comparison):
        if isinstance(part, str):
            lines += [part, ""]
            continue
        if part.caption != comparison.table.title:
            lines += [f"**{part.caption}**", ""]
        lines += [*markdown.table(part.head, part.rows), ""]
    return "\n".join(lines)


def _notes(rows: Sequence[Compared]) -> dict[str, int]:
    """Number what is said beside the rows, each text once."""
    texts = dict.fromkeys(text for row in rows for text in (*row.why, row.cell.note) if text)
    return {text: number for number, text in enumerate(texts, 1)}


def _label(cell: Cell) -> str:
    return cell.label if cell.metric == "em" else f"{cell.label}, {_METRICS[cell.metric]}"


def _verdict(row: Compared, notes: dict[str, int]) -> str:
    said = [str(notes[text]) for text in (*row.why, row.cell.note) if text]
    return f"{row.verdict} [{', '.join(said)}]" if said else row.verdict


def _numbers(row: Compared) -> list[str]:
    metric = row.cell.metric
    if row.difference is None:
        middle = "-"
    else:
        low, high = row.difference
        middle = (f"{_number(row.ours.value - row.paper.value, metric, '+')} "
                  f"({_number(low, metric, '+')} to {_number(high, metric, '+')})")
    return [*_estimate(row.paper, metric), *_estimate(row.ours, metric), middle]


def _estimate(found: Estimate, metric: str) -> list[str]:
    return [_number(found.value, metric), "-" if found.se is None else _number(found.se, metric),
            "-" if found.n is None else f"{found.n:,}"]


def _number(value: float, metric: str, sign: str = "") -> str:
    if metric in PERCENT:
        return f"{100 * value:{sign}.1f}"
    return f"{value:{sign}.4f}" if metric == "dollars" else f"{value:{sign},.2f}"


def _plain(found: Estimate) -> list[float | int | None]:
    return [found.value, found.se, found.n]


def _histogram(row: Compared) -> Table:
    turns = [int(turn) for turn in row.measure.turns()]
    bins = range(max([len(row.cell.counts) - 1, *turns]) + 1)
    paper = tuple(str(row.cell.counts[turn]) if turn < len(row.cell.counts) else "0" for turn in bins)
    ours = tuple(str(turns.count(turn)) for turn in bins)
    return Table(f"Finished episodes by turns: {row.cell.label}", ("", *map(str, bins)),
                 (("paper", *paper), ("ours", *ours)))


def _missing(comparison: Comparison) -> Iterable[str]:
    if comparison.missing:
        labels = ", ".join(f"{_label(cell)} ({_number(cell.value, cell.metric)})" for cell in comparison.missing)
        recipes = " or ".join(f"experiment=paper/{name}" for name in comparison.table.recipes)
        yield f"Not run, or not measured, with the paper's values: {labels}. Run {recipes}."
        yield from dict.fromkeys(f"{_label(cell)}: {cell.unlike}" for cell in comparison.missing if cell.unlike)
    yield from dict.fromkeys(_place(comparison, measure.setting.dataset) for measure in comparison.unused)


def _place(comparison: Comparison, dataset: str) -> str:
    known = sorted({cell.setting.dataset for cell in comparison.table.cells})
    if dataset not in known:
        return f"What was measured on {dataset} has no place in this table, which is about {', '.join(known)}."
    return f"Some of what was measured on {dataset} has no place in this table: no cell of it was asked or taught so."
