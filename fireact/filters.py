"""The filters of a curation: named predicates that say which trajectories a student may learn from."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fireact.contamination import Index, Match
from fireact.dataset.scoring import normalize
from fireact.examples import example
from fireact.plugins import Node, build
from fireact.sections import FilterName
from fireact.types import Question, StopReason, Trajectory

EPISODE_FILTERS: tuple[FilterName, ...] = ("finished", "correct", "no_repeat", "no_format_error", "supported")
"""Those that look at an episode alone: not at the student, nor at what it will be judged by."""


@dataclass
class Judge:
    """What the filters need to know beyond a trajectory."""

    model: Node
    home: Path
    window: int | None
    evaluated: Iterable[tuple[str, Question]]
    """All questions that the student will be judged by, with the names of their sets."""
    matches: dict[str, Match | None] = field(default_factory=dict)
    """What was found of evaluated questions, by the text of the training question."""

    def keeps(self, name: FilterName, record: Trajectory) -> bool:
        """Apply the filter called `name`."""
        return getattr(self, name)(record)

    def correct(self, record: Trajectory) -> bool:
        """The answer is an exact match."""
        return record.score.em == 1

    def finished(self, record: Trajectory) -> bool:
        """The model gave an answer before any limit."""
        return record.stop is StopReason.FINISHED

    def no_repeat(self, record: Trajectory) -> bool:
        """No tool is called twice with the same argument; but a lookup may go on, and other sums look alike."""
        calls = [(step.tool, normalize(step.argument or ""), "" if step.tool == "search" else step.text)
                 for step in record.steps if step.kind == "act"]
        return len(calls) == len(set(calls))

    def no_format_error(self, record: Trajectory) -> bool:
        """No reply was refused."""
        return all(step.kind != "refuse" for step in record.steps)

    def fits(self, record: Trajectory) -> bool:
        """The whole conversation fits into the student's window, in its own tokens."""
        return len(example(self._tokenizer, record).ids) <= self._window

    def supported(self, record: Trajectory) -> bool:
        """The answer stands in an observation or in the question, or is yes, no or the letter of an option.

        Methods without a tool pass.
        """
        seen = [step.text for step in record.steps if step.kind == "act"]
        answer = record.answer or ""
        closed = normalize(answer) in ("yes", "no") or bool(record.question.choices)
        return not seen or closed or any(stands_in(answer, text) for text in (*seen, record.question.text))

    def not_evaluated(self, record: Trajectory) -> bool:
        """The question is in none of the evaluation's sets, word for word or nearly."""
        self.look_up(record)
        return self.matches[record.question.text] is None

    def look_up(self, record: Trajectory) -> None:
        """Note whether the question is in one of the evaluation's sets. Raises what the sets raise."""
        text = record.question.text
        if text not in self.matches:
            self.matches[text] = self._index.find(text)

    @cached_property
    def _index(self) -> Index:
        return Index(self.evaluated)

    @cached_property
    def _student(self) -> Any:
        return build(self.model, "model", home=self.home / "weights")

    @cached_property
    def _tokenizer(self) -> Any:
        return self._student.tokenizer()

    @cached_property
    def _window(self) -> int:
        return self.window or self._student.context_window()


def stands_in(answer: str, text: str) -> bool:
    """Whether an answer stands in a text as whole words: Niger not in Nigeria, but Chad in Chad's, and US in U.S."""
    return any(f" {form(answer)} " in f" {form(text)} " for form in (normalize, _split_words))


def _split_words(text: str) -> str:
    return normalize(re.sub(r"\W+", " ", text))


def distinct(records: Sequence[Trajectory]) -> list[Trajectory]:
    """Each attempt of each player once, as the last file has it."""
    return list({(record.dataset, record.method, record.id, record.attempt, _player(record)): record
                 for record in records}.values())


def _player(record: Trajectory) -> tuple[Any, ...]:
    """Who played it: model and store key, or where none is told, as in imported records, what was written."""
    told = record.provenance.get("model"), record.provenance.get("key")
    return told if any(told) else (record.answer, tuple((step.kind, step.text) for step in record.steps))
