"""Where the numbers come from: the command, versions, the configuration, and which cells are missing."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fireact.report.attempts import attempts_table
from fireact.report.panel import Panel, plain
from fireact.report.text import Table, by_guise, faults_table, price_notes, prices_table
from fireact.study.contrasts import complaints_of
from fireact.study.types import Cell, Study
from fireact.tracking import clock

_GROUPS = {"recipe": "name", "student": "model", "teacher": "teacher", "strategy": "strategy", "dataset": "dataset",
           "tool": "tool", "training": "train", "seed": "seed"}


def is_sweep(study: Study) -> bool:
    """Whether the study has several cells, or could have had."""
    return len(study.cells) > 1 or bool(study.axes)


def title(study: Study) -> str:
    """A sweep's name; a run's folder."""
    return study.name if is_sweep(study) else study.folder.resolve().name


def facts(study: Study) -> list[tuple[str, str]]:
    """What was run: the options of a run's config groups; the axes and the number of cells of a sweep."""
    if not is_sweep(study):
        config = study.cells[0].config if study.cells else {}
        return [(label, _named(config[key])) for label, key in _GROUPS.items() if key in config]
    failed = sum(cell.error is not None for cell in study.cells)
    counts = [("cells", f"{len(study.cells):,}" + (f", {failed:,} not finished" if failed else ""))]
    counts += [(axis, ", ".join(values) if len(values) <= 6 else f"{len(values)} values")
               for axis, values in study.axes.items()]
    counts += [(f"questions of {dataset}", f"{len(questions):,}") for dataset, questions in study.questions.items()]
    counts.append(("episodes", f"{sum(len(series.question) for series in study.series):,}"))
    return [*counts, ("folder", study.folder.resolve().name)]


def _named(node: Any) -> str:
    if not isinstance(node, Mapping):
        return str(node)
    if "parts" in node:
        return " + ".join(map(str, node["parts"]))
    return str(node.get("name") or node.get("method") or str(node.get("_target_")).rpartition(".")[2])


def command(study: Study) -> str:
    """The command that started it, "" where nobody wrote it down."""
    return next((str(cell.manifest["command"]) for cell in study.cells if cell.manifest.get("command")), "")


def provenance(study: Study) -> list[tuple[str, str]]:
    """Commit, Python and platform; of cells that differ, all that there are."""
    found = []
    for name in ("commit", "python", "platform"):
        values = list(dict.fromkeys(str(cell.manifest[name]) for cell in study.cells if cell.manifest.get(name)))
        if values:
            found.append((name, ", ".join(values)))
    return found


def packages(study: Study) -> list[tuple[str, str]]:
    """The versions of packages, of all cells."""
    found: dict[str, dict[str, None]] = {}
    for cell in study.cells:
        for name, version in (cell.manifest.get("packages") or {}).items():
            found.setdefault(str(name), {})[str(version)] = None
    return [(name, ", ".join(versions)) for name, versions in found.items()]


def configuration(study: Study) -> str:
    """The configuration of the first cell that has one, as it was saved."""
    for cell in study.cells:
        path = cell.folder / "config.yaml"
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace")
    return ""


def stages(study: Study) -> list[Panel]:
    """What a run did in its stages."""
    done = study.cells[0].manifest.get("stages") if len(study.cells) == 1 else None
    if not done:
        return []
    rows = tuple((name, "found done" if stage["reused"] else "done now", clock(stage["seconds"]), stage["key"])
                 for name, stage in done.items())
    return [plain("stages", Table("Stages of this run", ("", "work", "min:s", "key in the store"), rows))]


def cells(study: Study) -> list[Panel]:
    """The cells of a sweep: what each has on the axes, and what became of it."""
    if not is_sweep(study):
        return []
    axes = list(study.axes)
    head = ("Cell", *axes, "", "folder")
    rows = tuple((str(cell.number), *(cell.choices.get(axis, "") for axis in axes),
                  cell.error or "measured", place(study, cell))
                 for cell in study.cells)
    return [plain("cells", Table("Cells of this sweep", head, rows))]


def missing(study: Study) -> list[str]:
    """What is not in the numbers, or not all of it, a sentence each: unfinished cells, records that cannot be read,
    contrasts that are planned and cannot be made.

    That a run goes on while it writes its own page is not said.
    """
    own = not is_sweep(study) and study.cells[0].manifest.get("state") == "running"
    told = [f"{_named_cell(study, cell)}: {cell.error}" for cell in study.cells if cell.error is not None and not own]
    return [*told, *study.skipped, *complaints_of(study)]


def _named_cell(study: Study, cell: Cell) -> str:
    return f"Cell {cell.number} ({_choices(cell)})" if is_sweep(study) else "The run"


def _choices(cell: Cell) -> str:
    return ", ".join(f"{axis}={value}" for axis, value in cell.choices.items()) or cell.folder.name


def place(study: Study, cell: Cell) -> str:
    """A cell's folder, seen from the study's: a page must not tell where its writer keeps his files."""
    try:
        return str(cell.folder.relative_to(study.folder))
    except ValueError:
        return cell.folder.name


def extras(study: Study) -> list[Panel]:
    """What several attempts are worth, what faults of the tool cost, and what other models would have cost."""
    panels = []
    for name, caption, build, note in (
            ("attempts", "Several attempts at a question", _attempts, ""),
            ("faults", "Robustness to faults of the tool", _faults,
             "The same questions with a sound tool and with one that has the fault; the interval is paired."),
            ("prices", "The recorded usage at list prices", prices_table,
             "Every token of a prompt at its full price, whatever was cached when it was played. " + _prices(study))):
        table = _together(study, caption, build)
        if table:
            panels.append(plain(name, table, note.strip()))
    return panels


def _attempts(evaluation: Mapping[str, Any]) -> Table | None:
    return attempts_table(by_guise(evaluation))


def _faults(evaluation: Mapping[str, Any]) -> Table | None:
    return faults_table(evaluation) if evaluation.get("faults") else None


def _prices(study: Study) -> str:
    return " ".join(dict.fromkeys(note for _, evaluation in _evaluations(study) for note in price_notes(evaluation)))


def _together(study: Study, caption: str, build: Callable[[Mapping[str, Any]], Table | None]) -> Table | None:
    """The tables of all cells and datasets as one, whose rows say what they are from."""
    found = [(label, table) for label, evaluation in _evaluations(study) if (table := build(evaluation))]
    if not found:
        return None
    heads = list(dict.fromkeys(column for _, table in found for column in table.head))
    rows = []
    for label, table in found:
        for name, *values in table.rows:
            known = dict(zip(table.head[1:], values, strict=True))
            first = f"{name} · {label}" if len(found) > 1 else name
            rows.append((first, *(known.get(column, "-") for column in heads[1:])))
    return Table(caption, tuple(heads), tuple(rows))


def _evaluations(study: Study) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for cell in study.cells:
        for dataset, evaluation in (cell.metrics.get("evaluate") or {}).items():
            yield ", ".join([dataset, *([_choices(cell)] if cell.choices else [])]), evaluation

