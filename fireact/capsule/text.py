"""What was found of a capsule, as tables and sentences, or as JSON."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from fireact.capsule.numbers import Level, Number
from fireact.capsule.summaries import Played
from fireact.capsule.verify import Findings, RunFindings
from fireact.report.text import Table

COLOURS = {"replayed": "green", "recomputed": "cyan", "DIFFERS": "bold red", "not checked": "yellow"}
_WORDS: dict[Level, str] = {"replayed": "replayed", "recomputed": "recomputed", "differs": "DIFFERS",
                            "unchecked": "not checked"}
_LEGEND = ("replayed: follows from episodes that were played again from the tape alone; recomputed: follows from the "
           "packed files; not checked: nobody could tell here, see below")
_LONG = 400
"""Characters of a reason that are shown."""


def parts(findings: Findings) -> Iterator[Table | str]:
    """Tables of the runs, and what holds of the whole."""
    capsule = findings.capsule
    yield (f"capsule {capsule.digest}, made by FireAct {capsule.fireact} at commit {capsule.commit or 'unknown'}: "
           f"{len(capsule.files)} files, each as it was packed")
    for run in findings.runs:
        yield from _run(run)
    yield _LEGEND
    if capsule.left_out:
        yield "Not in the capsule: " + "; ".join(capsule.left_out) + "."
    counts = Counter(number.level for run in findings.runs for number in run.numbers)
    told = ", ".join(f"{counts[level]} {word}" for level, word in _WORDS.items() if counts[level])
    yield f"{sum(counts.values())} numbers: {told}. " + (
        "All that could be checked holds." if findings.holds else "NOT ALL OF IT HOLDS.")


def _run(run: RunFindings) -> Iterator[Table | str]:
    if run.played:
        yield Table(f"{run.name}: episodes", ("", "n", "digest claimed", "of the records", "played again", "verdict"),
                    tuple(_episodes(one) for one in run.played))
    yield from _tables(run)
    yield from _reasons(run)


def _episodes(one: Played) -> tuple[str, ...]:
    episodes = one.episodes
    return (episodes.label, str(len(episodes.records)), one.claimed, "-" if episodes.broken else episodes.digest,
            one.replay.digest or "-", _WORDS[one.level])


def _tables(run: RunFindings) -> Iterator[Table]:
    """A table a summary, before them one of what is no summary's."""
    for summary in dict.fromkeys(["", *(number.summary for number in run.numbers)]):
        mine = [number for number in run.numbers if number.summary == summary]
        yield Table(f"{run.name}: {summary or 'what it was made with and from'}", ("", "claimed", "found", "verdict"),
                    tuple(_rows(mine)))


def _rows(numbers: Sequence[Number]) -> Iterator[tuple[str, ...]]:
    """A row a number; parts of the same whole share one where the same holds of them, unless they differ."""
    for (whole, level), group in groupby(numbers, lambda number: (_whole(number), number.level)):
        members = list(group)
        if len(members) > 1 and level != "differs":
            yield f"{whole} ({len(members)} numbers)", "", "", _WORDS[level]
        else:
            yield from ((number.short, _shown(number.claimed), _shown(number.found), _verdict(number))
                        for number in members)


def _whole(number: Number) -> str:
    names = number.short.split("/")
    return "/".join(names[:2]) if names[0] == "train" and len(names) > 2 else names[0]


def _verdict(number: Number) -> str:
    return f"DIFFERS by {number.off:.4g}" if number.level == "differs" and number.off else _WORDS[number.level]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)[:24]


def _reasons(run: RunFindings) -> Iterator[str]:
    """Why something differs, was not played again, or not checked; each reason once."""
    for one in run.played:
        why = one.episodes.broken or one.episodes.why or one.replay.why
        if not why and one.level == "differs":
            why = "the packed records are not those that the run's manifest has the digest of"
        if why:
            how = "differs" if one.level == "differs" else "not played again"
            yield f"{one.episodes.label}: {how}: {why[:_LONG]}"
    reasons: dict[tuple[str, str], list[str]] = {}
    for number in run.numbers:
        if number.why:
            reasons.setdefault((_WORDS[number.level], number.why), []).append(number.name)
    for (word, why), names in reasons.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{names[0]}{more}: {word}: {why[:_LONG]}"


def as_json(findings: Findings) -> dict[str, Any]:
    """All of it as plain values."""
    runs = [{"name": run.name,
             "episodes": [{"label": one.episodes.label, "n": len(one.episodes.records), "claimed": one.claimed,
                           "records": one.episodes.digest, "replayed": one.replay.digest, "level": one.level,
                           "why": one.episodes.broken or one.episodes.why or one.replay.why} for one in run.played],
             "numbers": [asdict(number) for number in run.numbers]} for run in findings.runs]
    return {"capsule": findings.capsule.digest, "holds": findings.holds, "left_out": findings.capsule.left_out,
            "runs": runs}
