"""Read a run directory, or all cells of a sweep, into a `Study`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fireact.errors import ConfigError
from fireact.study.axes import Choices, derive
from fireact.study.files import CONFIG, HYDRA_SWEEP, MANIFEST, METRICS, RESULTS, SWEEP, Reader, word
from fireact.study.rows import Questions, read_rows
from fireact.study.shapes import Manifest, Metrics, Sweep
from fireact.study.types import Cell, Series, Study

_MARKS = (METRICS, MANIFEST, RESULTS)
"""What tells a run directory from any other."""
_UNENDED = {"running": "it has not ended: it is running still, or was killed", "stopped": "it was stopped"}


def read(folder: Path) -> Study:
    """Read a run directory or a sweep's.

    Cells that failed, or were never run, are there with their error; what is damaged is skipped, and said in `skipped`.
    Raises ConfigError for a folder that is neither, DataError for results that a newer FireAct wrote.
    """
    reader = Reader()
    if is_run(folder) and not is_sweep(folder):
        return _study(folder, reader, [_cell(folder, 0, {}, reader)], {})
    sweep = reader.json(folder / SWEEP, Sweep)
    listed = sweep.get("cells")
    if listed is not None:
        cells = [_cell(folder / str(node["number"]), node["number"], _choices(node), reader, node.get("error"))
                 for node in listed]
        noted = {axis: list(map(word, values)) for axis, values in sweep.get("axes", {}).items()}
        axes = noted or _axes(cells)
    else:
        inside = sorted((path for path in folder.glob("*/") if is_run(path)), key=_order)
        if not inside:
            raise ConfigError(f"{folder} is no run directory and holds none: there is no {METRICS}; name one that "
                              "main.py wrote, e.g. outputs/<day>/<time>-<id>, or a sweep's, multirun/<day>/<time>-<id>")
        cells = [_cell(path, _order(path)[0], {}, reader) for path in inside]
        axes, choices = derive([cell.config for cell in cells])
        cells = [replace(cell, choices=mine) for cell, mine in zip(cells, choices, strict=True)]
    return _study(folder, reader, cells, axes, str(sweep.get("name") or ""))


def read_runs(folders: Sequence[Path]) -> Study:
    """Read several run directories as the cells of one study, in their order. Raises ConfigError, DataError."""
    reader = Reader()
    for folder in folders:
        if not is_run(folder):
            what = "a sweep's folder; name one of its cells" if is_sweep(folder) else "no run directory; name one"
            raise ConfigError(f"{folder} is {what}, e.g. outputs/<day>/<time>-<id> or multirun/<day>/<time>-<id>/0")
    cells = [_cell(folder, number, {}, reader) for number, folder in enumerate(folders)]
    return _study(folders[0], reader, cells, {})


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, finished or not."""
    return any((folder / name).is_file() for name in _MARKS)


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (folder / SWEEP).is_file() or (folder / HYDRA_SWEEP).is_file()


def _study(folder: Path, reader: Reader, cells: Sequence[Cell], axes: Mapping[str, Sequence[str]],
           name: str = "") -> Study:
    questions, series = Questions(), list[Series]()
    for index, cell in enumerate(cells):
        series += read_rows(cell.folder / RESULTS, index, questions, reader.skipped)
    recipe = next((str(cell.config["name"]) for cell in cells if cell.config.get("name")), "")
    return Study(folder, name or recipe or folder.resolve().name, axes, cells, questions.found, series,
                 tuple(reader.skipped))


def _cell(folder: Path, number: int, choices: Choices, reader: Reader, told: Any = None) -> Cell:
    """Read a cell; `told` is why it failed by what the sweep noted, which knows cells too that never began."""
    manifest = reader.json(folder / MANIFEST, Manifest)
    metrics = reader.json(folder / METRICS, Metrics)
    return Cell(number, folder, choices, reader.config(folder / CONFIG), metrics, manifest,
                _error(folder, manifest, bool(metrics), told))


def _error(folder: Path, manifest: Mapping[str, Any], measured: bool, told: Any) -> str | None:
    state = manifest.get("state")
    if told or state == "failed":
        return str(manifest.get("error") or told or "it failed").split("\n")[0]
    if state in _UNENDED:
        return _UNENDED[state]
    if not folder.is_dir():
        return "it was not run"
    if not measured and state != "done":
        return f"it left no {METRICS}" if not (folder / METRICS).exists() else f"its {METRICS} cannot be read"
    return None


def _choices(node: Mapping[str, Any]) -> Choices:
    return {axis: word(value) for axis, value in node.get("choices", {}).items()}


def _axes(cells: Sequence[Cell]) -> dict[str, list[str]]:
    """The axes that the cells' choices are on: without them, all cells would be seeds of one condition."""
    found: dict[str, dict[str, None]] = {}
    for axis, value in (choice for cell in cells for choice in cell.choices.items()):
        found.setdefault(axis, {})[value] = None
    return {axis: list(values) for axis, values in found.items()}


def _order(folder: Path) -> tuple[int, str]:
    return (int(folder.name) if folder.name.isdigit() else -1, folder.name)
