"""Direct answering (the paper's IO): one reply, which is the answer."""

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
class Direct:
    """Answer at once."""

    uses_tool: ClassVar[bool] = False

    prompt: str | None = None
    """The few-shot text: a name in strategy/prompts/direct/, or the path of a file of your own; None: the dataset's."""
    attempts: Annotated[int, Field(ge=1)] = 3
    """Replies before an empty answer ends the episode."""

    def play(self, question: str, *, few_shot: bool, tools: tuple[ToolSpec, ...] = ()) -> Play:
        """See `protocols.Strategy`."""
        shots = preamble("direct", self.prompt) if few_shot else []
        talk = [*shots, Message("user", question)]
        for _ in range(self.attempts):
            text = yield Ask(tuple(talk), ("\nQuestion:",), "Answer:" if few_shot else "", "direct", len(shots))
            answer = read_answer(text)
            if answer:
                return answer
            refusal = yield Refuse("the answer is empty; write e.g. Paris")
            talk += [Message("assistant", text), Message("user", refusal)]
        return None


def read_answer(text: str) -> str:
    """Read the answer of a reply with or without a label, '' where there is none."""
    try:
        return parse_answer(text)[1]
    except FormatError:
        return text.strip().split("\n")[0].removeprefix("Answer:").strip()
