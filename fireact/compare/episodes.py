"""The steps of some episodes of a run, found in its files of episodes without parsing all the others."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fireact.errors import DataError, NewerVersion
from fireact.evaluate import EPISODES
from fireact.play.records import parse
from fireact.report.steps import shown
from fireact.study.types import Series, Study

Steps = Sequence[tuple[str, str]]
"""What each is, and its text."""


@dataclass(frozen=True)
class Played:
    """An episode's steps, or why they cannot be shown."""

    steps: Steps = ()
    missing: str = ""


def steps(study: Study, series: Series, questions: Iterable[int]) -> dict[int, Played]:
    """Return the steps of the first attempts at some questions, by the question's index."""
    path = study.cells[series.cell].folder / f"{EPISODES}-{series.dataset}-{series.guise}.jsonl"
    wanted = {_begin(study.questions[series.dataset][question].id): question for question in questions}
    found = {question: Played(missing=f"its record is not in {path}") for question in wanted.values()}
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                question = wanted.get(line[:line.find(b'",') + 2])
                if question is not None and line.endswith(b"\n"):
                    played = _played(line, f"{path}:{number}")
                    if played:
                        found[question] = played
    except OSError:
        pass
    return found


def _begin(id: str) -> bytes:
    """How the record of a question begins."""
    return b'{"id":' + json.dumps(id, ensure_ascii=False).encode("utf-8", "replace") + b","


def _played(line: bytes, where: str) -> Played | None:
    try:
        record = parse(line, where)
    except (DataError, NewerVersion) as failure:
        return Played(missing=str(failure))
    return Played([part for step in record.steps for part in shown(step)]) if record.attempt == 0 else None

