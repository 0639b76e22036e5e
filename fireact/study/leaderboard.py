"""The leaderboard: how good each condition is, at what effort, and where it goes wrong."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fireact.errors import ConfigError, DataError
from fireact.failures import FAILURES
from fireact.stats import Estimate, pass_estimate, seed_spread
from fireact.study.conditions import conditions
from fireact.study.outcomes import counted, estimated, outcomes, table
from fireact.study.types import Asked, Condition, Leader, Series, Study
from fireact.types import StopReason

if TYPE_CHECKING:
    from fireact.paper import Compared

_EFFORT = ("rounds", "tool_calls", "prompt_tokens", "completion_tokens", "seconds", "cost")


def leaderboard(study: Study) -> list[Leader]:
    """Return a line for each condition: by dataset, with a sound tool before faults, the best EM first."""
    printed = _paper(study)
    groups = {dataset: _Groups(asked) for dataset, asked in study.questions.items()}
    leaders = [_leader(study, condition, groups[condition.dataset], printed) for condition in conditions(study)
               if any(len(counted(study.series[index])) for index in condition.series)]
    datasets = list(study.questions)
    return sorted(leaders, key=lambda leader: (datasets.index(leader.condition.dataset), leader.condition.fault,
                                               -leader.em.value))


def _leader(study: Study, condition: Condition, groups: "_Groups", printed: Mapping[tuple, str]) -> Leader:
    parts, values = [study.series[index] for index in condition.series], table(study, condition.series)
    failures = Counter(part.failure[index] for part in parts for index in counted(part))
    places = [(study.cells[part.cell].folder, condition.dataset, condition.guise, condition.fault) for part in parts]
    return Leader(condition, estimated(values), estimated(table(study, condition.series, "f1")), _effort(parts),
                  {name: failures[name] for name in FAILURES if failures[name]}, groups.kinds(values),
                  groups.hops(values), next((printed[place] for place in places if place in printed), ""),
                  _passes(parts), seed_spread(outcomes(values)) if len(parts) > 1 else None)


def _effort(parts: Sequence[Series]) -> dict[str, float | None]:
    """Means an episode; None where it is not known of all of them."""
    first = [counted(part) for part in parts]
    found: dict[str, float | None] = {}
    for name in _EFFORT:
        value = float(np.concatenate([part.values[name][mine] for part, mine in zip(parts, first, strict=True)]).mean())
        found[name] = None if np.isnan(value) else value
    ended = [part.stop[index] == StopReason.FINISHED.value
             for part, mine in zip(parts, first, strict=True) for index in mine]
    return {"finished": sum(ended) / len(ended), **found}


def _passes(parts: Sequence[Series]) -> dict[int, Estimate]:
    """pass@k for k = 1, 2, 4, ... up to all attempts; none where some questions have more attempts than others."""
    right: dict[str, list[float]] = {}
    for part in parts:
        for question, em in zip(part.question.tolist(), part.values["em"].tolist(), strict=True):
            right.setdefault(str(question), []).append(em)
    most = max(len(part.question) // max(len(counted(part)), 1) for part in parts) * len(parts)
    if not any(part.attempt.any() for part in parts) or {len(values) for values in right.values()} != {most}:
        return {}
    return {k: pass_estimate(k, right) for k in [*(2**power for power in range(11) if 2**power < most), most]}


class _Groups:
    """The questions of a dataset by their kind and hops."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        self.kinds = partial(_em_by, _codes([question.kind for question in asked]))
        self.hops = partial(_em_by, _codes([str(question.hops or "") for question in asked]))


def _codes(names: Sequence[str]) -> tuple[list[str], np.ndarray]:
    known = sorted(set(names))
    return known, np.array([known.index(name) for name in names])


def _em_by(groups: tuple[list[str], np.ndarray], values: np.ndarray) -> dict[str, tuple[int, float]]:
    """Questions and EM by group; those that belong to none are left out."""
    names, codes = groups
    known = ~np.isnan(values)
    played = known.any(axis=0)
    means = np.where(known, values, 0.0).sum(axis=0)[played] / known.sum(axis=0)[played]
    n = np.bincount(codes[played], minlength=len(names))
    sums = np.bincount(codes[played], means, minlength=len(names))
    return {name: (int(count), float(total / count)) for name, count, total in zip(names, n, sums, strict=True)
            if name and count}


def _paper(study: Study) -> dict[tuple, str]:
    """What the paper printed, by (run directory, dataset, guise, fault), for a study that is a part of its tables."""
    name = next((table for cell in study.cells if (table := (cell.config.get("paper") or {}).get("table"))), None)
    if name is None:
        return {}
    from fireact.paper import compare

    folders = [cell.folder for cell in study.cells if cell.metrics.get("evaluate")]
    try:
        rows = compare(folders, name).rows if folders else ()
    except (ConfigError, DataError) as failure:
        # The comparison is stricter than the study, which counts what it cannot read; a report is not lost for it.
        return {(cell.folder, *_place(part)): f"not compared: {failure}" for part in study.series
                for cell in [study.cells[part.cell]]}
    return {(row.measure.run, row.measure.setting.dataset, row.measure.setting.guise, row.measure.setting.fault):
            _words(row) for row in rows if row.cell.metric == "em" and not row.measure.setting.choice}


def _place(part: Series) -> tuple[str, str, str]:
    return part.dataset, part.guise, part.fault


def _words(row: "Compared") -> str:
    value = f"{100 * row.paper.value:.1f}"
    spread = "" if row.paper.se is None else f" ± {100 * row.paper.se:.1f}"
    return f"{value}{spread}, {row.verdict}"
