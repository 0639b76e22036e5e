"""A comparison of two runs on the terminal."""

from collections.abc import Iterable
from itertools import zip_longest

from fireact.compare import NAMES, Comparison, Result, episode
from fireact.compare.episodes import Played, steps
from fireact.report.text import Table, percent
from fireact.study.outcomes import estimated, table
from fireact.study.types import GUISES, Asked, Study

FLIPS = 15
"""Flips of either kind that are listed."""
LONGEST = 600
"""Characters of one step that are shown."""
_MARKS = {True: "✓", False: "✗"}


def parts(comparison: Comparison, episodes: int) -> list[Table | str]:
    """Return what the terminal shows, with so many episodes side by side."""
    said: list[Table | str] = [f"{name}: {side.folder}" for name, side in zip(NAMES, comparison.sides, strict=True)]
    said.append(_configurations(comparison))
    for result in comparison.results:
        said += [_results(comparison.study, result), result.verdict, *_flips(comparison.study, result)]
    left = episodes
    for result in comparison.results:
        chosen = _chosen(result, left)
        left -= len(chosen)
        said += _side_by_side(comparison.study, result, chosen)
    if comparison.study.skipped:
        said += [f"{len(comparison.study.skipped)} records or files could not be read, and are left out:",
                 *comparison.study.skipped]
    return said


def named(result: Result) -> tuple[str, str]:
    """What both students of a result are called."""
    first, second = (f"{name}, {GUISES.get(guise, guise)}" for name, guise in zip(NAMES, result.guises, strict=True))
    return first, second


def _configurations(comparison: Comparison) -> Table | str:
    if len(comparison.study.cells) == 1:
        return "Both are the same run."
    if not comparison.differences:
        return "Their configurations do not differ."
    rows = tuple((each.key, *map(short, each.values)) for each in comparison.differences)
    return Table("Where their configurations differ", ("", *NAMES), rows, texts=True)


def _results(study: Study, result: Result) -> Table:
    rows = []
    for name, index in zip(named(result), result.series, strict=True):
        em, f1 = (estimated(table(study, [index], value)) for value in ("em", "f1"))
        rows.append((name, f"{em.n:,}", percent(em.value, em.se), percent(f1.value, f1.se)))
    return Table(f"On {result.dataset}", ("", "n", "EM %", "F1 %"), tuple(rows))


def _flips(study: Study, result: Result) -> Iterable[Table | str]:
    counts = {"✓✓": result.right, "✗✓": len(result.better), "✓✗": len(result.worse), "✗✗": result.wrong}
    yield Table("Questions, A's mark and B's", tuple(["", *counts]), (("", *(f"{n:,}" for n in counts.values())),))
    for marks, title, flipped in (("✗✓", "A wrong, B right", result.better), ("✓✗", "A right, B wrong", result.worse)):
        if flipped:
            shown = [_flip(study, result, question) for question in flipped[:FLIPS]]
            yield Table(f"{marks} {title}: {len(flipped)}", ("id", "question", "gold", "A's answer", "B's answer"),
                        tuple(shown), texts=True)
        if len(flipped) > FLIPS:
            yield f"and {len(flipped) - FLIPS} more"


def _flip(study: Study, result: Result, question: int) -> tuple[str, ...]:
    asked = study.questions[result.dataset][question]
    return asked.id, short(asked.text), short(asked.gold), *answers(study, result, question)


def answers(study: Study, result: Result, question: int) -> tuple[str, str]:
    """What both sides answered."""
    said = []
    for index in result.series:
        series = study.series[index]
        answer = series.answer[episode(series, question)]
        said.append("(no answer)" if answer is None else short(answer))
    return said[0], said[1]


def _chosen(result: Result, count: int) -> list[int]:
    """Flips of both kinds in turn, for the sake of both."""
    turns = zip_longest(result.better, result.worse)
    return [question for pair in turns for question in pair if question is not None][:count]


def _side_by_side(study: Study, result: Result, questions: list[int]) -> Iterable[Table]:
    sides = [steps(study, study.series[index], questions) for index in result.series]
    for question in questions:
        asked = study.questions[result.dataset][question]
        yield Table(_title(asked, question in result.worse), ("", *named(result)),
                    tuple(rows(sides[0][question], sides[1][question], answers(study, result, question))), texts=True)


def _title(asked: Asked, first: bool) -> str:
    return f"{asked.id}: {short(asked.text)} (gold: {short(asked.gold)}) A {_MARKS[first]} B {_MARKS[not first]}"


def rows(first: Played, second: Played, said: tuple[str, str]) -> Iterable[tuple[str, str, str]]:
    """The steps of two episodes side by side, each with what it is, and both answers below."""
    for number, pair in enumerate(zip_longest(first.steps, second.steps), 1):
        yield str(number), _step(pair[0]), _step(pair[1])
    if first.missing or second.missing:
        yield "", first.missing, second.missing
    yield "answer", *said


def _step(step: tuple[str, str] | None) -> str:
    return "" if step is None else f"{step[0]}: {short(step[1])}"


def short(text: str) -> str:
    """A text on one line, cut to what a terminal shows."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"
