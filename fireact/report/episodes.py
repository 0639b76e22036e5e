"""The sample of episodes on a page: which questions are shown, and their steps as thought, action, observation.

Evaluated questions come from results.jsonl, with every guise that played them with a sound tool; their steps, from the
episodes' files.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, TypeVar

from fireact.errors import FormatError
from fireact.evaluate import EPISODES, rows
from fireact.jsonl import read_finished, read_jsonl
from fireact.report.text import GUISES
from fireact.strategy.grammar import parse_answer, parse_step
from fireact.types import Step, Trajectory

RESULTS = "results.jsonl"
SHOWN, EVALUATED = 60, 48
"""How many questions are shown, and how many of them at most are the evaluation's; the others are the teacher's."""
LOOKED_AT = 2000
"""Of the teacher's records, those that the sample is taken from."""
LONGEST = 4000
"""Characters of one step that are shown."""
ROOM = 1_200_000
"""Characters of JSON that the sample may take."""

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One line of results.jsonl, as far as the page needs it."""

    dataset: str
    guise: str
    fault: str
    method: str
    id: str
    kind: str
    question: str
    gold: str
    answer: str | None
    em: float
    stop: str
    rounds: int
    tool_calls: int
    prompt_tokens: float
    completion_tokens: float
    seconds: float
    attempt: int = 0


@dataclass(frozen=True)
class Side:
    """One episode of a question."""

    guise: str
    right: bool
    answer: str | None
    stop: str
    effort: str
    steps: list[tuple[str, str]] | None
    """(what it is, its text); None where the record is gone."""
    error: str | None


@dataclass(frozen=True)
class Card:
    """One question with its episodes."""

    id: str
    question: str
    gold: str
    kind: str
    sides: list[Side]


def read_results(run_dir: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's results.jsonl, [] where there is none. Raises DataError."""
    path = run_dir / RESULTS
    return list(read_jsonl(path, dict)) if path.exists() else []


def sample(run_dir: Path) -> list[Card]:
    """Return the questions to show, outcomes and kinds in equal parts as far as they go. Raises DataError."""
    cards, room = [], ROOM
    evaluated = _evaluated(run_dir)
    for card in (*evaluated, *_taught(run_dir, SHOWN - len(evaluated))):
        room -= len(json.dumps(asdict(card)))
        if room >= 0:
            cards.append(card)
    return cards


def _evaluated(run_dir: Path) -> list[Card]:
    path = run_dir / RESULTS
    questions: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in read_jsonl(path, Row) if path.exists() else ():
        if not row.fault and row.attempt == 0:
            questions[row.dataset, row.id].append(row)
    chosen = balanced(list(questions.values()), lambda part: part[0].id, _outcome, _variety)[:EVALUATED]
    wanted = {part[0].id for part in chosen}
    played = {(row.dataset, row.guise) for part in chosen for row in part}
    records = {cell: _records(run_dir / f"{EPISODES}-{'-'.join(cell)}.jsonl", wanted) for cell in played}
    return [_card([(row, records[row.dataset, row.guise].get(row.id)) for row in part]) for part in chosen]


def _taught(run_dir: Path, count: int) -> list[Card]:
    found = [record for path in sorted(run_dir.glob("trajectories*.jsonl")) if path.exists()
             for record in islice(read_finished(path, Trajectory), LOOKED_AT) if record.attempt == 0]
    chosen = balanced(found, lambda record: record.id, lambda record: record.score.em == 1,
                      lambda record: (record.method, record.question.kind, record.stop.value))[:count]
    return [_card([(Row(**{name: row[name] for name in Row.__dataclass_fields__}), record)])
            for record, row in zip(chosen, rows("teacher", "", chosen), strict=True)]


def _records(path: Path, ids: set[str]) -> dict[str, Trajectory]:
    if not path.exists():
        return {}
    return {record.id: record for record in read_finished(path, Trajectory) if record.id in ids and record.attempt == 0}


def _outcome(part: Sequence[Row]) -> tuple[bool, ...]:
    return tuple(row.em == 1 for row in part)


def _variety(part: Sequence[Row]) -> tuple[str, ...]:
    return (part[0].kind, *(row.stop for row in part))


def balanced(items: Iterable[T], name: Callable[[T], str], outcome: Callable[[T], Hashable],
             variety: Callable[[T], Hashable]) -> list[T]:
    """Order `items` so that any prefix holds outcomes in equal parts, and within an outcome every variety.

    Which of equals comes first depends on nothing but the item's name.
    """
    shuffled = sorted(items, key=lambda item: sha256(name(item).encode("utf-8", "replace")).digest())
    return _interleaved([_interleaved(_groups(part, variety)) for part in _groups(shuffled, outcome)])


def _groups(items: Iterable[T], label: Callable[[T], Hashable]) -> list[list[T]]:
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[label(item)].append(item)
    return list(groups.values())


def _interleaved(groups: Iterable[Sequence[T]]) -> list[T]:
    return [item for layer in zip_longest(*groups) for item in layer if item is not None]


def _card(played: Sequence[tuple[Row, Trajectory | None]]) -> Card:
    first = played[0][0]
    return Card(first.id, clip(first.question), clip(first.gold), first.kind, [_side(*episode) for episode in played])


def _side(row: Row, record: Trajectory | None) -> Side:
    effort = (f"{row.method} · rounds {row.rounds} · tool calls {row.tool_calls} · "
              f"tokens {row.prompt_tokens:,.0f} in, {row.completion_tokens:,.0f} out · {row.seconds:.1f} s")
    steps = [part for step in record.steps for part in shown(step)] if record else None
    error = clip(record.error) if record and record.error else None
    answer = None if row.answer is None else clip(row.answer)
    return Side(GUISES.get(row.guise, row.guise), row.em == 1, answer, row.stop, effort, steps, error)


def shown(step: Step) -> list[tuple[str, str]]:
    """Return a step as labelled texts. A reply is taken apart only where that loses none of its words."""
    if step.kind == "act":
        return [("Observation", clip(step.text))]
    if step.kind == "refuse":
        return [("Refused", clip(step.text))]
    parts = _parsed(step)
    whole = " ".join(f"{label}: {text}" for label, text in parts)
    if not parts or _words(whole) != _words(step.text):
        return [("Reply", clip(step.text))]
    return [(label, clip(text)) for label, text in parts]


def _parsed(step: Step) -> list[tuple[str, str]]:
    try:
        if step.form == "react":
            react = parse_step(step.text)
            thought, last = react.thought, ("Action", f"{react.name}[{react.argument}]")
        else:
            thought, answer = parse_answer(step.text)
            last = ("Answer", answer)
    except FormatError:
        return []
    return [("Thought", thought), last] if thought else [last]


def _words(text: str) -> list[str]:
    return text.casefold().split()


def clip(text: str) -> str:
    """Cut a text to what a page shows of it, and say so."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"
