"""A method for every question: taken at random, or by an oracle, among those that a model was run with.

The paper's random choice, 32.4, is the mean of Table 10's IO prompt (22.4), CoT prompt (28.0), ReAct (39.4) and
Reflexion (39.8), so these four are what both choices are of.
"""

from collections.abc import Sequence
from dataclasses import replace

from fireact.paper.cells import Setting
from fireact.paper.runs import Measure, Row
from fireact.stats import mean, standard_error

CHOSEN_FROM = (("prompted", "direct", frozenset[str]()), ("prompted", "cot", frozenset[str]()),
               ("finetuned", "react", frozenset({"react"})), ("finetuned", "react", frozenset({"reflexion"})))
"""Guise, how it is asked, and what it learnt."""


def choices(measures: Sequence[Measure]) -> list[Measure]:
    """Return both choices on each dataset and for each model that was run with all four methods."""
    found: list[Measure] = []
    for model, dataset in dict.fromkeys((measure.model, measure.setting.dataset) for measure in measures):
        mine = [measure for measure in measures if (measure.model, measure.setting.dataset) == (model, dataset)]
        parts = [_last(mine, *wanted) for wanted in CHOSEN_FROM]
        four = [part for part in parts if part is not None and part.rows]
        if len(four) == len(CHOSEN_FROM):
            found += [_choice("random", four), _choice("oracle", four)]
    return found


def _last(measures: Sequence[Measure], guise: str, method: str, learnt: frozenset[str]) -> Measure | None:
    fitting = [measure for measure in measures
               if not measure.setting.fault and measure.setting.guise == guise and measure.setting.method == method
               and (measure.setting.learnt, len(measure.setting.tasks)) == (learnt, len(learnt))]
    return fitting[-1] if fitting else None


def _choice(name: str, parts: Sequence[Measure]) -> Measure:
    """Put together what `name` makes of the questions that all parts have played."""
    played = [{row.id: _counted(part, row) for row in part.rows} for part in parts]
    ids = [ident for ident in played[0] if all(ident in rows for rows in played)]
    make = _expected if name == "random" else _best
    rows = tuple(make([rows[ident] for rows in played]) for ident in ids)
    em, f1 = [row.em for row in rows], [row.f1 for row in rows]
    summary = {"n": len(rows), "em": mean(em), "em_se": standard_error(em), "f1": mean(f1), "f1_se": standard_error(f1)}
    last = parts[-1]
    setting = Setting(model=last.setting.model, dataset=last.setting.dataset, tasks=last.setting.tasks, choice=name,
                      training=last.setting.training, epochs=last.setting.epochs, loss=last.setting.loss)
    return replace(last, setting=setting, summary=summary, gain=None, rows=rows, parts=tuple(parts))


def _counted(part: Measure, row: Row) -> Row:
    return replace(row, rounds=0) if part.setting.method == "direct" else row


def _expected(rows: Sequence[Row]) -> Row:
    """What a method taken at random is worth on average; its turns are those of none."""
    return replace(rows[0], em=mean([row.em for row in rows]), f1=mean([row.f1 for row in rows]), stop="")


def _best(rows: Sequence[Row]) -> Row:
    """The right one with the fewest turns; where none is right, the best by F1."""
    return min(rows, key=lambda row: (-row.em, -row.f1, row.rounds))
