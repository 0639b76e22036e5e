"""Any two runs side by side: what they were configured to do, the paired result, and the questions that flipped.

    python -m fireact.compare outputs/<day>/<time>-<id> outputs/<day>/<time>-<id>
    python -m fireact.compare multirun/<day>/<time>-<id>/0 multirun/<day>/<time>-<id>/3 --guise finetuned
    python -m fireact.compare outputs/<day>/<time>-<id>:prompted outputs/<day>/<time>-<id>:finetuned --html page.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fireact.errors import ConfigError, suggest
from fireact.stats import Contrast, contrast, verdict
from fireact.study.files import leaves, word
from fireact.study.outcomes import outcomes, table
from fireact.study.read import read_runs
from fireact.study.types import GUISES, Series, Study

NAMES = ("A", "B")
"""What both sides are called."""


@dataclass(frozen=True)
class Side:
    """A run, and which of its students."""

    folder: Path
    guise: str | None = None
    """None: whichever the other side has too."""

    @classmethod
    def of(cls, text: str) -> "Side":
        """Read RUN or RUN:guise. Raises ConfigError."""
        path, colon, guise = text.rpartition(":")
        if not colon or Path(text).exists():
            return cls(Path(text))
        if guise not in GUISES:
            raise ConfigError(f"{text}: there is no such folder, and {guise!r} is no student{suggest(guise, GUISES)}; "
                              "name a run directory, or e.g. RUN:finetuned")
        return cls(Path(path), guise)


@dataclass(frozen=True)
class Difference:
    """A value of the configuration in which both differ; `-` where one side does not have it."""

    key: str
    values: tuple[str, str]


@dataclass(frozen=True)
class Result:
    """Both sides on one dataset, on the questions that both have."""

    dataset: str
    guises: tuple[str, str]
    series: tuple[int, int]
    """The indices in `Study.series`."""
    contrast: Contrast
    """By how much B is better than A."""
    verdict: str
    better: Sequence[int]
    """Questions that A got wrong and B right, as indices in `Study.questions[dataset]`."""
    worse: Sequence[int]
    right: int
    """Questions that both got right."""
    wrong: int


@dataclass(frozen=True)
class Comparison:
    """Two runs compared."""

    study: Study
    """Of two cells, A and B; of one where both are the same run."""
    sides: tuple[Side, Side]
    differences: Sequence[Difference]
    results: Sequence[Result]


def compare(first: Side, second: Side, *, dataset: str | None = None, shared: bool = False) -> Comparison:
    """Compare two runs, with a sound tool, on one dataset or all that both were evaluated on.

    `shared`: whether only the questions that both have are to be compared, where one has others.
    Raises ConfigError where there is nothing to compare or the questions differ, and as `read_runs` does.
    """
    folders = [first.folder] if first.folder.resolve() == second.folder.resolve() else [first.folder, second.folder]
    study = read_runs(folders)
    sides, cells = (first, second), (0, len(folders) - 1)
    played = [{(part.dataset, part.guise): index for index, part in enumerate(study.series)
               if part.cell == cell and not part.fault} for cell in cells]
    for side, mine in zip(sides, played, strict=True):
        if not mine:
            raise ConfigError(f"{side.folder} has no episodes of an evaluation; run it with stage=pipeline or "
                              "stage=evaluate first")
    pairs = _pairs(sides, played)
    datasets = {name for name, *_ in pairs}
    if dataset is not None and dataset not in datasets:
        raise ConfigError(f"--dataset {dataset}: both sides were not evaluated on it{suggest(dataset, datasets)}")
    results = [_result(study, sides, name, guises, (played[0][name, guises[0]], played[1][name, guises[1]]), shared)
               for name, *guises in pairs if dataset in (None, name)]
    return Comparison(study, sides, _differences(study), results)


def _pairs(sides: tuple[Side, Side], played: Sequence[dict[tuple[str, str], int]]) -> list[tuple[str, str, str]]:
    """Return dataset, guise of A and guise of B of all that can be compared. Raises ConfigError where nothing can."""
    given = [side.guise for side in sides]
    alone = sides[0].folder.resolve() == sides[1].folder.resolve() and given == [None, None]
    first = "prompted" if alone else given[0] or given[1]
    second = "finetuned" if alone else given[1] or given[0]
    wanted = [(first, second)] if first and second else [(guise, guise) for guise in GUISES]
    found = [(dataset, *guises) for dataset in dict.fromkeys(name for name, _ in played[0]) for guises in wanted
             if (dataset, guises[0]) in played[0] and (dataset, guises[1]) in played[1]]
    if not found:
        had = [", ".join(f"{dataset} {guise}" for dataset, guise in mine) for mine in played]
        raise ConfigError(f"there is nothing that both were evaluated on: {sides[0].folder} has {had[0]}, "
                          f"{sides[1].folder} has {had[1]}; name the students, e.g. RUN:prompted RUN:finetuned")
    return found


def _result(study: Study, sides: tuple[Side, Side], dataset: str, guises: Sequence[str], series: tuple[int, int],
            shared: bool) -> Result:
    values = [table(study, [index])[0] for index in series]
    known = [~np.isnan(row) for row in values]
    both = known[0] & known[1]
    counts = [int(mine.sum()) for mine in known]
    if not both.any() or (int(both.sum()) < max(counts) and not shared):
        mend = "add --shared to compare those alone" if both.any() else "so there is nothing to compare"
        raise ConfigError(f"the questions differ: {sides[0].folder} and {sides[1].folder} share {int(both.sum())} of "
                          f"their {counts[0]} and {counts[1]} questions of {dataset}; {mend}")
    found = contrast(outcomes(values[0]), outcomes(values[1]))
    right = [(row == 1) & both for row in values]
    return Result(dataset, (guises[0], guises[1]), series, found, verdict(found, *NAMES),
                  np.flatnonzero(right[1] & ~right[0]).tolist(), np.flatnonzero(right[0] & ~right[1]).tolist(),
                  int((right[0] & right[1]).sum()), int((both & ~right[0] & ~right[1]).sum()))


def _differences(study: Study) -> list[Difference]:
    first, second = (leaves(study.cells[place].config) for place in (0, -1))
    return [Difference(key, (_written(first, key), _written(second, key))) for key in dict.fromkeys((*first, *second))
            if first.get(key, ...) != second.get(key, ...)]


def _written(values: Mapping[str, Any], key: str) -> str:
    return word(values[key]) if key in values else "-"


def episode(series: Series, question: int) -> int:
    """The place of the first attempt at a question in a series that has it."""
    return int(np.flatnonzero((series.question == question) & (series.attempt == 0))[0])
