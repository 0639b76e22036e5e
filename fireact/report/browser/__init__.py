"""The trajectory browser: how every episode ended, and the steps of as many as a page has room for.

The page's script gets `data`, a small object that is read at once, and chunks, gzip in base64, of which it opens what
is looked at. A chunk `s<set>-<series>` says how each question went in a series; `q<set>-<question>` holds the steps of
a question's episodes in the featured series, `r<set>-<question>` those in all others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from fireact.failures import FAILURES
from fireact.report.browser.chunks import Chunks
from fireact.report.browser.outcomes import STOPS, QuestionSet, question_sets
from fireact.report.browser.records import Shelf, shelves
from fireact.report.browser.taught import Taught, taught
from fireact.study.types import Leader, Study

SERIES_ROOM, STEPS_ROOM, TAUGHT_ROOM = 8_000_000, 11_000_000, 1_000_000
"""Characters of base64 that a page has for how episodes went, for their steps, and for the teacher's."""
DEEP = 1_500_000
"""Up to so many characters of steps a search looks into them too."""


@dataclass
class Browser:
    """What the page needs to show episodes."""

    data: dict[str, Any]
    chunks: Chunks
    links: list[str] = field(default_factory=list)
    """The fragment that shows a series beside the one it is compared with, by its index in the study."""

    def link(self, dataset: str, id: str) -> str:
        """The fragment that opens a question."""
        return urlencode({"set": dataset, "q": id})


def browser(study: Study, leaders: Sequence[Leader], sides: Mapping[str, tuple[int, int]] | None = None,
            ) -> Browser | None:
    """Return the browser of a study; None where nothing was played. `sides` are the two series that it opens with."""
    sets, taught_sets = question_sets(study, leaders, sides or {}), taught(study)
    if not sets and not taught_sets:
        return None
    chunks = Chunks()
    links = [""] * len(study.series)
    for number, one in enumerate(sets):
        _add_series(chunks, number, one)
        for index in range(len(one.series)):
            links[one.series[index].index] = one.link(index)
    for number, one in enumerate(sets):
        _add_steps(chunks, number, one, shelves(study, one), (number + 1) * STEPS_ROOM // len(sets))
    deep = chunks.size("q") + chunks.size("r") <= DEEP
    for number, one in enumerate(taught_sets, len(sets)):
        _add_taught(chunks, number, one)
    data = {"failures": list(FAILURES.items()), "stops": list(STOPS), "deep": deep,
            "sets": [one.data() for one in (*sets, *taught_sets)]}
    return Browser(data, chunks, links)


def _add_series(chunks: Chunks, number: int, one: QuestionSet) -> None:
    """The featured series first; where the room is used up, the others tell outcomes only."""
    for index in (*one.featured, *(index for index in range(len(one.series)) if index not in one.featured)):
        whole = chunks.size("s") < SERIES_ROOM
        chunks.add(f"s{number}-{index}", one.series[index].data(whole=whole))


def _add_steps(chunks: Chunks, number: int, one: QuestionSet, files: Sequence[Shelf], room: int) -> None:
    """The featured series for all questions, then all others for some, until `room` is used up in all."""
    featured, others = set(one.featured), set(range(len(one.series))) - set(one.featured)
    order = one.order()
    for letter, members, limit in (("q", featured, room * 2 // 3 if others else room), ("r", others, room)):
        mine = [shelf for shelf in files if members.intersection(shelf.series)]
        asked = [one.questions[index].id for index in order]
        count = len(order) if letter == "q" else _fitting(mine, asked, limit - chunks.size("q") - chunks.size("r"))
        for shelf in mine:
            shelf.look(set(asked[:count]))
        for index in order[:count] if mine else ():
            if chunks.size("q") + chunks.size("r") >= limit:
                break
            entries = [shelf.entry(one.questions[index].id, members) for shelf in mine]
            chunks.add(f"{letter}{number}-{index}", [entry for entry in entries if entry])


def _fitting(files: Sequence[Shelf], asked: Sequence[str], room: int) -> int:
    """About twice as many questions as will fit, so that no more lines are looked for."""
    a_question = sum(shelf.mean_length(len(asked)) for shelf in files)
    return max(0, min(len(asked), int(room / (0.08 * a_question)) + 2 if a_question else 0))


def _add_taught(chunks: Chunks, number: int, one: Taught) -> None:
    chunks.add(f"s{number}-0", one.outcomes())
    for index, entry in enumerate(one.entries):
        if chunks.size(f"q{number}-") < TAUGHT_ROOM:
            chunks.add(f"q{number}-{index}", [entry])
