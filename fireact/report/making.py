"""How the student came about: the teacher's episodes, what was kept of them, what the training took.

Cells of a sweep share what they have in common; each part is shown once, named by the choices that it depends on.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fireact.report.panel import Datum, Head, Mark, Panel, csv_link, plain
from fireact.report.rounds import is_own
from fireact.report.text import FEW, PAIRS, Table, contaminated, drops_evaluated, minus, results_table, training_facts
from fireact.study.types import Cell, Study

Funnel = Mapping[str, Any]


def distinct(study: Study, section: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The different values that cells have under a name in their metrics, each with its label; "" for the only one."""
    groups: dict[str, list[Cell]] = {}
    for cell in study.cells:
        if cell.metrics.get(section):
            groups.setdefault(json.dumps(cell.metrics[section], sort_keys=True), []).append(cell)
    return [("" if len(groups) == 1 else _common(study, cells), cells[0].metrics[section])
            for cells in groups.values()]


def _common(study: Study, cells: Sequence[Cell]) -> str:
    """The choices that these cells have in common, of the axes that have several values; else the cells' numbers."""
    told = [f"{axis}={cells[0].choices[axis]}" for axis, values in study.axes.items()
            if len(values) > 1 and axis in cells[0].choices and len({cell.choices.get(axis) for cell in cells}) == 1]
    return ", ".join(told) or "cells " + ", ".join(str(cell.number) for cell in cells)


def teachers(study: Study) -> list[Panel]:
    """What the teacher's episodes were like, by method."""
    summaries = {_joined(label, method): summary for label, methods in distinct(study, "generate")
                 for method, summary in methods.items()}
    own = any(is_own(method) for _, methods in distinct(study, "generate") for method in methods)
    whose = "The teacher's and the student's own episodes" if own else "The teacher's episodes"
    return [plain("teacher", results_table(whose, summaries))] if summaries else []


def funnels(study: Study) -> list[Panel]:
    """What the curation dropped and kept: step by step for few methods, one bar a method for many."""
    cells = {_joined(label, method): funnel for label, methods in distinct(study, "curate")
             for method, funnel in methods.items()}
    if not cells:
        return []
    cuts = list(dict.fromkeys(cut for funnel in cells.values() for cut in funnel["dropped"]))
    data: list[list[Datum]] = [
        [name, funnel["played"], *(funnel["dropped"].get(cut, 0) for cut in cuts),
         *(funnel[key] for key in ("kept", "train", "validation"))] for name, funnel in cells.items()]
    link = csv_link(["method", "played", *(f"dropped_by_{cut}" for cut in cuts), "kept", "train", "validation"], data)
    head, rows = (_steps if len(cells) <= FEW else _bars)(cells, cuts)
    return [Panel("funnel", "Trajectories kept for training", head, rows, link,
                  "Filters apply in this order; an episode counts for the first that drops it.")]


def _joined(label: str, method: str) -> str:
    return ", ".join(part for part in (method, label) if part)


def _steps(cells: Mapping[str, Funnel], cuts: Sequence[str]) -> tuple[tuple[Head, ...], tuple[tuple[Mark, ...], ...]]:
    """A row a filter, with how many are left behind it."""
    rows = [(Mark("played"), *(_left(funnel["played"], None, funnel) for funnel in cells.values()))]
    left = {name: funnel["played"] for name, funnel in cells.items()}
    for cut in cuts:
        marks = []
        for name, funnel in cells.items():
            dropped = funnel["dropped"].get(cut, 0)
            left[name] -= dropped
            marks.append(_left(left[name], dropped, funnel))
        rows.append((Mark("dropped as duplicate" if cut == "duplicate" else f"dropped by {cut}"), *marks))
    for key, words in (("kept", "kept"), ("train", "train"), ("validation", "validation")):
        rows.append((Mark(words), *(_left(funnel[key], None, funnel) for funnel in cells.values())))
    for key, words in PAIRS.items():
        if any(funnel.get("pairs") for funnel in cells.values()):
            rows.append((Mark(words), *(Mark(f"{(funnel.get('pairs') or {}).get(key, 0):,}")
                                        for funnel in cells.values())))
    return (Head("Step"), *map(Head, cells)), tuple(rows)


def _left(count: int, dropped: int | None, funnel: Funnel) -> Mark:
    text = f"{count:,}" if dropped is None else f"{dropped:,} ({count:,} left)"
    return Mark(text, count, parts=(("calm", count / funnel["played"]),) if funnel["played"] else ())


def _bars(cells: Mapping[str, Funnel], cuts: Sequence[str]) -> tuple[tuple[Head, ...], tuple[tuple[Mark, ...], ...]]:
    """A row a method: its bar, and the counts."""
    rows = []
    for name, funnel in cells.items():
        whole = funnel["played"] or 1
        rows.append((Mark(name, tone="wrap"), Mark(f"{funnel['played']:,}", funnel["played"]),
                     Mark("", parts=(("right", funnel["kept"] / whole),)),
                     *(Mark(f"{funnel['dropped'].get(cut, 0):,}") for cut in cuts),
                     *(Mark(f"{funnel[key]:,}") for key in ("kept", "train", "validation"))))
    return ((Head("Method"), Head("played"), Head("share kept"), *(Head(f"- {cut}") for cut in cuts),
             Head("kept"), Head("train"), Head("held out")), tuple(rows))


def warnings(study: Study) -> list[str]:
    """Which evaluated questions are among the training questions."""
    return list(dict.fromkeys(
        sentence for cell in study.cells
        for sentence in contaminated(cell.metrics.get("contamination") or {},
                                     dropped=drops_evaluated(cell.metrics.get("curate") or {}))))


def trainings(study: Study) -> list[Panel]:
    """What each of several trainings took and reached; the facts of a single one are `facts`."""
    found = distinct(study, "train")
    if len(found) < 2:
        return []
    facts = {label: dict(training_facts(train)) for label, train in found}
    names = list(dict.fromkeys(name for known in facts.values() for name in known))
    rows = tuple((label, *(known.get(name, "-") for name in names)) for label, known in facts.items())
    return [plain("trainings", Table("Trainings", ("", *names), rows))]


def facts(study: Study) -> list[tuple[str, str]]:
    """What the only training took and reached; empty where there are several."""
    found = distinct(study, "train")
    return [(name, minus(value)) for name, value in training_facts(found[0][1])] if len(found) == 1 else []
