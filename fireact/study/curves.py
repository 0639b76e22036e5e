"""Learning curves: EM over the number of trajectories that the student was trained on."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from fireact.stats import Outcomes, learning_curve, needed, samples_needed
from fireact.study.conditions import axes, grouped
from fireact.study.outcomes import outcomes, table
from fireact.study.types import Condition, LearningCurve, Series, Study

SIZE_AXES = ("generate.n", "curate.n")
"""The axes along which a study has more or less data. How much it came to is in the metrics of each cell."""
MOST = 8
"""Curves of one axis and dataset; where there would be more, their mean is one."""
_TARGETS = 4

Rest = tuple[tuple[str, str], ...]
"""The choices on all axes but that of the sizes."""


def learning_curves(study: Study) -> list[LearningCurve]:
    """Return a curve for each axis of data sizes, dataset, and choice on all other axes, of two sizes or more.

    Where that makes more than `MOST`, there is one: the mean over those of the choices that have all sizes. All sizes
    of a curve are judged on the questions that all of them have; several seeds of a size count by their mean.
    """
    found = []
    for axis in (axis for axis in axes(study) if axis in SIZE_AXES):
        groups: dict[str, dict[Rest, list[Condition]]] = defaultdict(lambda: defaultdict(list))
        for part in grouped(study):
            if part.guise == "finetuned" and not part.fault:
                rest = tuple(choice for choice in part.choices.items() if choice[0] != axis)
                groups[part.dataset][rest].append(part)
        for dataset, by_rest in groups.items():
            for label, parts in _lines(axis, by_rest, len(study.axes[axis])):
                points = _points(study, parts, axis)
                if len(points) > 1:
                    found.append(_curve(label, dataset, points))
    return found


def trained(study: Study, series: Series) -> int | None:
    """How many trajectories the student of a series was trained on; None where the run does not know."""
    cells = study.cells[series.cell].metrics.get("curate")
    return sum(cell["train"] for cell in cells.values()) or None if cells else None


def _lines(axis: str, by_rest: Mapping[Rest, Sequence[Condition]], levels: int) -> list[tuple[str, list[Condition]]]:
    """What is one curve: its label and its conditions."""
    if len(by_rest) <= MOST:
        return [(", ".join([axis, *(f"{name}={value}" for name, value in rest)]), list(parts))
                for rest, parts in by_rest.items()]
    whole = [parts for parts in by_rest.values() if len(parts) == levels]
    return [(f"{axis}, mean of {len(whole)} combinations", [part for parts in whole for part in parts])]


def _points(study: Study, parts: Sequence[Condition], axis: str) -> dict[int, Outcomes]:
    """Size -> outcomes on the questions that all sizes have; none where they share no question."""
    levels: dict[str, list[int]] = defaultdict(list)
    for part in parts:
        levels[part.choices.get(axis, "")] += part.series
    series: dict[int, list[int]] = defaultdict(list)
    for members in levels.values():
        known = [size for index in members if (size := trained(study, study.series[index]))]
        if known:
            series[round(sum(known) / len(known))] += members
    tables = {size: table(study, members) for size, members in sorted(series.items())}
    if not tables:
        return {}
    shared = np.logical_and.reduce([~np.isnan(values).all(axis=0) for values in tables.values()])
    return {size: outcomes(np.where(shared, values, np.nan)) for size, values in tables.items()} if shared.any() else {}


def _curve(label: str, dataset: str, points: Mapping[int, Outcomes]) -> LearningCurve:
    curve = learning_curve(points)
    estimates = list(curve.estimates.values())
    wanted = _targets([point.value for point in estimates])
    return LearningCurve(label, dataset, list(curve.estimates), estimates,
                         [(target, samples_needed(needed(curve, target))) for target in wanted])


def _targets(values: Sequence[float]) -> list[float]:
    """Round levels of EM within what was measured: in steps of 10 points, or finer where all lie close together."""
    low, high = min(values), max(values)
    for steps in (10, 20, 50, 100):
        inside = [level / steps for level in range(math.floor(low * steps) + 1, math.ceil(high * steps))]
        if len(inside) > 1 or steps == 100:
            return inside[-_TARGETS:]
    return []

