"""The tables of a study, before they have a format: leaderboard, contrasts, failures, groups of questions, complement,
learning curves."""

from collections.abc import Sequence
from itertools import groupby

from fireact.failures import FAILURES
from fireact.stats import contrast
from fireact.study.complement import complements
from fireact.study.contrasts import planned
from fireact.study.curves import learning_curves
from fireact.study.leaderboard import leaderboard
from fireact.study.outcomes import outcomes, table
from fireact.study.sheet import Column, Sheet, Value, filled
from fireact.study.types import Leader, Planned, Study

_SPREADS = "EM and F1 in percent, over n questions; ± is the standard error, clustered by question."
_BEST = ("Bold: the best EM, only where it is distinguishable from the second best on the same questions (paired test, "
         "p < 0.05).")
_EFFORT = (Column("finished", "finished %", "share"), Column("rounds", "rounds", "number"),
           Column("tool_calls", "tool calls", "number"), Column("prompt_tokens", "tokens in", "count"),
           Column("completion_tokens", "tokens out", "count"), Column("seconds", "seconds", "number"),
           Column("cost", "US$", "dollars"))
_CONDITION = (Column("condition", ""), Column("dataset", "dataset"), Column("fault", "fault"))


def leaderboard_sheet(study: Study, leaders: Sequence[Leader] | None = None) -> Sheet:
    """Quality, effort and cost: a row a condition, the best first. `leaders` where they are known already."""
    leaders = leaderboard(study) if leaders is None else leaders
    powers = sorted({k for leader in leaders for k in leader.passes})
    columns = (*_CONDITION, Column("n", "n", "count"), Column("em", "EM %", "estimate"),
               Column("seed_sd", "sd of seeds", "share"), Column("f1", "F1 %", "estimate"),
               *(Column(f"pass_{k}", f"pass@{k} %", "estimate") for k in powers),
               *_EFFORT, Column("paper", "paper's EM %"))
    rows = [(*_named(leaders, leader), leader.em.n, leader.em, leader.seed_spread, leader.f1,
             *(leader.passes.get(k) for k in powers),
             *(leader.effort[column.name] for column in _EFFORT), leader.paper) for leader in leaders]
    best = _best(study, leaders)
    return Sheet("leaderboard", f"Leaderboard of {study.name}", *filled(columns, rows),
                 (_SPREADS, *([_BEST] if len(leaders) > 1 else [])), best)


def contrasts_sheet(study: Study, found: Sequence[Planned] | None = None) -> Sheet:
    """The planned contrasts with their verdicts."""
    found = planned(study) if found is None else found
    several = len({one.dataset for one in found}) > 1
    columns = (Column("contrast", ""), Column("dataset", "dataset"), Column("n", "n", "count"),
               Column("difference", "points of EM (95% interval)", "contrast"), Column("better", "better", "count"),
               Column("worse", "worse", "count"), Column("p", "p", "p"), Column("adjusted_p", "p by Holm", "p"),
               Column("test", "test"), Column("verdict", "verdict"))
    rows = [(one.label, one.dataset if several else None, one.contrast.n, one.contrast, one.contrast.better,
             one.contrast.worse, one.contrast.p, one.adjusted_p, one.contrast.test, short_verdict(one))
            for one in found]
    family = max((one.contrast.family for one in found), default=0)
    note = (f"Each question's mean over all cells that differ in nothing else. Holm's correction is over {family} "
            "planned contrasts; the intervals are not widened by it.")
    return Sheet("contrasts", f"Planned contrasts of {study.name}", *filled(columns, rows), (note,))


def short_verdict(one: Planned) -> str:
    """The verdict in a word or two: better, worse, or not distinguishable."""
    if not one.contrast.distinguishable:
        return "not distinguishable"
    return "better" if one.contrast.value > 0 else "worse"


def failures_sheet(study: Study, leaders: Sequence[Leader] | None = None) -> Sheet:
    """How many episodes went wrong in which way."""
    leaders = leaderboard(study) if leaders is None else leaders
    columns = (*_CONDITION, Column("em", "EM %", "estimate"), Column("wrong", "wrong", "count"),
               *(Column(name, name.replace("_", " "), "count") for name in FAILURES))
    rows = [(*_named(leaders, leader), leader.em, sum(leader.failures.values()),
             *(leader.failures.get(name, 0) for name in FAILURES)) for leader in leaders]
    legend = "; ".join(f"{name.replace('_', ' ')}: {words}" for name, words in FAILURES.items())
    return Sheet("failures", f"Why episodes of {study.name} went wrong", *filled(columns, rows),
                 (f"Episodes; the first kind that fits counts. {legend}.",))


def groups_sheet(study: Study, leaders: Sequence[Leader] | None = None) -> Sheet:
    """EM by kind of question and by hops."""
    leaders = leaderboard(study) if leaders is None else leaders
    columns = (*_CONDITION, Column("by", "by"), Column("group", "questions"), Column("n", "n", "count"),
               Column("em", "EM %", "share"))
    rows: list[tuple[Value, ...]] = [
        (*_named(leaders, leader), by, name, n, em) for leader in leaders
        for by, groups in (("kind", leader.kinds), ("hops", leader.hops)) for name, (n, em) in groups.items()]
    return Sheet("groups", f"EM by kind of question and by hops, {study.name}", *filled(columns, rows))


def complement_sheet(study: Study, leaders: Sequence[Leader] | None = None) -> Sheet:
    """What a choice of the best condition for each question would be worth, and what each alone is right on."""
    leaders = leaderboard(study) if leaders is None else leaders
    em = {(leader.condition.dataset, leader.condition.label): leader.em for leader in leaders}
    found = complements(study, leaders)
    several = len(found) > 1
    rows: list[tuple[Value, ...]] = []
    for part in found:
        dataset, n = part.dataset if several else None, part.oracle.n
        rows += [("oracle", dataset, n, part.oracle, None),
                 *((label, dataset, n, em[part.dataset, label], len(part.only[label])) for label in part.labels),
                 ("random", dataset, n, part.random, None)]
    columns = (Column("condition", ""), Column("dataset", "dataset"), Column("n", "n", "count"),
               Column("em", "EM %", "estimate"), Column("only", "right alone", "count"))
    notes = ("Oracle: for each question the best of these conditions, chosen knowing the answer. Random: one of them "
             "at random. Right alone: questions that no other of them got right.",)
    return Sheet("complement", f"Conditions of {study.name} together", *filled(columns, rows), notes)


def curves_sheet(study: Study) -> Sheet:
    """EM by the number of trajectories that were trained on."""
    curves = learning_curves(study)
    columns = (Column("curve", ""), Column("dataset", "dataset"), Column("trajectories", "trajectories", "count"),
               Column("n", "n", "count"), Column("em", "EM %", "estimate"))
    several = len({curve.dataset for curve in curves}) > 1
    rows = [(curve.label, curve.dataset if several else None, size, point.n, point) for curve in curves
            for size, point in zip(curve.sizes, curve.points, strict=True)]
    notes = tuple(f"{curve.label}, {curve.dataset}: {words}" for curve in curves for _, words in curve.needed)
    return Sheet("curves", f"Learning curves of {study.name}", *filled(columns, rows), notes)


def _named(leaders: Sequence[Leader], leader: Leader) -> tuple[str, str | None, str | None]:
    """The values of `_CONDITION`; dataset and fault only where there are several."""
    one, several = leader.condition, len({each.condition.dataset for each in leaders}) > 1
    return one.label, one.dataset if several else None, one.fault or None


def _best(study: Study, leaders: Sequence[Leader]) -> frozenset[int]:
    """The first of each dataset and fault, where it is distinguishable from the second."""
    found = []
    numbered = list(enumerate(leaders))
    for _, group in groupby(numbered, lambda item: (item[1].condition.dataset, item[1].condition.fault)):
        first, second = [*group, None, None][:2]
        if first and second and _apart(study, second[1], first[1]):
            found.append(first[0])
    return frozenset(found)


def _apart(study: Study, lower: Leader, higher: Leader) -> bool:
    sides = [outcomes(table(study, leader.condition.series)) for leader in (lower, higher)]
    return bool(sides[0].keys() & sides[1].keys()) and contrast(*sides).distinguishable
