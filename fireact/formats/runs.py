"""FireAct's released evaluation episodes, `trajs/*.json`: `{index of the question: {gt, pred, reward, traj, ...}}`.

`traj` is a list of messages, or one text in the template of Alpaca. The answers are judged anew, by ours: over the 500
questions the three files score EM 40.0, 34.4 and 26.2, as in the paper (an episode without a record counts as wrong).
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel

from fireact.dataset.scoring import normalize, score
from fireact.errors import DataError
from fireact.formats.alpaca import split_turns
from fireact.formats.chat import ChatMessage, ChatRecord, chat_turns
from fireact.formats.record import Notes, Turn
from fireact.formats.released import imported
from fireact.types import Trajectory

_TEMPLATE = re.compile(r"### Instruction:\n(.*?)\n\n### Response:\n(.*)", re.DOTALL)
_TASKS = ("hotpotqa", "bamboogle", "strategyqa", "mmlu")


class RunRecord(BaseModel):
    """One released evaluation episode."""

    traj: str | list[ChatMessage]
    gt: str
    """The gold answer."""
    pred: str | None = None
    """The answer as FireAct read it, normalised."""


def run_trajectory(record: RunRecord, where: str, file: str, notes: Notes) -> Trajectory:
    """Make a trajectory of an episode. The dataset is the first word of the file's name. Raises DataError.

    All were played as ReAct, by models that may answer in one round or reflect as they were trained to.
    """
    found = Notes()
    played = imported(_turns(record.traj, where), where, file, "run", found)
    # Wrong answers are what an evaluation is about: no defects of the file.
    notes.defects += [defect for defect in found.defects if defect.kind not in ("failed", "no_thought")]
    task = file.partition("_")[0]
    answer = played.answer
    if record.pred is not None and normalize(record.pred) != normalize(answer or ""):
        # FireAct took all up to the last bracket of a reply for the answer, with what the model made up behind it.
        notes.add(where, "misread")
        answer = record.pred
    return replace(played, question=replace(played.question, answers=(record.gt,)), method="react",
                   dataset=task if task in _TASKS else "", answer=answer, score=score(answer, (record.gt,)))


def _turns(traj: str | list[ChatMessage], where: str) -> Sequence[Turn]:
    if isinstance(traj, list):
        return chat_turns(ChatRecord(messages=traj))
    found = _TEMPLATE.search(traj)
    if found is None:
        raise DataError(f"{where}: traj is {traj[:60]!r}; expected a list of messages, or a text with "
                        "'### Instruction:' and '### Response:'")
    return [Turn("user", found[1]), *split_turns(found[2])]
