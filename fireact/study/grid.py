"""EM over each two axes of a study, the mean over all others."""

from collections import defaultdict
from itertools import combinations

from fireact.study.conditions import axes, grouped, keys
from fireact.study.outcomes import estimated, table
from fireact.study.types import Condition, Grid, Study


def grids(study: Study) -> list[Grid]:
    """Return a grid for each pair of axes, dataset and guise, of the sound tool.

    Where cells are missing, a place of the grid is the mean of those that are there. An axis along which a guise's
    episodes are the same, as the prompted student's along the options of the training, has no grid of it.
    """
    groups: dict[tuple[str, str], list[Condition]] = defaultdict(list)
    for part in grouped(study):
        if not part.fault:
            groups[part.dataset, part.guise].append(part)
    return [_grid(study, dataset, guise, parts, rows, columns)
            for (dataset, guise), parts in groups.items()
            for rows, columns in combinations([axis for axis in axes(study) if not _alike(study, parts, axis)], 2)]


def _alike(study: Study, parts: list[Condition], axis: str) -> bool:
    """Whether the episodes are the same whatever is chosen on an axis; not, where that is not known."""
    groups: dict[tuple, list[frozenset[str] | None]] = defaultdict(list)
    for part in parts:
        groups[tuple(choice for choice in part.choices.items() if choice[0] != axis)].append(keys(study, part.series))
    several = [names for names in groups.values() if len(names) > 1]
    return bool(several) and all(None not in names and len(set(names)) == 1 for names in several)


def _grid(study: Study, dataset: str, guise: str, parts: list[Condition], rows: str, columns: str) -> Grid:
    series: dict[tuple[str, str], list[int]] = defaultdict(list)
    for part in parts:
        series[part.choices.get(rows, ""), part.choices.get(columns, "")] += part.series
    values = [[estimated(table(study, series[row, column])) if (row, column) in series else None
               for column in study.axes[columns]] for row in study.axes[rows]]
    return Grid(dataset, guise, (rows, study.axes[rows]), (columns, study.axes[columns]), values)
