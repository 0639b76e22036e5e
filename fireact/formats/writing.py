"""Write trajectories in the formats of other tools.

| name | file | for | carries |
|---|---|---|---|
| trajectories | .jsonl | FireAct | everything |
| conversational | .jsonl, `messages` | `datasets`, TRL's SFTTrainer, axolotl's `chat_template` | everything |
| sharegpt | .jsonl, `conversations` | axolotl, LLaMA-Factory, FastChat | everything |
| alpaca | .json, `instruction`, `output` | FireAct's own scripts, alpaca-lora, LLaMA-Factory | everything |
| openai | .jsonl, `messages` with `weight` | OpenAI's fine-tuning endpoint and its kin | everything, in two files |
| preference | .jsonl, `prompt`, `chosen`, `rejected` | TRL's DPOTrainer | everything, of pairs |
| searches | .jsonl, `query`, `observation` | the tool `replay` | what the tool answered |

The conversations are those FireAct trains on itself: each thought on one line, refused replies and what they were told
included. `everything`: beside the conversation stands the trajectory as a text, under the key `trajectory`, which
trainers ignore and `read` takes. OpenAI refuses other keys: the trajectories of X.jsonl are in X.trajectories.jsonl,
where `read` finds them; without it, only what is in the messages is known. `preference` is written of pairs, by
`write_pairs`, and not read.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from fireact.examples import conversation
from fireact.formats.alpaca import alpaca_record
from fireact.formats.chat import conversational_record, openai_record, preference_record, sharegpt_record
from fireact.formats.record import side_file
from fireact.jsonl import encode, write_atomic
from fireact.preferences import Preference
from fireact.recordings import REAL
from fireact.types import Trajectory

Name = Literal["trajectories", "conversational", "sharegpt", "alpaca", "openai", "searches"]

SUFFIXES: dict[str, str] = {"alpaca": ".json"} | dict.fromkeys(
    ("trajectories", "conversational", "sharegpt", "openai", "preference", "searches"), ".jsonl")
"""How a file of each format is called."""
_RECORDS: dict[str, Callable[[Trajectory], dict[str, Any]]] = {
    "conversational": conversational_record, "sharegpt": sharegpt_record, "alpaca": alpaca_record,
    "openai": openai_record}


def write(name: Name, trajectories: Iterable[Trajectory], path: Path) -> int:
    """Write trajectories to a file, whole or not at all, and return how many are in it; for `openai`, to two.

    A trajectory without any reply has no conversation and is left out, but for `trajectories`; so is for `openai` one
    without a reply to learn from. Of `searches` the number is that of the distinct pairs. Raises OSError.
    """
    records = [record for record in trajectories if name not in _RECORDS or _has_replies(record, name)]
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "openai":
        _write_lines(side_file(path), [encode(record) for record in records])
    if name == "trajectories":
        lines = [encode(record) for record in records]
    elif name == "searches":
        lines = [_json(pair) for pair in searches(records)]
    else:
        lines = [_json(_RECORDS[name](record)) for record in records]
    if name == "alpaca":
        listed = ",\n".join(lines)
        write_atomic(path, f"[\n{listed}\n]\n")
    else:
        _write_lines(path, lines)
    return len(lines)


def write_pairs(preferences: Iterable[Preference], path: Path) -> int:
    """Write pairs of trajectories as `preference`, whole or not at all; return how many are in it. Raises OSError."""
    lines = [_json(preference_record(pair)) for pair in preferences]
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_lines(path, lines)
    return len(lines)


def searches(trajectories: Sequence[Trajectory]) -> Iterator[dict[str, str]]:
    """What the tool `search` answered, each distinct `{query, observation}` once.

    Left out is what was no answer of the search itself: refusals, faults that were put in, and replayed neighbours.
    """
    seen: set[tuple[str, str]] = set()
    for trajectory in trajectories:
        for step in trajectory.steps:
            pair = (step.argument or "", step.text)
            if step.kind == "act" and step.tool == "search" and step.origin in REAL and pair not in seen:
                seen.add(pair)
                yield {"query": pair[0], "observation": pair[1]}


def _has_replies(trajectory: Trajectory, name: str) -> bool:
    if not any(step.kind == "ask" for step in trajectory.steps):
        return False
    return name != "openai" or bool(conversation(trajectory)[1])


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    write_atomic(path, "".join(f"{line}\n" for line in lines))


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))
