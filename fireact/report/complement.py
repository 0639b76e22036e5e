"""What choosing the best condition for each question would be worth, and which questions only one condition solves."""

from collections.abc import Callable, Sequence

from fireact.report.leaderboard import interval
from fireact.report.panel import Datum, Head, Mark, Panel, csv_link, share_axis
from fireact.report.text import percent
from fireact.study.types import Complement

NAMED = 6
"""Questions of a condition that are linked to; the CSV names all."""


def complements(found: Sequence[Complement], link: Callable[[str, str], str]) -> list[Panel]:
    """Two panels a dataset; `link(dataset, id)` is the fragment that shows a question."""
    panels = []
    for number, one in enumerate(found, 1):
        ends = [one.oracle, one.random]
        axis = share_axis(max(end.value if end.high is None else end.high for end in ends))
        rows = tuple((Mark(name, tone="wrap"), Mark(percent(end.value, end.se), tone="strong"),
                      interval(axis, end.low, end.value, end.high))
                     for name, end in zip(("the best for each question (oracle)", "one at random"), ends, strict=True))
        data = [[name, end.n, end.value, end.se, end.low, end.high]
                for name, end in zip(("oracle", "random"), ends, strict=True)]
        panels.append(Panel(f"choice-{number}", f"Choosing among {len(one.labels)} conditions, {one.dataset}",
                            (Head("Choice"), Head("EM %"), Head("95% interval of EM", axis)), rows,
                            csv_link(["choice", "n", "em", "em_se", "em_low", "em_high"], data),
                            "The oracle knows for each question whether a condition gets it right: no method of "
                            "choosing can do better. Chosen among: " + "; ".join(one.labels) + "."))
        panels.append(_alone(number, one, link))
    return panels


def _alone(number: int, one: Complement, link: Callable[[str, str], str]) -> Panel:
    counted = sorted(((label, one.only.get(label, ())) for label in one.labels), key=lambda part: -len(part[1]))
    rows = tuple((Mark(label, label.casefold(), tone="wrap"), Mark(f"{len(ids):,}", len(ids)),
                  Mark("", links=tuple((id, link(one.dataset, id)) for id in ids[:NAMED]), tone="wrap"))
                 for label, ids in counted)
    data: list[list[Datum]] = [[label, id] for label, ids in counted for id in ids]
    return Panel(f"alone-{number}", f"Questions that one condition alone gets right, {one.dataset}",
                 (Head("Condition"), Head("questions"), Head("some of them")), rows,
                 csv_link(["condition", "id"], data))
