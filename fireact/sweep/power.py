"""How small a difference a sweep can show, before it is run."""

from collections.abc import Iterator, Mapping, Sequence

from fireact.children import Task
from fireact.generate import PlayJob, Splits
from fireact.report.text import percent
from fireact.stats import ALPHA, smallest_difference
from fireact.study.conditions import REPEATS
from fireact.sweep.cells import Cell, counted

DISAGREE = (0.2, 0.4)
"""Shares of the questions that just one of two cells gets right, for which the plan is told. In the paper's tables and
in our own runs they lie about between these."""


def sentences(cells: Sequence[Cell], evaluations: Mapping[str, Task], splits: Splits) -> Iterator[str]:
    """Say for each number of questions which difference is found eight times out of ten. Raises ConfigError."""
    m = contrasts(cells)
    for n, datasets in _questions(evaluations, splits).items():
        alpha = ALPHA / max(m * len(datasets), 1)
        found = [smallest_difference(n, share, alpha=alpha) for share in DISAGREE]
        shown = " or ".join(f"{percent(each)} points of EM where they disagree on {share:.0%} of the questions"
                            for share, each in zip(DISAGREE, found, strict=True) if each is not None)
        what = f"{counted(n, 'question')} of {' and of '.join(datasets)}"
        among = f" among {counted(m * len(datasets), 'planned contrast')}" if m > 1 else ""
        yield (f"On {what} two cells are told apart with 80% power{among} from {shown} on." if shown else
               f"{what} are too few to tell two cells apart{among}, unless they disagree on nearly all of them.")


def contrasts(cells: Sequence[Cell]) -> int:
    """How many contrasts are planned on a dataset: those that are named, or each value of each axis and of the
    student's guise against the first one."""
    values: dict[str, set[str]] = {}
    for cell in cells:
        for axis, value in cell.choices.items():
            if axis not in REPEATS:
                values.setdefault(axis, set()).add(value)
    config = cells[0].config
    guises = config.evaluate.prompted and config.evaluate.finetuned
    return len(config.report.contrasts) or sum(len(each) - 1 for each in values.values()) + int(guises)


def _questions(evaluations: Mapping[str, Task], splits: Splits) -> dict[int, list[str]]:
    """The datasets by how many of their questions are asked."""
    found: dict[int, dict[str, None]] = {}
    for task in evaluations.values():
        job = task.job
        assert isinstance(job, PlayJob)
        found.setdefault(len(splits.first(job)), {})[job.task] = None
    return {n: list(datasets) for n, datasets in found.items()}
