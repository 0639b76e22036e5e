"""Replies given by hand, for tests and demonstrations: nothing is computed, nothing is sent."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from fireact.requests import Ask
from fireact.strategy.calling import to_calls
from fireact.types import Completion

_Replies = Annotated[list[str], Field(min_length=1)]


@dataclass(kw_only=True)
class Scripted:
    """Says its replies in order in each conversation; the last is repeated."""

    instant: ClassVar[bool] = True
    """Nothing is worth keeping on the tape."""

    replies: _Replies = field(default_factory=lambda: ["Thought: I do not know.\nAction: finish[unknown]"])
    by_question: dict[str, _Replies] = field(default_factory=dict)
    """Replies for the question with exactly this text, in place of `replies`."""
    name: str = "scripted"

    async def complete(self, ask: Ask) -> Completion:
        """See `protocols.Model`."""
        question, *rest = ask.messages[ask.shots:]
        replies = self.by_question.get(question.content, self.replies)
        number = sum(message.role == "assistant" for message in rest)
        text = replies[min(number, len(replies) - 1)]
        said, calls = to_calls(text, ask.tools) if ask.tools else (text, ())
        return Completion(said, completion_tokens=len(text.split()), calls=calls)

    async def close(self) -> None:
        """Nothing is held."""
