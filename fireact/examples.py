"""From a trajectory to what a student is trained on: conversation, token ids and loss mask.

    python -m fireact.examples TRAJECTORIES.jsonl FOLDER_OF_A_TOKENIZER --loss actions --n 3

shows what is trained on: highlighted on a terminal, between « and » elsewhere.

Every method becomes FireAct's one format (its §3): the question, then thoughts and actions by the assistant with the
observations between them; a chain of thought is one round that finishes, a direct answer a round without a thought.
Which of its tokens the loss falls on is a `Loss`; the ids are the same for all of them.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from fireact.errors import DataError, FormatError
from fireact.jsonl import read_jsonl
from fireact.process import guard
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

if TYPE_CHECKING:
    from rich.text import Text

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


def main(argv: Sequence[str]) -> int:
    """Show the masks of a file of trajectories, and return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m fireact.examples", description="Show what is trained on.")
    parser.add_argument("trajectories", type=Path, help="a trajectories.jsonl, train.jsonl, ...")
    parser.add_argument("tokenizer", type=Path, help="the folder of a model with its tokenizer")
    parser.add_argument("--loss", choices=get_args(Loss), default="assistant")
    parser.add_argument("--n", type=int, default=3, help="how many to show; the summary is always of all")
    given = parser.parse_args(argv)
    return guard(lambda: _show(given.trajectories, given.tokenizer, given.loss, given.n))


def _show(file: Path, folder: Path, loss: Loss, n: int) -> None:
    from rich.console import Console

    from fireact.model.local.weights import load_tokenizer

    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name that of a model with its tokenizer, e.g. in outputs/store/home/"
                        "weights, where converted ones are kept")
    tokenizer = load_tokenizer(folder)
    examples = [example(tokenizer, record, loss) for record in read_jsonl(file, Trajectory)]
    if not examples:
        raise DataError(f"{file} holds no trajectories; expected at least one")
    console = Console(highlight=False, soft_wrap=True)
    for one in examples[: max(n, 0)]:
        console.print(f"{one.id}: {sum(one.mask)} of {len(one.ids)} tokens are trained on", style="bold", markup=False)
        console.print(_marked(tokenizer, one, colour=console.color_system is not None))
    tokens, trained = sum(len(one.ids) for one in examples), sum(sum(one.mask) for one in examples)
    longest = max(examples, key=lambda one: len(one.ids))
    console.print(f"{len(examples):,} examples, {tokens:,} tokens, {trained / tokens:.1%} trained on (loss={loss}); "
                  f"the longest, {longest.id}, has {len(longest.ids):,}", markup=False)


def _marked(tokenizer: Any, one: Example, *, colour: bool) -> "Text":
    """The text of an example, with what is trained on set off."""
    from rich.text import Text

    text = Text()
    for counts, run in groupby(zip(one.ids, one.mask, strict=True), key=lambda pair: pair[1]):
        # A web page may hold terminal commands; they are shown, not obeyed.
        words = tokenizer.decode([token for token, _ in run]).replace("\x1b", "\N{SYMBOL FOR ESCAPE}")
        text.append(words if colour or not counts else f"«{words}»", style="black on green" if counts else None)
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
