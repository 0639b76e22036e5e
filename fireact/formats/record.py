"""What the formats have in common: turns as a file holds them, the steps they stand for, and what was wrong with them.

Every format is read into turns first, then its turns into a trajectory. What is amiss in a record is no failure: it is
repaired or left, and said in a `Defect`. Only what makes no sense at all raises DataError.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from fireact.errors import DataError, FormatError
from fireact.strategy.grammar import OBSERVATION, ParsedStep, parse_step
from fireact.types import Step, Trajectory

Kind = Literal["options", "question", "two_rewards", "answer", "second_action", "second_label", "made_up", "no_thought",
               "no_action", "unknown_tool", "misread", "failed", "unscored", "system", "repeated", "edited"]

SENTENCES: dict[Kind, str] = {
    "options": "the options stood at the start of the reply; they were put back into the question",
    "question": "the question stood in the reply, or twice; it was put back where it belongs, once",
    "two_rewards": "the model had written a reward itself, before the real one; its own was dropped",
    "answer": "the whole reply stood in the brackets of finish[...]; it was taken apart into thought and answer",
    "second_action": "the thought ended with an action, before the one that was done; it was dropped from the thought",
    "second_label": "a thought has the label 'Thought:' inside; it stays in the record and training leaves it out",
    "made_up": "a reply goes on after its action; what follows stays in the record and training leaves it out",
    "no_thought": "a reply has no thought; it was left as it is",
    "no_action": "a reply without an action that can be read was answered nonetheless; it is not learnt",
    "unknown_tool": "a reply called a tool that there is not; it is not learnt",
    "misread": "FireAct read another answer out of the last reply than stands there; the one that it judged was kept",
    "failed": "the answer was judged wrong; it scores 0, so the filter 'correct' drops it",
    "unscored": "nothing tells whether the answer is right; it counts as wrong (a file that FireAct wrote for OpenAI "
                "is told more by the one that ends in .trajectories.jsonl, kept beside it)",
    "system": "a trajectory has no place for a system message; it was left out",
    "repeated": "the same question comes by the same method again; its id got a number",
    "edited": "the turns are not those of the trajectory that the record carries; the turns were taken",
}


@dataclass(frozen=True)
class Defect:
    """Something wrong with a record."""

    where: str
    """File and record."""
    kind: Kind
    text: str
    """What was wrong and what became of it, in a sentence."""


@dataclass(frozen=True)
class Imported:
    """What a file held."""

    trajectories: list[Trajectory]
    defects: list[Defect]


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation, as a file has it."""

    role: Literal["system", "user", "assistant"]
    text: str
    learnt: bool = True
    """False for a reply that must not be learnt (OpenAI's weight 0)."""

    def observed(self) -> str:
        """What a user turn says, without the label `Observation:`."""
        return self.text.removeprefix(OBSERVATION).removeprefix(" ")


class Notes:
    """Collects what is wrong with the records of a file."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.defects: list[Defect] = []
        self._met: Counter[tuple[str, str, str]] = Counter()

    def add(self, where: str, kind: Kind) -> None:
        """Note a defect of the record at `where`, once."""
        defect = Defect(where, kind, SENTENCES[kind])
        if defect not in self.defects[-len(SENTENCES):]:
            self.defects.append(defect)

    def numbered(self, trajectory: Trajectory, where: str) -> Trajectory:
        """Give a trajectory whose id its dataset and method have met before one of its own, and note that."""
        key = (trajectory.dataset, trajectory.method, trajectory.id)
        self._met[key] += 1
        if self._met[key] == 1:
            return trajectory
        self.add(where, "repeated")
        name = f"{trajectory.id}-{self._met[key]}"
        return replace(trajectory, id=name, question=replace(trajectory.question, id=name))


def side_file(path: Path) -> Path:
    """Where stands what a file in OpenAI's format cannot carry: X.trajectories.jsonl beside X.jsonl."""
    return path.with_name(f"{path.stem}.trajectories.jsonl")


def question_id(text: str) -> str:
    """An id for a question that has none: the same in every file, whatever the spaces in it."""
    return sha256(" ".join(text.split()).encode("utf-8", "replace")).hexdigest()[:16]


def parsed(reply: str) -> ParsedStep | None:
    """The step of a reply, None where it has none that can be read."""
    try:
        return parse_step(reply)
    except FormatError:
        return None


def steps_of(turns: Sequence[Turn], where: str, notes: Notes) -> tuple[Step, ...]:
    """The steps that the turns after the question stand for.

    A reply that is not learnt, or has no action that can be read, was refused: what follows it is the refusal. Raises
    DataError where replies and observations do not take turns, or no reply has an action.
    """
    expected = ["assistant", "user"] * len(turns)
    roles = [turn.role for turn in turns]
    if not turns or roles != expected[: len(roles)]:
        raise DataError(f"{where}: after the question the roles are {roles}; expected assistant and user by turns, "
                        "the assistant first")
    if not any(turn.role == "assistant" and parsed(turn.text) for turn in turns):
        raise DataError(f"{where}: no reply has an action, the first is {turns[0].text[:60]!r}; "
                        "expected e.g. 'Thought: ...' and 'Action: finish[Paris]'")
    steps: list[Step] = []
    for reply, seen in zip(turns[::2], [*turns[1::2], None], strict=False):
        steps.append(Step("ask", reply.text, form="react"))
        if seen is not None:
            steps.append(_answered(reply, seen.observed(), where, notes))
        elif not reply.learnt:
            steps.append(Step("refuse", ""))
    return tuple(steps)


def _answered(reply: Turn, seen: str, where: str, notes: Notes) -> Step:
    step = parsed(reply.text)
    if step is None:
        notes.add(where, "no_action")
    elif "generated an exception: Unknown tool" in seen:
        notes.add(where, "unknown_tool")
        step = None
    if step is None or not reply.learnt:
        return Step("refuse", seen)
    return Step("act", seen, tool=step.name, argument=step.argument)


def answer_of(steps: Sequence[Step]) -> str | None:
    """What the last reply finished with, None where it did not finish or was refused."""
    last = parsed(steps[-1].text) if steps and steps[-1].kind == "ask" else None
    return last.argument if last and last.name == "finish" else None


def origin(file: str, form: str) -> dict[str, Any]:
    """The provenance of an imported trajectory."""
    return {"file": file, "format": form}
