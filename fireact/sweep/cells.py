"""The cells of a sweep: their configurations, what tells them apart, and the stages that they are made of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fireact.checks import check
from fireact.children import Task
from fireact.errors import FireActError
from fireact.generate import Splits
from fireact.order import upstream
from fireact.schema import Config
from fireact.stages import AnyJob, Stages
from fireact.store import key
from fireact.tracking.identity import asked

STAGES = {"generate": "generation", "curate": "set", "tokenize": "tokenised set", "train": "training",
          "evaluate": "evaluation"}
"""The stages that a cell is made of, in their order, and what one of each makes."""
SHOWN = 3
"""Cells that are named of those that cannot be run for the same reason."""


@dataclass(frozen=True)
class Cell:
    """One configuration of a sweep, or that of a single run."""

    number: int
    overrides: Sequence[str]
    choices: Mapping[str, str]
    """Its value on each axis of the sweep."""
    config: Config
    tasks: Mapping[str, Sequence[Task]] = field(default_factory=dict)
    """Its stages' jobs, by the stage."""
    error: str | None = None
    """Why it cannot be run."""

    @property
    def label(self) -> str:
        """What tells it from the other cells."""
        return " ".join(f"{axis}={value}" for axis, value in self.choices.items()) or self.config.name


def open_cell(number: int, overrides: Sequence[str], choices: Mapping[str, str], config: Config,
              splits: Splits) -> Cell:
    """See which jobs a configuration asks for. One that cannot be run is a cell with an `error`."""
    stages = Stages(config, splits)
    try:
        wanted = [*upstream("evaluate", config), "evaluate"]
        check(stages, wanted)
        return Cell(number, overrides, choices, config, _tasks(stages, wanted))
    except FireActError as error:
        return Cell(number, overrides, choices, config, error=str(error))


def axes(overrides: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    """The options that do not have the same value everywhere, with their values in the order of the cells."""
    found: dict[str, dict[str, None]] = {}
    for cell in overrides:
        for name, value in map(split, cell):
            found.setdefault(name, {})[value] = None
    return {name: list(values) for name, values in found.items() if len(values) > 1}


def split(override: str) -> tuple[str, str]:
    """An option's name, as it is used in a sentence, and its value."""
    name, _, value = override.partition("=")
    return name.lstrip("+~").removeprefix("hydra."), value


def distinct(cells: Iterable[Cell]) -> list[Cell]:
    """Leave out cells whose configuration is that of an earlier one; a sweep may come to the same in two ways."""
    found: dict[str, Cell] = {}
    for cell in cells:
        found.setdefault(key(config=cell.config.model_dump(mode="json")), cell)
    return list(found.values())


def ident(cells: Sequence[Cell]) -> str:
    """What stands for a sweep: the same whenever the same cells are asked for, whatever is done about them."""
    return key(sweep=[asked(cell.config) for cell in cells])[:8]


def merged(cells: Iterable[Cell]) -> dict[str, dict[str, Task]]:
    """All jobs of some cells, by stage and key, each once.

    Of plays that share a folder the one that asks for most questions stands for all.
    """
    found: dict[str, dict[str, Task]] = {stage: {} for stage in STAGES}
    for cell in cells:
        for stage, tasks in cell.tasks.items():
            for task in tasks:
                known = found[stage].setdefault(task.folder.name, task)
                if _asked(task) > _asked(known):
                    found[stage][task.folder.name] = task
    return found


def refused(cells: Iterable[Cell]) -> Iterator[str]:
    """Say which cells cannot be run and why, once for each reason."""
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        if cell.error is not None:
            reasons.setdefault(cell.error, []).append(cell.label)
    for reason, labels in reasons.items():
        more = f" and {counted(len(labels) - SHOWN, 'more cell')}" if len(labels) > SHOWN else ""
        yield f"Cannot be run: {', '.join(labels[:SHOWN])}{more}: {reason}"


def counted(n: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _asked(task: Task) -> float:
    n: Any = getattr(task.job, "n", None)
    return float("inf") if n is None else n


def _tasks(stages: Stages, wanted: Sequence[str]) -> dict[str, list[Task]]:
    jobs: dict[str, Sequence[AnyJob]] = {"evaluate": [cell.job for cell in stages.evaluations]}
    if "generate" in wanted:
        jobs["generate"] = list(stages.plays.values())
    if "curate" in wanted:
        jobs["curate"] = [stages.curate]
    if "train" in wanted:
        jobs["tokenize"], jobs["train"] = [stages.tokenize] if stages.tokenize else [], [stages.train]
    return {stage: [Task(getattr(job, "label", stage), job,
                         stages.folder("generate" if stage == "evaluate" else stage, job)) for job in jobs[stage]]
            for stage in STAGES if stage in jobs}
