"""What a hosted fine-tuning sends: curated trajectories as a chat file, checked and counted before anything leaves."""

from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from math import ceil
from pathlib import Path
from typing import Any

from fireact.errors import DataError
from fireact.formats.chat import openai_record
from fireact.jsonl import read_located, write_atomic
from fireact.types import Trajectory

MIN_EXAMPLES = 10
"""OpenAI's own lower bound for a training file."""
MAX_BYTES = 512_000_000
"""The largest file that OpenAI takes."""
LETTERS, FRAME = 4, 4
"""Characters a token, and tokens that frame a turn. The first is 3.9 to 4.2 on FireAct's released conversations with a
vocabulary of 49,000; who trains counts with its own, so all that follows from them is 'about'."""
_ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True)
class ChatFile:
    """One file for the endpoint."""

    path: Path
    name: str
    """What the endpoint calls it, made from the content: so a file sent before is found again."""
    examples: int
    tokens: int
    """About how many are in it."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size


def write_chat_file(source: Path, target: Path, max_length: int | None, max_bytes: int = MAX_BYTES) -> ChatFile:
    """Write the trajectories of `source` as chat records into `target`.

    `max_length` is the longest record in tokens. Raises DataError with file, line and fault of the first bad one.
    """
    lines, tokens = [], 0
    for where, trajectory in read_located(source, Trajectory):
        try:
            record = openai_record(trajectory)
        except DataError as failure:
            raise DataError(f"{where}: {failure}") from None
        turns = record["messages"]
        length = about_tokens(turns) + (ceil(len(dumps(record["tools"])) / LETTERS) if "tools" in record else 0)
        fault = find_fault(turns)
        if max_length and length > max_length:
            fault = f"it has about {length:,} tokens, more than train.max_length={max_length}"
        if fault:
            raise DataError(f"{where}: {fault}; drop or mend this trajectory, nothing was sent")
        # Escaped to ASCII: some readers take U+2028 and the like for the end of a line.
        lines.append(dumps(record) + "\n")
        tokens += length
    text = "".join(lines)
    write_atomic(target, text)
    size = target.stat().st_size
    if size > max_bytes:
        raise DataError(f"{target} has {size:,} bytes and the endpoint takes {max_bytes:,}; lower curate.n, "
                        "nothing was sent")
    digest = sha256(text.encode()).hexdigest()[:16]
    return ChatFile(target, f"fireact-{source.stem}-{digest}.jsonl", len(lines), tokens)


def find_fault(turns: list[dict[str, Any]]) -> str | None:
    """Say what keeps a conversation from being trained on, or None."""
    for number, turn in enumerate(turns, 1):
        if turn["role"] not in _ROLES:
            return f"turn {number} has the role {turn['role']!r}, expected one of {', '.join(_ROLES)}"
        if not (turn["content"] or "").strip() and not turn.get("tool_calls"):
            return f"turn {number}, of the {turn['role']}, has no text"
    if not turns or turns[-1]["role"] != "assistant":
        return f"the last turn is of the {turns[-1]['role'] if turns else 'nobody'}, expected one of the assistant"
    if all(turn.get("weight") == 0 for turn in turns if turn["role"] == "assistant"):
        return "no turn of the assistant is learnt, all have the weight 0"
    return None


def about_tokens(turns: list[dict[str, Any]]) -> int:
    """Estimate the tokens of a conversation: its characters / 4, with what it calls, and 4 a turn."""
    called = (len(dumps(turn["tool_calls"])) if "tool_calls" in turn else 0 for turn in turns)
    return sum(ceil((len(turn["content"] or "") + size) / LETTERS) + FRAME
               for turn, size in zip(turns, called, strict=True))
