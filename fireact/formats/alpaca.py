"""FireAct's alpaca_format: `{"instruction": question, "input": "", "output": all turns that follow, as one text}`.

The turns of a text are told apart by the labels at the beginning of its lines, so an observation that holds a line
`Thought: ...` can only be read back by the trajectory that is written beside it. FireAct's own files end with the line
`Observation: Episode finished, reward = True`, which is no turn to learn: it is read, and not written.
"""

from typing import Any

from pydantic import BaseModel

from fireact.examples import conversation
from fireact.formats.record import Turn
from fireact.jsonl import encode
from fireact.strategy.calling import in_words
from fireact.strategy.grammar import OBSERVATION
from fireact.types import Trajectory


class AlpacaRecord(BaseModel):
    """One record of a file in alpaca format."""

    instruction: str
    input: str = ""
    output: str


def alpaca_record(trajectory: Trajectory) -> dict[str, Any]:
    """Return a trajectory in alpaca format, with the trajectory itself as a text that trainers ignore."""
    question, *turns = in_words(conversation(trajectory)[0], trajectory.tools)
    return {"instruction": question.content, "input": "", "output": "\n".join(turn.content for turn in turns),
            "trajectory": encode(trajectory)}


def alpaca_turns(record: AlpacaRecord) -> list[Turn]:
    """The turns of a record."""
    question = "\n".join(filter(None, (record.instruction, record.input)))
    return [Turn("user", question), *split_turns(record.output)]


def split_turns(text: str) -> list[Turn]:
    """Tell the turns of one text apart: an observation begins with its label, a reply with `Thought:` or `Action:`."""
    turns: list[list[str]] = []
    for line in text.removesuffix("\n").split("\n"):
        observed = bool(turns) and turns[-1][0].startswith(OBSERVATION)
        begins = line.startswith(OBSERVATION) or (observed and line.startswith(("Thought:", "Action:")))
        if begins or not turns:
            turns.append([line])
        else:
            turns[-1].append(line)
    return [Turn("user" if lines[0].startswith(OBSERVATION) else "assistant", "\n".join(lines)) for lines in turns]
