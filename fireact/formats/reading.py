"""Read a file of trajectories, whatever its format: what it is shows in its first record.

A file is JSON lines, or one JSON list, or (FireAct's `trajs`) one JSON object of records.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fireact.dataset.scoring import score
from fireact.errors import DataError
from fireact.examples import conversation
from fireact.formats.alpaca import AlpacaRecord, alpaca_record, alpaca_turns
from fireact.formats.chat import (
    ChatRecord,
    ShareGptRecord,
    chat_turns,
    conversational_record,
    openai_record,
    sharegpt_record,
    sharegpt_turns,
)
from fireact.formats.record import Imported, Notes, Turn, answer_of, side_file, steps_of
from fireact.formats.released import imported
from fireact.formats.runs import RunRecord, run_trajectory
from fireact.jsonl import decode, decode_text, open_file, read_jsonl
from fireact.types import StopReason, Trajectory

M = TypeVar("M", bound=BaseModel)
Raw = Mapping[str, Any]


@dataclass(frozen=True)
class _Format:
    """How the turns of a record are found, and how FireAct writes a trajectory in the same format."""

    name: str
    turns: Callable[[Raw, str], list[Turn]]
    written: Callable[[Trajectory], dict[str, Any]]


_FORMATS = {
    "messages": _Format("messages", lambda raw, where: chat_turns(_valid(ChatRecord, raw, where)),
                        conversational_record),
    "conversations": _Format("sharegpt", lambda raw, where: sharegpt_turns(_valid(ShareGptRecord, raw, where)),
                             sharegpt_record),
    "instruction": _Format("alpaca", lambda raw, where: alpaca_turns(_valid(AlpacaRecord, raw, where)), alpaca_record),
}
"""By the key that a record of the format has."""
_EXPECTED = ("expected records with 'messages' (OpenAI and conversational), 'conversations' (ShareGPT) or "
             "'instruction' and 'output' (Alpaca), FireAct's trajectories.jsonl or released trajs")


def read(path: Path) -> Imported:
    """Read a file of trajectories in any of the formats that FireAct or its release write.

    Records that FireAct wrote come back as the trajectories they were; those in OpenAI's format, which carries the
    messages only, where the file is there that was written beside it. Raises DataError, naming file and record.
    """
    records = _records(path)
    if {"steps", "question", "stop"} <= records[0][1].keys():
        return Imported(list(read_jsonl(path, Trajectory)), [])
    notes = Notes()
    beside = _beside(path, [raw for _, raw in records])
    return Imported([_trajectory(raw, where, path.name, notes, known)
                     for (where, raw), known in zip(records, beside, strict=True)], notes.defects)


def _beside(path: Path, records: Sequence[Raw]) -> list[Trajectory | None]:
    """The trajectory of each record of an OpenAI file from the file beside it: of the same messages, else question.

    By content, not by line: lines may have been dropped, sorted or put together since. None where there is no such.
    """
    found: list[Trajectory | None] = [None] * len(records)
    bare = [place for place, raw in enumerate(records) if "messages" in raw and "trajectory" not in raw]
    if not bare or not side_file(path).is_file():
        return found
    left = [(openai_record(known), known) for known in read_jsonl(side_file(path), Trajectory)
            if _in_order(known) and conversation(known)[1]]
    for key in (_messages, _first):
        by_key: defaultdict[str, list[int]] = defaultdict(list)
        for number, (written, _) in enumerate(left):
            by_key[key(written)].append(number)
        taken = set()
        for place in bare:
            if found[place] is None and (same := by_key[key(records[place])]):
                taken.add(same[0])
                found[place] = left[same.pop(0)][1]
        left = [pair for number, pair in enumerate(left) if number not in taken]
    return found


def _messages(raw: Raw) -> str:
    return json.dumps(raw["messages"], sort_keys=True)


def _first(raw: Raw) -> str:
    return json.dumps(raw["messages"][:1] if isinstance(raw["messages"], list) else None, sort_keys=True)


def _trajectory(raw: Raw, where: str, file: str, notes: Notes, beside: Trajectory | None) -> Trajectory:
    if "traj" in raw:
        return notes.numbered(run_trajectory(_valid(RunRecord, raw, where), where, file, notes), where)
    form = next((form for key, form in _FORMATS.items() if key in raw), None)
    if form is None:
        raise DataError(f"{where}: the record has {', '.join(map(repr, raw)) or 'no keys'}; {_EXPECTED}")
    turns = form.turns(raw, where)
    if isinstance(raw.get("trajectory"), str):
        carried, written = decode(Trajectory, raw["trajectory"], f"{where}: trajectory"), form.written
    elif beside is not None:
        carried, written = beside, openai_record
    else:
        return notes.numbered(imported(turns, where, file, form.name, notes), where)
    if not _in_order(carried):
        raise DataError(f"{where}: the steps of the trajectory are {[step.kind for step in carried.steps[:6]]}; "
                        "expected an ask first, and one before every refuse")
    if all(raw.get(key) == value for key, value in written(carried).items()):
        return carried
    notes.add(where, "edited")
    return _edited(carried, turns, where, notes)


def _in_order(carried: Trajectory) -> bool:
    """Whether the steps begin with an ask, with another before every refusal."""
    kinds = [step.kind for step in carried.steps]
    return kinds[:1] == ["ask"] and not any(kind == "refuse" and before != "ask" for before, kind in pairwise(kinds))


def _edited(carried: Trajectory, turns: list[Turn], where: str, notes: Notes) -> Trajectory:
    """The trajectory that a record carries, with the turns that stand in the record now."""
    question, *replies = turns or [Turn("system", "")]
    if question.role != "user":
        raise DataError(f"{where}: the first message is the {question.role}'s; expected the user's, the question")
    steps = steps_of(replies, where, notes)
    answer = answer_of(steps)
    judged = carried.score if answer == carried.answer else score(answer, carried.question.answers)
    return replace(carried, question=replace(carried.question, text=question.text), steps=steps, answer=answer,
                   score=judged, stop=StopReason.ROUNDS if answer is None else StopReason.FINISHED, error=None,
                   provenance={**carried.provenance, "edited": True})


def _records(path: Path) -> list[tuple[str, Raw]]:
    """All records of a file, each with where it stands. Raises DataError where there is none."""
    with open_file(path) as file:
        text = decode_text(file.read(), str(path))
    lines = [(f"{path}:{number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: the file is empty; {_EXPECTED}")
    whole = None if len(lines) > 1 and _is_object(lines[0][1]) else _json(text, str(path))
    found: list[tuple[str, Any]]
    if isinstance(whole, list):
        found = [(f"{path}: record {number}", record) for number, record in enumerate(whole, 1)]
    elif isinstance(whole, dict) and whole and all(isinstance(record, dict) for record in whole.values()):
        found = [(f"{path}: record {key}", record) for key, record in whole.items()]
    elif whole is not None:
        found = [(f"{path}:1", whole)]
    else:
        found = [(where, _json(line, where)) for where, line in lines]
    for where, record in found:
        if not isinstance(record, dict):
            raise DataError(f"{where}: a record is {str(record)[:60]!r}; {_EXPECTED}")
    if not found:
        raise DataError(f"{path}: the file has no records; {_EXPECTED}")
    return found


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {error}; expected JSON") from None


def _valid(cls: type[M], raw: Raw, where: str) -> M:
    try:
        return cls.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{where}: {place}: {first['msg']}, got {str(first['input'])[:80]!r}; "
                        f"expected one {cls.__name__}") from None
