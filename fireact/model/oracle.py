"""The scripted expert: the default teacher, for experiments without a key, a network or a GPU.

It follows a question's gold plan through the real search tool and reads each value from what the tool returned; a plan
holds no value, so the expert can only find an answer, never know it. (Real benchmarks do not say how an answer follows:
their plans hold it, and the expert tells it once it was shown a supporting sentence of every gold paragraph.) It errs
at a seeded rate in the ways models do (a vague query, a broken format, a repeated action, a hasty finish, losing its
way), so that curation has something to filter and Reflexion something to reflect on.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from fireact.errors import ConfigError, FormatError, ToolError
from fireact.options import RUNTIME, Share
from fireact.plan import Hop, Plan, conclude, fill, magnitude, read
from fireact.protocols import Tool
from fireact.strategy.grammar import OBSERVATION, ParsedStep, format_step, parse_step
from fireact.types import Act, Ask, Completion

UNKNOWN = "unknown"
_LOST = ("I will look for something about this.", "I will try a broader search.", "Maybe another search will help.",
         "I am still looking.", "I will try once more.")
_VAGUE = ("countries of the world", "list of facts", "important information", "world geography", "general overview",
          "history", "places", "names", "answers", "the question", "encyclopedia")
_WORD = re.compile(r"[^\W\d_]{5,}")


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
        state = _replay(ask, ask.episode.plan)
        dice = random.Random(f"{ask.episode.seed}:{ask.episode.question_id}:{ask.form}:{state.round}")
        if ask.form == "react":
            lost = random.Random(f"{ask.episode.seed}:{ask.episode.question_id}:lost").random() < self.lost
            text = self._step(state, dice, lost, ask.prime)
        else:
            text = await self._answer(ask.episode.plan, dice, ask.form)
        return Completion(text)

    async def close(self) -> None:
        """Nothing is held."""

    def _step(self, state: "_State", dice: random.Random, lost: bool, prime: str) -> str:
        reflects = "reflection" in prime
        if lost and not (reflects or state.reflected):
            vague = state.vague[state.round % len(state.vague)]
            return format_step(ParsedStep(_LOST[state.round % len(_LOST)], "search", vague))
        if "wrap up" in prime or state.failures > 1:
            return format_step(ParsedStep("I could not find the answer.", "finish", UNKNOWN))
        if dice.random() < self.mistakes and not reflects:
            return self._mistake(state, dice)
        right = format_step(_right_step(state))
        if reflects:
            right = f"I searched too broadly. I should look for one fact at a time. {right.removeprefix('Thought: ')}"
        return right

    def _mistake(self, state: "_State", dice: random.Random) -> str:
        step = _right_step(state)
        slips = [f"Thought: {step.thought}\nAction: {step.name} {step.argument}",
                 format_step(ParsedStep(step.thought, "search", dice.choice(state.vague)))]
        if state.last_action:
            slips.append(format_step(ParsedStep("I will search again.", "search", state.last_action)))
        if state.values:
            slips.append(format_step(ParsedStep("I know enough.", "finish", _hasty(state.plan, state.values))))
        return dice.choice(slips)

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
        last, answer = "I am not sure.", _hasty(plan, values) if values else UNKNOWN
        if len(values) == len(plan.hops):
            last, answer = conclusion(plan, values)
        if form == "direct":
            return answer
        thought = " ".join([*(fill(hop.found, values) for hop in plan.hops[: len(values)]), last])
        return f"Thought: {thought}\nAnswer: {answer}"


@dataclass
class _State:
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
    def vague(self) -> Sequence[str]:
        """Queries that lead nowhere: a general one, or a word of the question, torn from what it is about."""
        words = [word for word in _WORD.findall(self.question) if word.islower()]
        return words if self.plan.rule == "given" and words else _VAGUE


def _replay(ask: Ask, plan: Plan) -> _State:
    """Read from the messages which hops are done: the expert keeps no memory of its own."""
    turns = ask.messages[ask.shots:]
    state = _State(plan, turns[0].content)
    for said, seen in zip(turns[1::2], turns[2::2], strict=False):
        state.round += 1
        state.reflected |= "reflection" in said.content
        try:
            step = parse_step(said.content)
        except FormatError:
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


def _right_step(state: _State) -> ParsedStep:
    learnt = fill(state.plan.hops[len(state.values) - 1].found, state.values) if state.values else ""
    if state.hop is None:
        thought, answer = conclusion(state.plan, state.values)
        return ParsedStep(f"{learnt} {thought}", "finish", answer)
    if state.strayed or state.failures:
        learnt = "That did not help."
    thought = fill(state.hop.thought, state.values).removesuffix(".")
    return ParsedStep(f"{learnt} {thought}{_ahead(state)}.".strip(), "search", state.query)


def _hasty(plan: Plan, values: list[str]) -> str:
    """What answers a question too early: the last value, or where values are sentences what the last is about."""
    return plan.hops[len(values) - 1].query.partition(" (")[0] if plan.rule == "given" else values[-1]


def _ahead(state: _State) -> str:
    """What is to be found after this: a student that has said so forgets less of the question.

    Of the sources of a `given` answer only those that the question itself names are spoken of.
    """
    later = state.plan.hops[len(state.values) + 1:]
    if state.plan.rule == "given":
        return "".join(f", then about {hop.query}" for hop in later if hop.query in state.question)
    known = [*state.values, *["that country"] * len(state.plan.hops)]
    return "".join(f", then the {fill(hop.query, known)}" for hop in later)


def conclusion(plan: Plan, values: list[str]) -> tuple[str, str]:
    """Say in words how the answer follows from the values, and return it too: `unknown` where they do not compare."""
    try:
        reason, answer = _reason(plan, values), conclude(plan, values)
    except ValueError:
        return "These cannot be compared.", UNKNOWN
    told = f"the answer is {answer.removesuffix('.')}."
    return f"{reason}, so {told}" if reason else f"So {told}", answer


def _reason(plan: Plan, values: list[str]) -> str:
    if plan.rule in ("last", "given"):
        return ""
    if plan.rule in ("largest", "smallest"):
        compared = _short(values[-len(plan.choices):])
        listed = ". ".join(f"{choice}: {value}" for choice, value in zip(plan.choices, compared, strict=True))
        best = compared[plan.choices.index(conclude(plan, values))]
        return f"{listed}. The {_SUPERLATIVES[_is_date(values[-1]), plan.rule]} is {best}"
    first, second = values[-2:]
    if plan.rule == "same":
        return f"{first} is {'' if first == second else 'not '}the same as {second}"
    holds = "" if conclude(plan, values) == "yes" else "not "
    comparative = _COMPARATIVES[_is_date(second), plan.rule]
    first, second = _short([first, second])
    return f"{first} is {holds}{comparative} {second}"


_SUPERLATIVES = {(False, "largest"): "largest", (False, "smallest"): "smallest",
                 (True, "largest"): "latest", (True, "smallest"): "earliest"}
_COMPARATIVES = {(False, "larger"): "more than", (False, "smaller"): "less than",
                 (True, "larger"): "after", (True, "smaller"): "before"}


def _is_date(value: str) -> bool:
    """Whether a value is '26 January 1950' rather than a number."""
    magnitude(value)
    return " " in value and value[-4:].isdigit()


def _short(values: list[str]) -> list[str]:
    """Dates by their years, where these tell them apart."""
    years = [value[-4:] for value in values]
    return years if all(map(_is_date, values)) and len(set(years)) == len(values) else values
