"""The planned contrasts: what they say in words, and as a forest of intervals around zero."""

from collections.abc import Sequence

from fireact.report.leaderboard import number
from fireact.report.panel import Axis, Head, Mark, Panel, balanced_axis, csv_link
from fireact.report.text import minus
from fireact.stats import p_value
from fireact.study.types import Planned


def told_first(planned: Sequence[Planned]) -> list[Planned]:
    """The contrasts in the order of their sentences: those that can be believed first, else as they were planned."""
    return sorted(planned, key=lambda one: not one.contrast.distinguishable)


def forest(found: Sequence[Planned], *, planned: bool = True) -> list[Panel]:
    """Contrasts as a panel, none where there are none; `planned`: together, so that their p are adjusted."""
    if not found:
        return []
    axis = balanced_axis(max(abs(end) for one in found for end in _ends(one)))
    datasets = len({one.dataset for one in found}) > 1
    head = (Head("Contrast"), Head("difference"), Head("95% interval, points of EM", axis),
            Head("p, Holm" if planned else "p"), Head("distinguishable"), Head("n"), Head("better"), Head("worse"),
            *([Head("dataset")] if datasets else []))
    note = ("Differences in points of EM between the means of the same questions: right of zero the first named is "
            "better. Better and worse count questions.")
    if planned:
        note += " The interval stands for one contrast alone; p is adjusted by Holm for all of them."
    return [Panel("contrasts-planned" if planned else "contrasts-paired",
                  "Planned contrasts" if planned else "Differences on the same questions", head,
                  tuple(_row(one, axis, datasets) for one in found), _csv(found), note, sortable=True)]


def _ends(one: Planned) -> tuple[float, ...]:
    return tuple(end for end in (one.contrast.low, one.contrast.value, one.contrast.high) if end is not None)


def _row(one: Planned, axis: Axis, datasets: bool) -> tuple[Mark, ...]:
    found = one.contrast
    low, high = min(_ends(one)), max(_ends(one))
    words = "no interval" if found.low is None or found.high is None else f"{100 * low:+.1f} to {100 * high:+.1f}"
    return (Mark(one.label, one.label.casefold(), tone="wrap"),
            Mark(minus(f"{100 * found.value:+.1f}"), found.value, tone="strong"),
            Mark(minus(words), found.value, (axis.place(low), axis.place(found.value), axis.place(high))),
            Mark(p_value(one.adjusted_p), one.adjusted_p), Mark("yes" if found.distinguishable else "no"),
            number(found.n, ",.0f"), number(found.better, ",.0f"), number(found.worse, ",.0f"),
            *([Mark(one.dataset)] if datasets else []))


def _csv(found: Sequence[Planned]) -> str:
    head = ["contrast", "dataset", "first", "second", "n", "difference", "se", "low", "high", "test", "p",
            "p_adjusted", "better", "worse", "only_first", "only_second", "verdict"]
    rows = [[one.label, one.dataset, one.first, one.second, it.n, it.value, it.se, it.low, it.high, it.test, it.p,
             one.adjusted_p, it.better, it.worse, it.only_first, it.only_second, one.verdict]
            for one in found for it in [one.contrast]]
    return csv_link(head, rows)
