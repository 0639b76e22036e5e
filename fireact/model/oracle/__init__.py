"""The scripted expert: the default teacher, for experiments without a key, a network or a GPU.

It follows a question's gold plan through the real search tool and reads each value from what the tool returned; a plan
holds no value, so the expert can only find an answer, never know it. (Real benchmarks do not say how an answer follows:
their plans hold it, and the expert tells it once it was shown a supporting sentence of every gold paragraph.) It errs
at a seeded rate in the ways models do (a vague query, a broken format, a repeated action, a hasty finish, losing its
way), so that curation has something to filter and Reflexion something to reflect on.
"""

import random
from dataclasses import dataclass
from typing import Annotated, ClassVar

from fireact.errors import ConfigError, ToolError
from fireact.model.oracle import plans, programs, values
from fireact.model.oracle.conclusion import UNKNOWN, conclusion
from fireact.model.oracle.state import replay
from fireact.model.oracle.steps import hasty, step
from fireact.options import RUNTIME, Share
from fireact.plan import Plan, fill, read
from fireact.protocols import Tool
from fireact.requests import Act, Ask
from fireact.strategy.calling import in_words, to_calls
from fireact.types import Completion, Episode


@dataclass(kw_only=True)
class Oracle:
    """Plays gold plans."""

    instant: ClassVar[bool] = True
    """Nothing is worth keeping on the tape."""
    revision: ClassVar[int] = 2
    """Raised when the same options would no longer give the same replies."""

    tool: Annotated[Tool, RUNTIME]
    """The run's search tool, which the expert consults where a strategy gives it none."""
    mistakes: Share = 0.12
    """The chance of a mistake at each step."""
    lost: Share = 0.04
    """The chance that it loses its way in an episode, until a reflection puts it right."""
    name: str = "oracle"

    async def complete(self, ask: Ask) -> Completion:
        """See `protocols.Model`. Raises ConfigError where the question has no gold plan."""
        if ask.episode is None or ask.episode.plan is None or not ask.episode.plan.hops:
            raise ConfigError("the oracle follows gold plans, and this dataset's questions have none; "
                              "choose another teacher, e.g. model@teacher=api")
        text = await self._reply(ask, ask.episode)
        text, calls = to_calls(text, ask.tools) if ask.tools else (text, ())
        return Completion(text, calls=calls)

    async def close(self) -> None:
        """Nothing is held."""

    async def _reply(self, ask: Ask, episode: Episode) -> str:
        assert episode.plan is not None
        dice = random.Random(f"{episode.seed}:{episode.question_id}:{ask.form}:{_rounds(ask)}")
        lost = random.Random(f"{episode.seed}:{episode.question_id}:lost").random() < self.lost
        if ask.form in ("cot", "direct"):
            return await self._answer(episode.plan, dice, ask.form)
        if ask.form == "value":
            return values.reply(ask, episode.plan, dice, self.mistakes)
        turns = in_words(ask.messages[ask.shots:], ask.tools)
        state = replay(turns, episode.plan)
        if ask.form == "plan":
            said = [turn.content for turn in turns if turn.role == "assistant"]
            return plans.reply(state, said, dice, mistakes=self.mistakes, lost=lost)
        if ask.form in ("program", "skills"):
            return programs.reply(state, turns, dice, mistakes=self.mistakes, skills=ask.form == "skills")
        return step(state, dice, ask.prime, mistakes=self.mistakes, lost=lost)

    async def _found(self, query: str) -> str:
        try:
            return (await self.tool(Act(self.tool.actions[0], query))).text
        except ToolError as refusal:
            return str(refusal)

    async def _answer(self, plan: Plan, dice: random.Random, form: str) -> str:
        """Answer without the strategy's tool: the expert looks things up itself, and sometimes remembers wrongly."""
        values: list[str] = []
        for hop in plan.hops:
            value = read(hop, values, await self._found(fill(hop.query, values)))
            if value is None or dice.random() < self.mistakes:
                break
            values.append(value)
        last, answer = "I am not sure.", hasty(plan, values) if values else UNKNOWN
        if len(values) == len(plan.hops):
            last, answer = conclusion(plan, values)
        if form == "direct":
            return answer
        thought = " ".join([*(fill(hop.found, values) for hop in plan.hops[: len(values)]), last])
        return f"Thought: {thought}\nAnswer: {answer}"


def _rounds(ask: Ask) -> int:
    """How many of the turns after the question are over."""
    return len(ask.messages[ask.shots + 1:]) // 2
