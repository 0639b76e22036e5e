"""ReAct: think, act, observe, until the model finishes (Yao et al., 2023, arXiv 2210.03629).

    model: Thought: I need the capital of France.
           Action: search[capital of France]
    world: Observation: The capital of France is Paris.
    model: Thought: The capital is Paris.
           Action: finish[Paris]
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from fireact.errors import FormatError
from fireact.strategy.grammar import (
    STOPS,
    cut_at_observation,
    format_observation,
    format_step,
    has_action,
    parse_step,
)
from fireact.strategy.prompts import preamble
from fireact.types import Act, Ask, Message, Play, Refuse


@dataclass(kw_only=True)
class React:
    """The loop of the paper."""

    prompt: str | None = None
    """The few-shot text: a name in strategy/prompts/react/, or the path of a file of your own; None: the dataset's."""
    max_rounds: Annotated[int, Field(ge=1)] = 11
    """Replies of the model; FireAct's generation.py has 11."""

    def play(self, question: str, *, few_shot: bool) -> Play:
        """See `protocols.Strategy`."""
        talk = preamble("react", self.prompt) if few_shot else []
        return rounds(question, talk, {}, self.max_rounds, "Thought:" if few_shot else "")


def rounds(question: str, talk: list[Message], reflections: Mapping[int, str], max_rounds: int, prime: str) -> Play:
    """Play ReAct's rounds after the messages in `talk`.

    `reflections` maps a round, counted from 1, to a sentence with which its thought is made to begin.
    """
    shots = len(talk)
    talk = [*talk, Message("user", question)]
    for number in range(1, max_rounds + 1):
        reflection = reflections.get(number)
        text = yield Ask(tuple(talk), STOPS, f"Thought: {reflection}" if reflection else prime, shots=shots)
        if prime and not has_action(text):
            # As in the authors' notebook: a model that stops after its thought is led on to the action.
            thought = cut_at_observation(text).rstrip()
            text = yield Ask(tuple(talk), STOPS, f"{thought}\nAction:", shots=shots)
        try:
            step = parse_step(text)
        except FormatError as error:
            said, seen = cut_at_observation(text), (yield Refuse(str(error)))
        else:
            if step.name == "finish":
                return step.argument
            said, seen = format_step(step), (yield Act(step.name, step.argument))
        talk += [Message("assistant", said), Message("user", format_observation(seen))]
    return None
