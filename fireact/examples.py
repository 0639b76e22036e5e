"""From a trajectory to what a student is trained on: conversation, token ids and loss mask.

`python -m fireact.viewer` shows the result.

Every method becomes FireAct's one format (its §3): the question, then thoughts and actions by the assistant with the
observations between them; a chain of thought is one round that finishes, a direct answer a round without a thought.
Which of its tokens the loss falls on is a `Loss`; the ids are the same for all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fireact.episode import on_way
from fireact.errors import FormatError
from fireact.render import Piece, cut, knows_characters, mask, prepared, since
from fireact.strategy.grammar import ParsedStep, format_step, parse_answer
from fireact.strategy.tagged import calls_begin
from fireact.strategy.turns import Event, heard, said, with_skills
from fireact.toolspec import ToolSpec
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
ROLES = {"q": "question", "t": "thought", "a": "action", "f": "final action", "e": "end of turn", "o": "observation",
         "r": "refused reply"}
"""What a token is part of, by the letter in `Example.roles`. The template's own words count to question and
observation."""
_ACTION, _THOUGHT = "Action: ", "Thought: "


@dataclass(frozen=True)
class Masking:
    """What of a trajectory is learnt."""

    loss: Loss = "assistant"
    step_weights: Sequence[float] = (1.0,)
    """The weight of the model's first turn in the loss, of its second, and so on; the last one is that of all further
    turns."""
    final_weight: float = 1.0
    """By how much more the last turn that is learnt, the answer, weighs."""
    end_of_turn: bool = True
    """Whether what ends a turn is learnt with it: without it a student does not learn to stop."""

    def weights(self, turns: Sequence[int]) -> dict[int, float]:
        """The weight of each of the `turns` that are learnt, in their order."""
        given = self.step_weights
        found = {turn: given[min(number, len(given) - 1)] for number, turn in enumerate(turns)}
        if turns:
            found[turns[-1]] *= self.final_weight
        return found


def conversation(trajectory: Trajectory) -> tuple[list[Message], list[int]]:
    """Return the messages of a trajectory without few-shot examples, and the indices of those the model is to learn."""
    messages = [Message("user", trajectory.question.text)]
    if trajectory.steps and trajectory.steps[0].form in ("cot", "direct"):
        return [*messages, Message("assistant", _one_round(trajectory))], [1] if trajectory.answer else []
    learnt: list[int] = []
    events: list[Event] = []
    for step in chosen_path(trajectory.steps):
        if step.kind == "ask":
            if events:
                messages += heard(events, messages[-1])
            elif messages[-1].role == "assistant":
                # The model was led on from a reply without an action; the new reply holds the old one.
                messages.pop()
                learnt.pop()
            events = []
            learnt.append(len(messages))
            messages.append(said(step.reply, step.form or "react"))
        elif step.kind == "recall":
            messages[0] = Message("user", with_skills(trajectory.question.text, step.text))
        elif len(messages) > 1 and step.kind != "learn":
            if step.kind == "refuse" and learnt and learnt[-1] == len(messages) - 1:
                learnt.pop()
            events.append(Event(step.text, step.name))
    return messages, learnt


def wording(trajectory: Trajectory) -> str:
    """All that is said and called in a trajectory's conversation: who have the same teach the same."""
    messages = conversation(trajectory)[0]
    calls = [message.calls for message in messages]
    return f"{messages!r}{calls if any(calls) else ''}"


def example(tokenizer: Any, trajectory: Trajectory, masking: Masking | Loss = "assistant") -> Example:
    """Tokenise a trajectory. Its ids begin with exactly those of the prompts that the model sees when it plays.

    An answer that never came is learnt in no way: a trajectory without anything to learn has a mask of zeros.
    Raises ConfigError for a tokenizer that cannot do it, see `render`.
    """
    return example_of(tokenizer, *conversation(trajectory), name_of(trajectory), masking, trajectory.tools)


def name_of(trajectory: Trajectory) -> str:
    """The name of a trajectory's example: dataset/method/question, and the attempt where it is not the first."""
    attempt = str(trajectory.attempt) if trajectory.attempt else ""
    return "/".join(part for part in (trajectory.dataset, trajectory.method, trajectory.id, attempt) if part)


def example_of(tokenizer: Any, messages: Sequence[Message], learnt: Sequence[int], name: str,
               masking: Masking | Loss = "assistant", tools: Sequence[ToolSpec] = ()) -> Example:
    """Tokenise a conversation of which the turns `learnt` may be learnt; see `example`."""
    masking = masking if isinstance(masking, Masking) else Masking(masking)
    numbers = [turns_of_model(messages).index(turn) for turn in learnt]
    messages, tools = prepared(tokenizer, messages, tools)
    learnt = [turns_of_model(messages)[number] for number in numbers]
    pieces = cut(tokenizer, messages, tools)
    trained = _trained(messages, learnt, masking.loss)
    weights = mask(tokenizer, messages, pieces, trained, masking.weights(learnt), ends=masking.end_of_turn)
    roles = "".join(_roles(tokenizer, messages, pieces, learnt))
    if masking.loss == "all_output" and any(weights):
        inside = [at for at, weight in enumerate(weights) if weight]
        for at in range(inside[0], inside[-1]):
            # What the model wrote keeps its weight, which may be 0.
            weights[at] = 1 if roles[at] in "or" else weights[at]
    ids = tuple(token for piece in pieces for token in piece.ids)
    return Example(name, ids, tuple(weights), roles)


def _roles(tokenizer: Any, messages: Sequence[Message], pieces: Sequence[Piece], learnt: Sequence[int]) -> list[str]:
    """The role of each token, one letter a token; where no characters are known, a thought counts to its action."""
    roles, said, exact = [], False, knows_characters(tokenizer)
    for piece in pieces:
        size, turn = len(piece.ids), piece.turn
        said = said or turn is not None
        if turn is None:
            roles.append(("o" if said else "q") * size)
        elif turn not in learnt:
            roles.append("r" * size)
        elif piece.closing:
            roles.append("e" * piece.ends + "o" * (size - piece.ends))
        else:
            message, action = messages[turn], "f" if turn == learnt[-1] else "a"
            start = _action_start(message) if exact else 0
            acts = [0] * size if start is None else since(tokenizer, message, piece, start)
            roles.append("".join(action if act else "t" for act in acts))
    return roles


def _trained(messages: Sequence[Message], learnt: Sequence[int], loss: Loss) -> Mapping[int, int]:
    """The turns that are trained on, each with the character of its text where that begins."""
    if loss == "actions":
        starts = {turn: _action_start(messages[turn]) for turn in learnt}
        return {turn: start for turn, start in starts.items() if start is not None}
    if loss == "all_output" and learnt:
        return {turn: 0 for turn, message in enumerate(messages) if message.role == "assistant"}
    return dict.fromkeys(learnt[-1:] if loss == "final" else learnt, 0)


def turns_of_model(messages: Sequence[Message]) -> list[int]:
    """The indices of the model's own turns."""
    return [turn for turn, message in enumerate(messages) if message.role == "assistant"]


def _action_start(message: Message) -> int | None:
    """Where the action begins, None where there is none: in the canonical form it follows a thought of one line."""
    text = message.content
    if message.calls:
        return len(text)
    called = calls_begin(text)
    if called is not None:
        return called
    if not text.startswith(_THOUGHT):
        return 0
    # A plan, and a program, begin on the line behind the thought.
    return (text.find(f"\n{_ACTION}") + 1) or (text.find("\n") + 1) or None


def chosen_path(steps: Sequence[Step]) -> list[Step]:
    """The steps that a student learns: all, or of a search those on the way to the node that was chosen."""
    chosen = next((step.node for step in reversed(steps) if step.kind == "choose"), None)
    if chosen is None:
        return list(steps)
    return [step for step in steps if step.kind != "choose" and step.form != "value" and on_way(step.node, chosen)]


def _one_round(trajectory: Trajectory) -> str:
    last = next(step for step in reversed(trajectory.steps) if step.kind == "ask")
    thought = ""
    if last.form == "cot":
        try:
            thought = parse_answer(last.text)[0]
        except FormatError:
            thought = ""
    return format_step(ParsedStep(thought, "finish", trajectory.answer or ""))
