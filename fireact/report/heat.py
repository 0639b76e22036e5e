"""Heat maps: EM over two axes as a table whose colour is behind its numbers."""

from collections.abc import Sequence

from fireact.report.panel import Datum, Head, Mark, Panel, csv_link
from fireact.report.text import GUISES, percent
from fireact.study.types import Grid


def heat_maps(grids: Sequence[Grid]) -> list[Panel]:
    """One panel a grid; the strongest colour is the highest value of all grids of a dataset, the weakest the lowest."""
    return [_panel(number, grid, *_range(grids, grid.dataset)) for number, grid in enumerate(grids, 1)]


def _range(grids: Sequence[Grid], dataset: str) -> tuple[float, float]:
    values = [one.value for grid in grids if grid.dataset == dataset for row in grid.values for one in row if one]
    return (min(values), max(values)) if values else (0.0, 1.0)


def _panel(number: int, grid: Grid, low: float, high: float) -> Panel:
    (row_axis, rows), (column_axis, columns) = grid.rows, grid.columns
    shown = []
    for name, estimates in zip(rows, grid.values, strict=True):
        marks = [Mark("not run", tone="soft") if one is None else
                 Mark(percent(one.value, one.se), one.value, heat=(one.value - low) / (high - low or 1))
                 for one in estimates]
        shown.append((Mark(name, tone="wrap"), *marks))
    guise = GUISES.get(grid.guise, grid.guise)
    caption = f"{row_axis} by {column_axis}, {guise}, {grid.dataset}"
    note = f"EM in percent with one standard error; from {percent(low)} in the weakest colour to {percent(high)}."
    return Panel(f"grid-{number}", caption, (Head(f"{row_axis} \\ {column_axis}"), *map(Head, columns)), tuple(shown),
                 _csv(grid), note)


def _csv(grid: Grid) -> str:
    (row_axis, rows), (column_axis, columns) = grid.rows, grid.columns
    data: list[list[Datum]] = []
    for name, estimates in zip(rows, grid.values, strict=True):
        for column, one in zip(columns, estimates, strict=True):
            data.append([name, column, *((one.n, one.value, one.se, one.low, one.high) if one else (None,) * 5)])
    return csv_link([row_axis, column_axis, "n", "em", "em_se", "em_low", "em_high"], data)
