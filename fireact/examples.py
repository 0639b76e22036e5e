"""From a trajectory to what a student is trained on: conversation, token ids and loss mask.

`python -m fireact.viewer` shows the result.

Every method becomes FireAct's one format (its §3): the question, then thoughts and actions by the assistant with the
observations between them; a chain of thought is one round that finishes, a direct answer a round without a thought.
Which of its tokens the loss falls on is a `Loss`; the ids are the same for all of them.
"""

from collections.abc import Sequence
from typing import Any, Literal

from fireact.errors import FormatError
from fireact.render import render
from fireact.strategy.grammar import (
    ParsedStep,
    cut_at_observation,
    format_observation,
    format_step,
    parse_answer,
    parse_step,
)
from fireact.types import Example, Message, Step, Trajectory

Loss = Literal["all_output", "assistant", "actions", "final"]
"""What of a conversation is trained on. `assistant`: the model's own turns, thoughts and actions, each with its end of
turn. `actions`: of each of them the action only. `final`: only the last of them. No reply that was refused is learnt.

`all_output`: all from the first turn of the model to the end of its last one, with the observations, what the template
writes between turns, and the replies that were refused: FireAct's data files were single texts without roles, without
refused replies. (Its training had `train_on_inputs`, a loss on the question and the instruction around it too,
finetune/llama_lora/finetune.py; and its texts ended with the line `Observation: Episode finished, reward = ...`. Here
both are left out.)
"""
_ACTION = "Action: "


def conversation(trajectory: Trajectory) -> tuple[list[Message], list[int]]:
    """Return the messages of a trajectory without few-shot examples, and the indices of those the model is to learn."""
    messages = [Message("user", trajectory.question.text)]
    if trajectory.steps and trajectory.steps[0].form in ("cot", "direct"):
        return [*messages, Message("assistant", _one_round(trajectory))], [1] if trajectory.answer else []
    learnt: list[int] = []
    for step in trajectory.steps:
        if step.kind == "ask":
            if messages[-1].role == "assistant":
                # The model was led on from a reply without an action; the new reply holds the old one.
                messages.pop()
                learnt.pop()
            learnt.append(len(messages))
            messages.append(Message("assistant", _canonical(step)))
        else:
            if step.kind == "refuse":
                learnt.pop()
            messages.append(Message("user", format_observation(step.text)))
    if messages[-1].role == "user" and len(messages) > 1:
        messages.pop()
    return messages, learnt


def example(tokenizer: Any, trajectory: Trajectory, loss: Loss = "assistant") -> Example:
    """Tokenise a trajectory. Its ids begin with exactly those of the prompts that the model sees when it plays.

    An answer that never came is learnt in no way: a trajectory without anything to learn has a mask of zeros.
    Raises ConfigError for a tokenizer that cannot do it, see `render`.
    """
    messages, learnt = conversation(trajectory)
    ids, mask = render(tokenizer, messages, trained=_trained(messages, learnt, loss))
    if loss == "all_output" and any(mask):
        first, last = mask.index(1), len(mask) - mask[::-1].index(1)
        mask[first:last] = [1] * (last - first)
    name = "/".join(part for part in (trajectory.dataset, trajectory.method, trajectory.id) if part)
    return Example(name, tuple(ids), tuple(mask))


def _trained(messages: Sequence[Message], learnt: Sequence[int], loss: Loss) -> dict[int, int]:
    """The turns that are trained on, each with the character of its text where that begins."""
    if loss == "actions":
        starts = {turn: _action_start(messages[turn].content) for turn in learnt}
        return {turn: start for turn, start in starts.items() if start is not None}
    if loss == "all_output" and learnt:
        return {turn: 0 for turn, message in enumerate(messages) if message.role == "assistant"}
    return dict.fromkeys(learnt[-1:] if loss == "final" else learnt, 0)


def _action_start(text: str) -> int | None:
    """Where the action begins, None where there is none: in the canonical form it follows a thought of one line."""
    return 0 if text.startswith(_ACTION) else text.find(f"\n{_ACTION}") + 1 or None


def _canonical(step: Step) -> str:
    try:
        return format_step(parse_step(step.text))
    except FormatError:
        return cut_at_observation(step.text)


def _one_round(trajectory: Trajectory) -> str:
    last = next(step for step in reversed(trajectory.steps) if step.kind == "ask")
    thought = ""
    if last.form == "cot":
        try:
            thought = parse_answer(last.text)[0]
        except FormatError:
            thought = ""
    return format_step(ParsedStep(thought, "finish", trajectory.answer or ""))
