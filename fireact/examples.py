"""From a trajectory to what a student is trained on: conversation, token ids and loss mask.

Every method becomes FireAct's one format (its §3): the question, then thoughts and actions by the assistant with the
observations between them; a chain of thought is one round that finishes, a direct answer a round without a thought.
The loss falls on what the model itself wrote, and never on a reply that was refused.
"""

from typing import Any

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


def example(tokenizer: Any, trajectory: Trajectory) -> Example:
    """Tokenise a trajectory. Its ids begin with exactly those of the prompts that the model sees when it plays."""
    messages, learnt = conversation(trajectory)
    ids, mask = render(tokenizer, messages, trained=learnt)
    return Example(f"{trajectory.method}/{trajectory.id}", tuple(ids), tuple(mask))


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
