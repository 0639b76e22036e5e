"""Where an episode of the scripted expert stands, as far as its messages tell: it keeps no memory of its own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fireact.errors import FormatError
from fireact.plan import Hop, Plan, fill, read
from fireact.strategy.grammar import OBSERVATION, parse_step
from fireact.strategy.turns import without_skills
from fireact.types import Message

_VAGUE = ("countries of the world", "list of facts", "important information", "world geography", "general overview",
          "history", "places", "names", "answers", "the question", "encyclopedia")
_WORD = re.compile(r"[^\W\d_]{5,}")


@dataclass
class State:
    """Where an episode stands, as far as its messages tell."""

    plan: Plan
    question: str
    values: list[str] = field(default_factory=list)
    round: int = 0
    failures: int = 0
    """Right queries in a row that did not show the wanted value."""
    strayed: bool = False
    """Whether the last search was not one of the plan's."""
    reflected: bool = False
    last_action: str | None = None

    @property
    def hop(self) -> Hop | None:
        return self.plan.hops[len(self.values)] if len(self.values) < len(self.plan.hops) else None

    @property
    def query(self) -> str:
        """The plan's next query; where it failed, the question itself is tried, or added to the name of a source."""
        if self.hop is None:
            return self.question
        query = fill(self.hop.query, self.values)
        if not self.failures:
            return query
        return f"{query}: {self.question}" if self.plan.rule == "given" else self.question

    @property
    def known(self) -> list[str]:
        """The values read so far, and words in the place of the others."""
        return [*self.values, *["that country"] * len(self.plan.hops)]

    @property
    def vague(self) -> Sequence[str]:
        """Queries that lead nowhere: a general one, or a word of the question, torn from what it is about."""
        words = [word for word in _WORD.findall(self.question) if word.islower()]
        return words if self.plan.rule == "given" and words else _VAGUE


def replay(turns: Sequence[Message], plan: Plan) -> State:
    """Read from the turns, in words and from the question on, which hops are done."""
    state = State(plan, without_skills(turns[0].content))
    for said, seen in zip(turns[1::2], turns[2::2], strict=False):
        state.round += 1
        state.reflected |= "reflection" in said.content
        try:
            step = parse_step(said.content)
        except FormatError:
            continue
        if step.name not in ("search", "finish"):
            continue
        state.last_action = step.argument
        state.strayed = step.argument != state.query
        if state.hop is None or state.strayed:
            continue
        value = read(state.hop, state.values, seen.content.removeprefix(OBSERVATION))
        if value is None:
            state.failures += 1
        else:
            state.failures = 0
            state.values.append(value)
    return state


