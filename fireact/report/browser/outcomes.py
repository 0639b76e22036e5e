"""How every question went in every series, in a few letters an episode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fireact.evaluate import EPISODES
from fireact.failures import FAILURES
from fireact.report.balance import balanced
from fireact.report.origin import place
from fireact.report.steps import clip
from fireact.report.text import GUISES
from fireact.study.types import SEED, Asked, Leader, Series, Study
from fireact.types import StopReason

RIGHT, UNPLAYED, UNTOLD = "+", ".", "-"
"""Letters of outcomes; `UNTOLD` is wrong for a reason that nobody recorded, else it is the failure's letter."""
STOPS = tuple(stop.value for stop in StopReason)
FEATURED = 4
"""Series whose steps are there for as many questions as possible."""
ANSWER = 300
"""Characters of an answer in the list."""
_LETTERS = {name: chr(ord("a") + number) for number, name in enumerate(FAILURES)}
_STOP_LETTERS = {name: chr(ord("a") + number) for number, name in enumerate(STOPS)}
_EFFORT = ("rounds", "tool_calls", "prompt_tokens", "completion_tokens", "seconds")


def letter(*, right: bool, failure: str | None) -> str:
    """The letter of an episode's outcome."""
    return RIGHT if right else _LETTERS.get(failure or "", UNTOLD)


def stop_letter(stop: str) -> str:
    """The letter of why an episode ended."""
    return _STOP_LETTERS.get(stop, UNTOLD)


@dataclass
class Played:
    """A series on the page."""

    index: int
    """In `Study.series`."""
    key: str
    """What links call it."""
    label: str
    path: Path
    where: str
    series: Series
    outcomes: str
    """One letter a question of its set."""

    def data(self, *, whole: bool) -> dict[str, Any]:
        """What its chunk holds; without answers and effort where it is not `whole`."""
        first, n = self._first(), len(self.outcomes)
        stops, answers = [UNPLAYED] * n, list[str | None]([None] * n)
        for episode, question in first:
            stops[question] = stop_letter(self.series.stop[episode])
            answer = self.series.answer[episode]
            answers[question] = answer if answer is None or len(answer) <= ANSWER else answer[:ANSWER] + " …"
        short = {"o": self.outcomes, "s": "".join(stops)}
        if not whole:
            return short
        return {**short, "a": answers, "e": [_column(self.series, name, first, n) for name in _EFFORT]}

    def _first(self) -> list[tuple[int, int]]:
        return _first(self.series)


def _first(series: Series) -> list[tuple[int, int]]:
    """(episode, question) of the first attempts."""
    episodes = (series.attempt == 0).nonzero()[0]
    return list(zip(episodes.tolist(), series.question[episodes].tolist(), strict=True))


def _column(series: Series, name: str, first: Sequence[tuple[int, int]], n: int) -> list[float | int | None]:
    column: list[float | int | None] = [None] * n
    values = series.values[name].tolist() if name in series.values else []
    for episode, question in first if values else ():
        value = values[episode]
        if value == value:
            column[question] = round(value, 1) if name == "seconds" else round(value)
    return column


@dataclass
class QuestionSet:
    """The questions of a dataset, and the series that played them."""

    name: str
    questions: Sequence[Asked]
    series: Sequence[Played]
    sides: tuple[int, int | None]
    """The two series that the browser opens with."""

    @property
    def featured(self) -> list[int]:
        """The series to be shown in full: the two sides and the next ones of the leaderboard."""
        both = [side for side in self.sides if side is not None]
        return list(dict.fromkeys([*both, *range(len(self.series))]))[:FEATURED]

    def link(self, index: int) -> str:
        """The fragment that shows a series beside the first side, or beside the second where it is the first."""
        a, b = self.sides
        other = a if index != a else b
        sides = {"a": self.series[index].key} if other is None else {"a": self.series[other].key,
                                                                     "b": self.series[index].key}
        return urlencode({"set": self.name, **sides})

    def order(self) -> list[int]:
        """The questions in the order in which they are given room: outcomes of both sides and kinds in equal parts."""
        a, b = self.sides
        outcomes = [self.series[side].outcomes for side in (a, b) if side is not None]
        return balanced(range(len(self.questions)), lambda index: self.questions[index].id,
                        lambda index: tuple(side[index] == RIGHT for side in outcomes),
                        lambda index: (self.questions[index].kind, *(side[index] for side in outcomes)))

    def data(self) -> dict[str, Any]:
        """What the page reads at once."""
        n = len(self.questions)
        played, right = [0] * n, [0] * n
        for one in self.series:
            for index, outcome in enumerate(one.outcomes):
                played[index] += outcome != UNPLAYED
                right[index] += outcome == RIGHT
        questions = [[asked.id, clip(asked.text), clip(asked.gold), asked.kind, asked.hops, right[index], played[index]]
                     for index, asked in enumerate(self.questions)]
        return {"name": self.name, "note": "", "questions": questions, "sides": list(self.sides),
                "series": [[one.key, one.label, one.where] for one in self.series]}


def question_sets(study: Study, leaders: Sequence[Leader],
                  given: Mapping[str, tuple[int, int]]) -> list[QuestionSet]:
    """One set a dataset; its series in the order of the leaderboard, those with a faulty tool behind the others.

    `given` are the two series of a dataset that it opens with, where they are not to be chosen.
    """
    labels = _labels(study, leaders, [index for sides in given.values() for index in sides])
    sets = []
    for dataset, questions in study.questions.items():
        indices = [index for index in labels if study.series[index].dataset == dataset]
        if indices and questions:
            played = [_played(study, index, labels[index], len(questions)) for index in indices]
            a, b = given.get(dataset) or _sides(study, indices)
            sets.append(QuestionSet(dataset, questions, played,
                                    (indices.index(a), None if b is None else indices.index(b))))
    return sets


def _labels(study: Study, leaders: Sequence[Leader], wanted: Sequence[int]) -> dict[int, str]:
    """The label of each series that a condition has or that is `wanted`, in the order of the leaderboard.

    What no condition has are the same episodes once more, of cells that share them.
    """
    labels: dict[int, str] = {}
    for leader in sorted(leaders, key=lambda leader: (bool(leader.condition.fault), -leader.em.value)):
        members = leader.condition.series
        for index in members:
            cell = study.cells[study.series[index].cell]
            seed = f", seed {cell.choices[SEED]}" if SEED in cell.choices else f", cell {cell.number}"
            labels[index] = leader.condition.label + (seed if len(members) > 1 else "")
    for index in wanted:
        series = study.series[index]
        name = ", ".join([*study.cells[series.cell].choices.values(), GUISES.get(series.guise, series.guise)])
        labels.setdefault(index, name)
    return labels


def _played(study: Study, index: int, label: str, n: int) -> Played:
    series = study.series[index]
    cell = study.cells[series.cell]
    parts = [part for part in (series.guise, series.fault) if part]
    name = f"{EPISODES}-{'-'.join([series.dataset, *parts]).replace('/', '-')}.jsonl"
    outcomes, right = [UNPLAYED] * n, (series.values["em"] == 1).tolist()
    for episode, question in _first(series):
        outcomes[question] = letter(right=right[episode], failure=series.failure[episode])
    folder = place(study, cell)
    return Played(index, ".".join(map(str, (cell.number, *parts))), label, cell.folder / name,
                  name if folder == "." else f"{folder}/{name}", series, "".join(outcomes))


def _sides(study: Study, indices: Sequence[int]) -> tuple[int, int | None]:
    """Prompted and fine-tuned of a run; of a sweep the first condition and the best, which comes first in `indices`."""
    sound = [index for index in indices if not study.series[index].fault] or list(indices)
    cells = {study.series[index].cell for index in sound}
    if len(cells) == 1:
        ordered = sorted(sound, key=lambda index: study.series[index].guise != "prompted")
        return ordered[0], ordered[1] if len(ordered) > 1 else None
    best = sound[0]
    first = min(index for index in sound if index != best)
    return first, best
