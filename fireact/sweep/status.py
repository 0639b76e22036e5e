"""How far a sweep, or a run, is: what of its stages is done, running, failed, and why."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from fireact.generate import Splits
from fireact.report.text import Table
from fireact.sweep.cells import STAGES, Cell, merged, refused
from fireact.sweep.state import State, state

KINDS = ("done", "running", "failed", "waiting")
SHOWN = 20
"""Stages that are named one by one."""


def states(cells: Sequence[Cell]) -> dict[str, dict[str, State]]:
    """The state of each stage's jobs by their keys. Raises ConfigError, DataError."""
    splits = Splits()
    return {stage: {name: state(task, splits) for name, task in tasks.items()}
            for stage, tasks in merged(cells).items()}


def cell_kind(cell: Cell, found: Mapping[str, Mapping[str, State]]) -> str:
    """How far a cell is: failed or running where one of its stages is."""
    kinds = {found[stage][task.folder.name].kind for stage, tasks in cell.tasks.items() for task in tasks}
    if cell.error is not None:
        return "failed"
    return next((kind for kind in ("failed", "running", "waiting") if kind in kinds), "done")


def parts(cells: Sequence[Cell]) -> Iterator[Table | str]:
    """What a terminal shows."""
    found, tasks = states(cells), merged(cells)
    rows = [(f"{noun}s", *_counts([each.kind for each in found[stage].values()]))
            for stage, noun in STAGES.items() if found[stage]]
    kinds = [cell_kind(cell, found) for cell in cells]
    yield Table("How far it is", ("", *KINDS), (("cells", *_counts(kinds)), *rows))
    under_way = [(stage, name, each) for stage in STAGES for name, each in found[stage].items()
                 if each.kind in ("running", "failed")]
    for stage, name, each in under_way[:SHOWN]:
        task = tasks[stage][name]
        yield f"{each.kind}: {stage}/{task.label} in {task.folder}{_progress(each)}{each.why and f': {each.why}'}"
    if len(under_way) > SHOWN:
        yield f"and {len(under_way) - SHOWN} more"
    yield from refused(cells)


def _counts(kinds: Sequence[str]) -> tuple[str, ...]:
    counts = Counter(kinds)
    return tuple(f"{counts[kind]:,}" for kind in KINDS)


def _progress(each: State) -> str:
    return f", {each.played} of {each.wanted} played" if each.wanted else ""
