"""How small a difference a sweep can show, before it is run."""

from collections.abc import Iterator, Mapping, Sequence

from fireact.children import Task
from fireact.generate import PlayJob, Splits
from fireact.report.text import percent
from fireact.stats import ALPHA, smallest_difference
from fireact.study.conditions import REPEATS
from fireact.study.pairs import pairs
from fireact.sweep.cells import Cell, axes, counted

DISAGREE = (0.2, 0.4)
"""Shares of the questions that just one of two cells gets right, for which the plan is told. In the paper's tables and
in our own runs they lie about between these."""


def sentences(cells: Sequence[Cell], evaluations: Mapping[str, Task], splits: Splits) -> Iterator[str]:
    """Say for each number of questions which difference is found eight times out of ten. Raises ConfigError."""
    own = [each.model_dump() for each in cells[0].config.report.contrasts]
    m = max(len(pairs(compared(cells), played(cells), own)), 1)
    for n, datasets in _questions(evaluations, splits).items():
        found = [smallest_difference(n, share, alpha=ALPHA / m) for share in DISAGREE]
        shown = [f"{percent(each)} points of EM where they disagree on {share:.0%} of the questions"
                 for share, each in zip(DISAGREE, found, strict=True) if each is not None]
        family = f", {counted(m, 'contrast')} being planned" if m > 1 else ""
        what = f"{counted(n, 'question')} of {' and of '.join(datasets)}"
        yield (f"{what} tell two cells apart with 80% power{family}, if they differ by at least {' or '.join(shown)}."
               if shown else f"{what} are too few to tell two cells apart{family}, unless they disagree on most.")


def compared(cells: Sequence[Cell]) -> dict[str, list[str]]:
    """The axes along which cells are compared."""
    return {axis: values for axis, values in axes(cell.overrides for cell in cells).items() if axis not in REPEATS}


def played(cells: Sequence[Cell]) -> dict[str, set[str]]:
    """The guises that are to be evaluated, by dataset."""
    found: dict[str, set[str]] = {}
    for cell in cells:
        for task in cell.tasks.get("evaluate", ()):
            assert isinstance(task.job, PlayJob)
            found.setdefault(task.job.task, set()).add("prompted" if task.job.few_shot else "finetuned")
    return found


def _questions(evaluations: Mapping[str, Task], splits: Splits) -> dict[int, list[str]]:
    """The datasets by how many of their questions are asked."""
    found: dict[int, dict[str, None]] = {}
    for task in evaluations.values():
        job = task.job
        assert isinstance(job, PlayJob)
        found.setdefault(len(splits.first(job)), {})[job.task] = None
    return {n: list(datasets) for n, datasets in found.items()}
