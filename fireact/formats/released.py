"""What FireAct's released fine-tuning files leave unsaid, and what is wrong with them.

The files hold questions, turns and a last line `Observation: Episode finished, reward = True`; neither the dataset nor
the method. Both follow from what tells them apart in the release (all counts: fine-tuning files of the repository):

- mmlu: the question is `Question: ...` with its options A to D below.
- hotpotqa: the reward is `True` or `False`; for a chain of thought `1`, with an answer that is not a small yes or no.
- strategyqa: the reward is `1` or `0`, the answer yes or no in small letters, or a tool was used.
- reflexion: a thought has one of the two sentences of FireAct's reflections.
- cot: one round without a tool. So is a ReAct episode that needed no search (1, 32 and 296 of the three datasets): the
  alpaca files end a chain of thought without a line break, the chat files do not tell. `released_cot.py` does.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from fireact.errors import DataError
from fireact.formats.record import Notes, Turn, answer_of, origin, parsed, question_id, steps_of
from fireact.formats.released_cot import is_released_cot
from fireact.strategy.grammar import clean_thought
from fireact.types import Question, Score, Step, StopReason, Trajectory

_REWARD = re.compile(r"(?:Observation: )?Episode finished, reward = (True|False|0|1)\.?\s*")
_OPTIONS = re.compile(r"A\. (.*)\nB\. (.*)\nC\. (.*)\nD\. (.*)")
_LABEL = re.compile(r"^(?:Thought:|Action:)", re.MULTILINE)
_WHOLE_REPLY = re.compile(r"Action: finish\[Thought: (.*) Answer: (.*?)\.?\]", re.DOTALL)
_EARLY_ACTION = re.compile(r"(?<=\S)[ \t]+Action: [^\n]*(?=\nAction:)")
_REFLECTION = re.compile(r"Now that I haven't solved the task within \d+ steps,")
_YES_NO = re.compile(r"(yes|no)\b")


def imported(turns: Sequence[Turn], where: str, file: str, form: str, notes: Notes) -> Trajectory:
    """Make a trajectory of turns that say nothing else, with its defects repaired or noted. Raises DataError.

    An answer that was rewarded is the gold answer, as far as it is known; of a question that was answered wrongly none
    is, and nothing scores. Without a reward line the answer is taken for wrong.
    """
    turns, reward = _rewarded(_without_system(turns, where, notes), where, notes)
    question, replies = _question(turns, where, notes)
    replies = [_repaired(turn, where, notes) if turn.role == "assistant" else turn for turn in replies]
    steps = steps_of(replies, where, notes)
    answer = answer_of(steps)
    dataset = _dataset(question, steps, answer, reward)
    right = reward in ("True", "1")
    if reward is None:
        notes.add(where, "unscored")
    elif not right:
        notes.add(where, "failed")
    options = _OPTIONS.search(question)
    known = Question(question_id(question), question, (_gold(dataset, answer),) if right and answer is not None else (),
                     choices=options.groups() if options and dataset == "mmlu" else ())
    return Trajectory(known.id, known, _method(dataset, steps, reward), steps, answer,
                      StopReason.ROUNDS if answer is None else StopReason.FINISHED,
                      Score(float(right), float(right)), dataset=dataset, provenance=origin(file, form))


def reflects(trajectory: Trajectory) -> bool:
    """Whether a thought has one of FireAct's sentences of reflection (at its rounds 6 and 10)."""
    return _reflects(trajectory.steps)


def _without_system(turns: Sequence[Turn], where: str, notes: Notes) -> list[Turn]:
    if any(turn.role == "system" for turn in turns):
        notes.add(where, "system")
    return [turn for turn in turns if turn.role != "system"]


def _rewarded(turns: Sequence[Turn], where: str, notes: Notes) -> tuple[list[Turn], str | None]:
    """Take the reward lines off the end. The last is the task's own; one before it was written by the model."""
    kept, rewards = list(turns), []
    while kept and (found := _REWARD.fullmatch(kept[-1].text)):
        rewards.append(found[1])
        kept.pop()
    if len(rewards) > 1:
        notes.add(where, "two_rewards")
    return kept, rewards[0] if rewards else None


def _question(turns: Sequence[Turn], where: str, notes: Notes) -> tuple[str, list[Turn]]:
    """Part the question from the turns that follow it, wherever it stands."""
    head, replies = "", list(turns)
    if replies and replies[0].role == "user":
        head = replies.pop(0).text.strip()
    if replies and replies[0].role == "assistant":
        label = _LABEL.search(replies[0].text)
        before = replies[0].text[: label.start() if label else 0].strip()
        if before and (not head or _OPTIONS.match(before) or before.endswith(head)):
            notes.add(where, "options" if _OPTIONS.match(before) else "question")
            head = f"{head}\n{before}" if _OPTIONS.match(before) else head or before
            replies[0] = replace(replies[0], text=replies[0].text[label.start() if label else 0:])
    first, _, second = head.partition("\n")
    if second and second.endswith(first) and len(second) < len(first) + 20:
        notes.add(where, "question")
        head = first
    if not head:
        raise DataError(f"{where}: there is no question; expected a user message, or an instruction, that is not empty")
    return head, replies


def _repaired(turn: Turn, where: str, notes: Notes) -> Turn:
    text = turn.text
    if whole := _WHOLE_REPLY.fullmatch(text):
        notes.add(where, "answer")
        text = f"Thought: {whole[1]}\nAction: finish[{whole[2]}]"
    early = _EARLY_ACTION.search(text)
    if early and parsed(text[early.end():]):
        notes.add(where, "second_action")
        text = text[: early.start()] + text[early.end():]
    _note_oddities(text, where, notes)
    return replace(turn, text=text)


def _note_oddities(text: str, where: str, notes: Notes) -> None:
    step = parsed(text)
    if text.startswith("Action:"):
        notes.add(where, "no_thought")
    if text.partition("\nAction:")[0].count("Thought:") > 1:
        notes.add(where, "second_label")
    if step and not text.rstrip(" .\n").removesuffix("]").rstrip().endswith(step.argument):
        notes.add(where, "made_up")


def _dataset(question: str, steps: Sequence[Step], answer: str | None, reward: str | None) -> str:
    if question.startswith("Question:") and _OPTIONS.search(question):
        return "mmlu"
    if reward is None:
        return ""
    small = _YES_NO.match(answer or "") is not None
    return "strategyqa" if reward in ("0", "1") and (small or _uses_tool(steps)) else "hotpotqa"


def _method(dataset: str, steps: Sequence[Step], reward: str | None) -> str:
    if _reflects(steps):
        return "reflexion"
    if _uses_tool(steps) or len(steps) > 1:
        return "react"
    if reward is None or (dataset == "hotpotqa" and reward == "1"):
        return "cot"
    return "cot" if is_released_cot(steps[0].text) else "react"


def _uses_tool(steps: Sequence[Step]) -> bool:
    return any(step.kind == "act" for step in steps)


def _reflects(steps: Sequence[Step]) -> bool:
    return any(step.kind == "ask" and _REFLECTION.search(clean_thought(step.text)) for step in steps)


def _gold(dataset: str, answer: str) -> str:
    """What a rewarded answer tells of the gold one: FireAct's rewards look at how it begins, but for HotpotQA."""
    if dataset == "mmlu":
        return answer[:1].upper()
    yes_no = _YES_NO.match(answer)
    return yes_no[1] if dataset == "strategyqa" and yes_no else answer
