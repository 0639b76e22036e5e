"""Chain of thought: one reply that thinks, then answers, without a tool (Wei et al., 2022, arXiv 2201.11903)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from fireact.errors import FormatError
from fireact.requests import Ask, Play, Refuse
from fireact.strategy.grammar import parse_answer
from fireact.strategy.prompts import preamble
from fireact.toolspec import ToolSpec
from fireact.types import Message


@dataclass(kw_only=True)
class Cot:
    """Think, then answer."""

    uses_tool: ClassVar[bool] = False

    prompt: str | None = None
    """The few-shot text: a name in strategy/prompts/cot/, or the path of a file of your own; None: the dataset's."""
    attempts: Annotated[int, Field(ge=1)] = 3
    """Replies before an answer that cannot be read ends the episode."""

    def play(self, question: str, *, few_shot: bool, tools: tuple[ToolSpec, ...] = ()) -> Play:
        """See `protocols.Strategy`."""
        shots = preamble("cot", self.prompt) if few_shot else []
        talk = [*shots, Message("user", question)]
        for _ in range(self.attempts):
            text = yield Ask(tuple(talk), ("\nQuestion:",), "Thought:" if few_shot else "", "cot", len(shots))
            try:
                return parse_answer(text)[1]
            except FormatError as error:
                talk += [Message("assistant", text), Message("user", (yield Refuse(str(error))))]
        return None
