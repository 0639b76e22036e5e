"""Reflexion as FireAct does it: ReAct whose thought begins with a reflection at rounds 6 and 10.

There is no second trial and no evaluator; the sentences are those of FireAct's released data. (Its paper describes
Shinn et al., 2023, arXiv 2303.11366; its data show this.)
"""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from fireact.requests import Play
from fireact.strategy.prompts import preamble
from fireact.strategy.react import rounds
from fireact.toolspec import ToolSpec

REFLECTIONS = {
    6: "Now that I haven't solved the task within 5 steps, let me do a reflection and think about how to improve "
       "my strategy.",
    10: "Now that I haven't solved the task within 9 steps, I need to wrap up and finish this task in the next step.",
}


@dataclass(kw_only=True)
class Reflexion:
    """ReAct with reflections."""

    prompt: str | None = None
    """The few-shot text: a name in strategy/prompts/react/, or the path of a file of your own; None: the dataset's."""
    max_rounds: Annotated[int, Field(ge=1)] = 11
    reflections: dict[int, str] = field(default_factory=lambda: dict(REFLECTIONS))
    """The sentence with which the thought of a round begins, by round, counted from 1."""

    def play(self, question: str, *, few_shot: bool, tools: tuple[ToolSpec, ...] = ()) -> Play:
        """See `protocols.Strategy`."""
        talk = preamble("react", self.prompt, tools) if few_shot else []
        return rounds(question, talk, self.reflections, self.max_rounds, "Thought:" if few_shot else "")
