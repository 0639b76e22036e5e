"""The contrasts that a study was made for, with verdicts in the family of all of them.

Without others being named in `report.contrasts`: of each axis but the seed's, every value against the first, and
fine-tuned against prompted. A contrast is between the means of each question over all cells that differ in nothing but
what is contrasted: cells of which one side is missing are left out, and so are questions that one side lacks.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fireact.sections import STUDENT
from fireact.stats import adjust, contrast, verdict
from fireact.study.conditions import axes, grouped, is_name, keys
from fireact.study.outcomes import mean_by_question, outcomes
from fireact.study.pairs import Pair, complaints, pairs
from fireact.study.types import GUISES, Condition, Planned, Study


def planned(study: Study) -> list[Planned]:
    """Return the planned contrasts that there are episodes for. Holm counts those too that have none yet."""
    parts = [part for part in grouped(study) if not part.fault]
    family = pairs(axes(study), played(parts), named(study))
    found = {}
    for pair in family:
        sides = _sides(study, parts, pair)
        if sides is not None:
            found[pair] = contrast(*map(outcomes, sides))
    result = []
    for pair, one in adjust(found, len(family)).items():
        first, second = pair.names
        in_guise = f" ({GUISES[pair.guise]})" if pair.guise in GUISES and pair.guise != "finetuned" else ""
        label = f"{second} against {first}" if pair.axis == STUDENT else f"{pair.axis}: {second} against {first}"
        result.append(Planned(label + in_guise, pair.dataset, first, second, one,
                              one.p if one.adjusted is None else one.adjusted, verdict(one, *_said(pair))))
    return result


def named(study: Study) -> list[Any]:
    """The contrasts that the study's recipe names, as its configuration has them; none of a run, which has no axes."""
    if len(study.cells) == 1:
        return []
    return next((list((cell.config.get("report") or {}).get("contrasts") or []) for cell in study.cells if cell.config),
                [])


def played(parts: Sequence[Condition]) -> dict[str, set[str]]:
    """The guises that have episodes, by dataset."""
    found: dict[str, set[str]] = {}
    for part in parts:
        found.setdefault(part.dataset, set()).add(part.guise)
    return found


def complaints_of(study: Study) -> list[str]:
    """Say which of the contrasts that the recipe names this study cannot make, and why; nothing before any episode."""
    guises = set().union(*played(grouped(study)).values())
    return complaints(named(study), axes(study), guises) if guises else []


def _sides(study: Study, parts: Sequence[Condition], pair: Pair) -> tuple[np.ndarray, np.ndarray] | None:
    """Return both sides' mean of each question; None where there is no pair of cells, or both are the same episodes."""
    strata: dict[tuple, dict[str, Condition]] = {}
    for part in parts:
        if part.dataset == pair.dataset and (not pair.guise or part.guise == pair.guise):
            level = part.guise if pair.axis == STUDENT else part.choices.get(pair.axis, "")
            rest = tuple(sorted(choice for choice in part.choices.items() if choice[0] != pair.axis))
            strata.setdefault(rest, {})[level] = part
    both = [(levels[pair.first], levels[pair.second]) for levels in strata.values()
            if pair.first in levels and pair.second in levels]
    both = [(first, second) for first, second in both if not _same(study, first, second)]
    if not both:
        return None
    sums = np.zeros((2, len(study.questions[pair.dataset])))
    count = np.zeros(sums.shape[1])
    for first, second in both:
        values = np.stack([mean_by_question(study, first.series), mean_by_question(study, second.series)])
        shared = ~np.isnan(values).any(axis=0)
        sums[:, shared] += values[:, shared]
        count += shared
    if not count.any():
        return None
    means = np.where(count > 0, sums / np.maximum(count, 1), np.nan)
    return means[0], means[1]


def _same(study: Study, first: Condition, second: Condition) -> bool:
    """Whether both are the same episodes, e.g. of a prompted student in cells that differ in the training."""
    names = keys(study, first.series)
    return names is not None and names == keys(study, second.series)


def _said(pair: Pair) -> tuple[str, str]:
    """What both sides are called in a sentence, which begins with the second."""
    first, second = pair.names
    if pair.axis == STUDENT:
        return first, second.capitalize()
    return (first, second) if is_name(first) and is_name(second) else (f"{pair.axis}={first}", f"{pair.axis}={second}")

