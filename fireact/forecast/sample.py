"""The nearest recorded episodes to a job's: what such an episode takes."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from fireact.generate import PlayJob, open_dataset, open_strategy
from fireact.play.records import Records
from fireact.play.turns import Plan
from fireact.requests import Ask
from fireact.store import identity, key
from fireact.types import Step, Trajectory

LOOKED_AT = 300
"""Episodes of a sample."""
CHARACTERS = 4
"""A token has about so many."""


@dataclass(frozen=True)
class Episode:
    """What one recorded episode took."""

    calls: int
    tool_calls: int
    prompt_tokens: float
    completion_tokens: float
    seconds: float | None
    """Of all its calls; None where nobody measured the model that is asked for."""
    right: bool = False
    kept: bool = False
    """Whether it is worth keeping."""
    actions: Mapping[str, int] | None = None
    """How often each was called; None where nobody knows."""

    def calls_of(self, actions: Sequence[str]) -> int:
        """The calls of one of its tools, by the tool's actions; where nobody knows, those of all."""
        return self.tool_calls if self.actions is None else sum(self.actions.get(name, 0) for name in actions)


@dataclass(frozen=True)
class Samples:
    """The recorded episodes of a store. Jobs of a sweep have much in common, so what was looked at is remembered."""

    _jobs: dict[Path, list[tuple[PlayJob, Any, Path]]] = field(default_factory=dict)
    _episodes: dict[str, list[Episode]] = field(default_factory=dict)

    def nearest(self, job: PlayJob, folder: Path, wanted: Plan) -> tuple[list[Episode], str]:
        """The nearest recorded episodes, and where they are from."""
        first = opening(job)
        ids = {question.id for question in wanted.questions}

        def keeps(record: Trajectory) -> bool:
            # An episode of another split is of no question that can be judged here.
            return wanted.keeps(record) if record.id in ids else record.score.em == 1

        for place, same in self._candidates(job, folder):
            found = self._measured(place, first, same, keeps, key(of=(job.dataset, job.split, job.sampling)))
            if found:
                whose = f"{place.name}, {'the same' if same else 'another'} model"
                return found, "this job's" if place == folder else whose
        return [], ""

    def _candidates(self, job: PlayJob, folder: Path) -> Iterator[tuple[Path, bool]]:
        """The folders of like jobs, and whether they are of the same model: this one's, then those, then others."""
        likes, model = [], identity(job.model)
        for other, others_model, place in self._known(folder.parent):
            alike = (other.task, other.method, other.few_shot) == (job.task, job.method, job.few_shot)
            if alike or place == folder:
                likes.append((place != folder, others_model != model, place))
        yield from ((place, not differs) for _, differs, place in sorted(likes))

    def _known(self, root: Path) -> list[tuple[PlayJob, Any, Path]]:
        if root not in self._jobs:
            self._jobs[root] = list(_jobs(root))
        return self._jobs[root]

    def _measured(self, place: Path, first: int, same: bool, keeps: Callable[[Trajectory], bool], judged: str
                  ) -> list[Episode]:
        name = key(place=place, first=first, same=same, judged=judged)
        if name not in self._episodes:
            with closing(Records(place)) as records:
                names = [name for name, found in records.places.items() if found.played]
                self._episodes[name] = [_episode(records.read(*each), first, same, keeps)
                                        for each in islice(names, LOOKED_AT)]
        return self._episodes[name]


def _jobs(root: Path) -> Iterator[tuple[PlayJob, Any, Path]]:
    for file in sorted(root.glob("*/job-*.json")):
        try:
            job = PlayJob.model_validate_json(file.read_text(encoding="utf-8"))
        except ValueError:
            continue  # Of another version.
        yield job, identity(job.model), file.parent


def _episode(record: Trajectory, opening: int, timed: bool, keeps: Callable[[Trajectory], bool]) -> Episode:
    """What an episode took; tokens that nobody counted are estimated from its texts."""
    asks = [step for step in record.steps if step.completion]
    prompt, said = record.total("prompt_tokens"), record.total("completion_tokens")
    if asks and not prompt:
        before = opening + len(record.question.text)
        for step in record.steps:
            if step.completion:
                prompt += before / CHARACTERS
                said += 0 if step.completion.completion_tokens else _letters(step) / CHARACTERS
            before += _letters(step)
    seconds = record.total("seconds")
    return Episode(len(asks), record.tool_calls, prompt, said, seconds if timed and seconds else None,
                   record.score.em == 1, keeps(record),
                   Counter(step.tool for step in record.steps if step.kind == "act" and step.tool))


def _letters(step: Step) -> int:
    """The characters of a step, with what it calls."""
    return len(step.text) + sum(len(str(call)) for call in (step.completion.calls if step.completion else ()))


def opening(job: PlayJob) -> int:
    """The characters of the first prompt with the functions that it offers, without the question."""
    first = next(iter(job.opening(open_strategy(job.strategy, open_dataset(job.dataset, job.home)))), None)
    if not isinstance(first, Ask):
        return 0
    offered = json.dumps([spec.as_function() for spec in first.tools]) if first.tools else ""
    return len(offered) + sum(len(message.content) + sum(len(str(call)) for call in message.calls)
                              for message in first.messages)
