"""The leaderboard: every condition with its EM, the interval, and what an episode took."""

from collections.abc import Sequence

from fireact.report.panel import Axis, Datum, Head, Mark, Panel, csv_link, share_axis
from fireact.report.text import minus, percent
from fireact.study.types import Leader, Study

_EFFORT = ("finished", "rounds", "tool_calls", "prompt_tokens", "completion_tokens", "seconds", "cost")


def ranked(leaders: Sequence[Leader]) -> dict[tuple[str, bool], list[Leader]]:
    """The leaders of each dataset, with a sound tool and with faulty ones apart, the best first."""
    boards: dict[tuple[str, bool], list[Leader]] = {}
    for leader in sorted(leaders, key=lambda leader: -leader.em.value):
        boards.setdefault((leader.condition.dataset, bool(leader.condition.fault)), []).append(leader)
    return dict(sorted(boards.items(), key=lambda board: board[0][1]))


def leaderboards(study: Study, leaders: Sequence[Leader], links: Sequence[str]) -> list[Panel]:
    """One panel a dataset, and one for its faulty tools; `links` are the fragments that show a series' episodes."""
    panels = []
    for number, ((dataset, faulty), board) in enumerate(ranked(leaders).items(), 1):
        axis = share_axis(max(_high(leader) for leader in board))
        several, priced = (any(len(leader.condition.series) > 1 for leader in board),
                           any(leader.effort.get("cost") is not None for leader in board))
        paper = any(leader.paper for leader in board)
        rows = tuple(_row(rank, leader, axis, links, several=several, priced=priced, paper=paper)
                     for rank, leader in enumerate(board, 1))
        caption = f"Conditions by EM on {dataset}" + (", tool with faults" if faulty else "")
        panels.append(Panel(f"leaderboard-{number}", caption, _head(axis, several, priced, paper), rows,
                            _csv(study, board), _note(several), sortable=True))
    return panels


def _head(axis: Axis, several: bool, priced: bool, paper: bool) -> tuple[Head, ...]:
    after = ["n", *(["seeds", "sd of seeds"] if several else []), "F1 %", "finished %", "rounds", "tool calls",
             "tokens in", "tokens out", "seconds", *(["US$"] if priced else []), *(["paper"] if paper else [])]
    return (Head("Condition"), Head("EM %"), Head("95% interval of EM", axis), *map(Head, after),
            Head("Episodes", hidden=True))


def _row(rank: int, leader: Leader, axis: Axis, links: Sequence[str], *, several: bool, priced: bool,
         paper: bool) -> tuple[Mark, ...]:
    em, effort, seeds = leader.em, leader.effort, leader.condition.series
    label = Mark(f"{rank}. {leader.condition.label}", leader.condition.label.casefold(), tone="wrap")
    return (label, Mark(percent(em.value, em.se), em.value, tone="strong"),
            interval(axis, em.low, em.value, em.high),
            number(em.n, ",.0f"), *(_seeds(leader) if several else ()),
            Mark(percent(leader.f1.value, leader.f1.se), leader.f1.value),
            Mark(percent(effort.get("finished")), effort.get("finished")),
            number(effort.get("rounds"), ".1f"), number(effort.get("tool_calls"), ".1f"),
            number(effort.get("prompt_tokens"), ",.0f"), number(effort.get("completion_tokens"), ",.0f"),
            number(effort.get("seconds"), ",.1f"), *([number(effort.get("cost"), ".4f")] if priced else []),
            *([Mark(leader.paper or "-", leader.paper)] if paper else []),
            Mark("", links=tuple(("episodes", links[series]) for series in seeds[:1])))


def _seeds(leader: Leader) -> tuple[Mark, ...]:
    spread = leader.seed_spread
    return number(len(leader.condition.series), ".0f"), Mark(percent(spread), spread)


def number(value: float | None, form: str) -> Mark:
    """A number as a cell, a dash where it is not known."""
    return Mark("-" if value is None else minus(format(value, form)), value)


def interval(axis: Axis, low: float | None, value: float, high: float | None) -> Mark:
    """An interval as a cell that is drawn and read."""
    low, high = (value if low is None else low), (value if high is None else high)
    return Mark(f"{100 * low:.1f} to {100 * high:.1f}", value, (axis.place(low), axis.place(value), axis.place(high)))


def _high(leader: Leader) -> float:
    return leader.em.value if leader.em.high is None else leader.em.high


def _note(several: bool) -> str:
    seeds = (" Seeds of a condition are averaged by question first; their standard deviation tells how far another run "
             "may lie, which no interval holds." if several else "")
    return ("EM is exact match, F1 the overlap of words, both in percent with one standard error, clustered by "
            f"question.{seeds} Rounds, tool calls, tokens and seconds are means an episode; the seconds are those of "
            "its model's replies, each counted, even where several were asked for at once. Overlapping intervals do "
            "not say that two conditions are alike: what is paired on the same questions stands under the contrasts.")


def _csv(study: Study, board: Sequence[Leader]) -> str:
    axes = list(dict.fromkeys(axis for leader in board for axis in leader.condition.choices))
    head = ["rank", "condition", *axes, "dataset", "guise", "fault", "seeds", "seed_sd", "n", "em", "em_se", "em_low",
            "em_high", "f1", "f1_se", *_EFFORT, "paper", "folders"]
    rows: list[list[Datum]] = []
    for rank, leader in enumerate(board, 1):
        condition, em = leader.condition, leader.em
        folders = " ".join(str(study.cells[study.series[series].cell].number) for series in condition.series)
        rows.append([rank, condition.label, *(condition.choices.get(axis, "") for axis in axes), condition.dataset,
                     condition.guise, condition.fault, len(condition.series), leader.seed_spread, em.n, em.value, em.se,
                     em.low, em.high, leader.f1.value, leader.f1.se,
                     *(leader.effort.get(name) for name in _EFFORT), leader.paper,
                     folders])
    return csv_link(head, rows)
