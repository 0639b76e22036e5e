"""Why episodes went wrong, and which questions: failures as bars, EM by kind and by number of hops."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from fireact.failures import FAILURES
from fireact.report.leaderboard import ranked
from fireact.report.panel import Datum, Head, Mark, Panel, csv_link
from fireact.report.text import percent
from fireact.study.types import Condition, Leader, Study

OPEN = 10
"""Conditions that are shown at once."""
OTHER = "other"
"""Wrong, and nobody has told why: rows of an older version, or an episode whose model was out of reach."""


def failure_panels(study: Study, leaders: Sequence[Leader]) -> list[Panel]:
    """One panel a dataset: each condition's episodes as a bar, right ones and each kind of failure."""
    panels = []
    for number, ((dataset, faulty), board) in enumerate(ranked(leaders).items(), 1):
        counted = [(leader.condition.label, _outcomes(study, leader)) for leader in board]
        kinds = [kind for kind in ("right", *FAILURES, OTHER) if any(counts[kind] for _, counts in counted)]
        head = (Head("Condition"), Head("share of episodes"),
                *(Head(kind.replace("_", " "), swatch=kind) for kind in kinds), Head("episodes"))
        caption = f"How episodes on {dataset} went" + (", tool with faults" if faulty else "")
        panels.append(Panel(f"failures-{number}", caption, head, tuple(_bar(*one, kinds) for one in counted),
                            _csv(counted, kinds), _words(kinds), sortable=True, open=OPEN))
    return panels


def _outcomes(study: Study, leader: Leader) -> dict[str, int]:
    episodes, right = played(study, leader.condition)
    counts = {kind: leader.failures.get(kind, 0) for kind in FAILURES}
    return {"right": right, **counts, OTHER: max(0, episodes - right - sum(counts.values()))}


def played(study: Study, condition: Condition) -> tuple[int, int]:
    """How many episodes a condition has, first attempts only, and how many of them are right."""
    episodes, right = 0, 0
    for number in condition.series:
        series = study.series[number]
        first = series.attempt == 0
        episodes += int(first.sum())
        right += int((series.values["em"][first] == 1).sum())
    return episodes, right


def _bar(label: str, counts: Mapping[str, int], kinds: Sequence[str]) -> tuple[Mark, ...]:
    whole = sum(counts.values())
    parts = tuple((kind, counts[kind] / whole) for kind in kinds if counts[kind]) if whole else ()
    return (Mark(label, label.casefold(), tone="wrap"),
            Mark("", counts["right"] / whole if whole else 0.0, parts=parts),
            *(Mark(f"{counts[kind]:,}", counts[kind]) for kind in kinds), Mark(f"{whole:,}", whole))


def _words(kinds: Sequence[str]) -> str:
    told = [f"{kind.replace('_', ' ')}: {FAILURES[kind]}" for kind in kinds if kind in FAILURES]
    if OTHER in kinds:
        told.append("other: wrong, and of no kind that was recorded")
    return "; ".join(told) + ("." if told else "")


def _csv(counted: Sequence[tuple[str, Mapping[str, int]]], kinds: Sequence[str]) -> str:
    return csv_link(["condition", *kinds], [[label, *(counts[kind] for kind in kinds)] for label, counts in counted])


def stop_panels(study: Study, leaders: Sequence[Leader]) -> list[Panel]:
    """One panel a dataset whose episodes ended for different reasons: how many of each condition for which."""
    panels = []
    for number, ((dataset, faulty), board) in enumerate(ranked(leaders).items(), 1):
        counted = [(leader.condition.label, _stops(study, leader.condition)) for leader in board]
        stops = sorted({stop for _, counts in counted for stop in counts})
        if len(stops) < 2:
            continue
        rows = tuple((Mark(label, label.casefold(), tone="wrap"),
                      *(Mark(f"{counts[stop]:,}", counts[stop]) for stop in stops)) for label, counts in counted)
        caption = f"Why episodes on {dataset} ended" + (", tool with faults" if faulty else "")
        panels.append(Panel(f"stops-{number}", caption, (Head("Condition"), *map(Head, stops)), rows,
                            csv_link(["condition", *stops], [[label, *(counts[stop] for stop in stops)]
                                                             for label, counts in counted]),
                            sortable=True, open=OPEN))
    return panels


def _stops(study: Study, condition: Condition) -> Counter[str]:
    return Counter(stop for number in condition.series for stop, attempt in
                   zip(study.series[number].stop, study.series[number].attempt.tolist(), strict=True) if attempt == 0)


def kind_panels(leaders: Sequence[Leader]) -> list[Panel]:
    """EM by kind of question, and by hops where they are known: one panel each and dataset."""
    panels = []
    for name, caption, of in (("kinds", "EM % by kind of question", lambda leader: leader.kinds),
                              ("hops", "EM % by number of hops", lambda leader: leader.hops)):
        for number, ((dataset, faulty), board) in enumerate(ranked(leaders).items(), 1):
            if not faulty and any(len(of(leader)) > 1 for leader in board):
                panels.append(_by(f"{name}-{number}", f"{caption}, {dataset}", board, of))
    return panels


def _by(name: str, caption: str, board: Sequence[Leader],
        of: Callable[[Leader], Mapping[str, tuple[int, float]]]) -> Panel:
    columns = sorted({column for leader in board for column in of(leader)})
    counts = {column: max(of(leader)[column][0] for leader in board if column in of(leader)) for column in columns}
    rows, data = [], list[list[Datum]]()
    for leader in board:
        found = [of(leader).get(column) for column in columns]
        rows.append((Mark(leader.condition.label, leader.condition.label.casefold(), tone="wrap"),
                     *(Mark("-") if one is None else Mark(percent(one[1]), one[1], heat=one[1]) for one in found)))
        data += [[leader.condition.label, column, *(one or (0, None))]
                 for column, one in zip(columns, found, strict=True)]
    head = (Head("Condition"), *(Head(f"{column} ({counts[column]:,})") for column in columns))
    return Panel(name, caption, head, tuple(rows), csv_link(["condition", name.partition("-")[0], "n", "em"], data),
                 "The colour goes from 0 to 100%; in brackets, the episodes of a condition.", sortable=True, open=OPEN)
