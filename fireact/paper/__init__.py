"""The tables and figures of the FireAct paper beside your own runs: its number, ours, their errors, and a verdict.

    python main.py experiment=paper/table2                            run one, conf/experiment/paper/*.yaml
    python -m fireact.paper table2 multirun/<day>/<time>-<id>         compare; several folders may be named

results.yaml holds what the paper printed, fireact/paper/verdict.py the rule of the verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fireact.paper.cells import Cell, PaperTable, names, table
from fireact.paper.choice import choices
from fireact.paper.match import differences, fitting
from fireact.paper.runs import Measure, read, run_dirs
from fireact.paper.verdict import Estimate, Verdict, bounded_error, interval, judge, share
from fireact.stats import Z, mean, standard_error

__all__ = ["Compared", "Comparison", "compare", "names"]


@dataclass(frozen=True)
class Compared:
    """One number of the paper beside one of ours."""

    cell: Cell
    measure: Measure
    paper: Estimate
    ours: Estimate
    difference: tuple[float, float] | None
    """The 95% interval of ours - paper, None where one of them has no known spread."""
    verdict: Verdict
    why: tuple[str, ...]
    """What makes the two not comparable."""


@dataclass(frozen=True)
class Comparison:
    """A table of the paper, as far as the runs cover it."""

    table: PaperTable
    rows: tuple[Compared, ...]
    missing: tuple[Cell, ...]
    """The cells that no run covers."""
    unused: tuple[Measure, ...]
    """What was measured and has no place in the table."""


def compare(folders: Sequence[Path], name: str) -> Comparison:
    """Put runs, or sweeps of runs, beside a table of the paper, e.g. table2. Raises ConfigError, DataError.

    A cell is filled by the run that differs least from the paper's among those that measured it, the later of equals.
    """
    known = table(name)
    measures = [measure for run in run_dirs(folders) for measure in read(run)]
    measures += choices(measures)
    placed = [fitting(measure, known.cells) for measure in measures]
    rows: list[Compared] = []
    missing: list[Cell] = []
    for cell in known.cells:
        # Only those that measured it: a run of the fine-tuned guise alone knows no gain.
        mine = [(measure, ours) for measure, cells in zip(measures, placed, strict=True)
                if cell in cells and (ours := estimate(measure, cell.metric))]
        if mine:
            best, ours = min(reversed(mine), key=lambda pair: len(differences(pair[0], cell.setting)))
            rows.append(_compared(cell, best, ours))
        else:
            missing.append(cell)
    unused = [measure for measure, cells in zip(measures, placed, strict=True) if not cells]
    return Comparison(known, tuple(rows), tuple(missing), tuple(unused))


def printed(cell: Cell) -> Estimate:
    """Return a number of the paper with its standard error from the n that it is truly from."""
    value, n = cell.value, cell.n
    if cell.metric == "em":
        return share(value, n)
    if cell.metric == "f1":
        return Estimate(value, bounded_error(value, n), n)
    if cell.metric == "gain":
        after = cell.printed["em"] / 100
        return Estimate(value, (bounded_error(after, n) ** 2 + bounded_error(after - value, n) ** 2) ** 0.5, n)
    if cell.metric == "turns":
        return Estimate(value, cell.printed["sd"] / n ** 0.5, n)
    return Estimate(value)


def estimate(measure: Measure, metric: str) -> Estimate | None:
    """Return what a run has of a metric, or None where it did not measure it."""
    summary, n = measure.summary, measure.summary["n"]
    if metric == "em":
        # On average over methods a question is not simply right or wrong.
        whole = measure.setting.choice != "random"
        return share(summary["em"], n) if whole else Estimate(summary["em"], summary["em_se"], n)
    if metric == "f1":
        return Estimate(summary["f1"], summary["f1_se"], n)
    if metric == "gain":
        return _gain(measure.gain)
    if metric == "turns":
        turns = measure.turns()
        return Estimate(mean(turns), standard_error(turns), len(turns)) if turns else None
    plain = {"dollars": summary.get("cost"), "seconds": summary.get("latency_seconds"),
             "megabytes": _megabytes(measure.run / "adapter")}[metric]
    return None if plain is None else Estimate(plain)


def _compared(cell: Cell, measure: Measure, ours: Estimate) -> Compared:
    paper = printed(cell)
    difference = interval(paper, ours)
    why = [*differences(measure, cell.setting), *([cell.unlike] if cell.unlike else [])]
    if paper.se is None:
        why.append(f"the paper tells no spread of its {cell.metric}")
    elif ours.se is None:
        why.append("one value has no spread")
    comparable = difference is not None and not why
    verdict = judge(difference) if comparable and difference else "not comparable"
    return Compared(cell, measure, paper, ours, difference, verdict, tuple(why))


def _gain(gain: Any) -> Estimate | None:
    if gain is None:
        return None
    low, high = gain["ci95"]
    return Estimate(gain["em"], (high - low) / (2 * Z), gain["n"])


def _megabytes(folder: Path) -> float | None:
    if not folder.exists():
        return None
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
