"""Plan and execute: a plan of numbered steps, one action a step, and a new plan where an observation wants one
(after plan-and-solve, Wang et al., 2023, arXiv 2305.04091).

    model: Plan:
           1. Find the country whose capital is Thimphu.
           2. Find the currency of that country.
    world: Observation: Step 1 of 2: Find the country whose capital is Thimphu.
    model: Action: search[capital Thimphu]
    world: Observation: The capital of Bhutan is Thimphu.
           Step 2 of 2: Find the currency of that country.
    model: Thought: The capital of Bhutan is Thimphu.
           Action: search[currency of Bhutan]
    world: Observation: The currency of Bhutan is the ngultrum.
           All steps are done. Finish with the answer, or write another plan.
    model: Action: finish[ngultrum]

In place of an action the model may write another plan, which begins at its first step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fireact.errors import FormatError
from fireact.options import ADDED, Count
from fireact.requests import Act, Play, Refuse, Tell
from fireact.strategy.calling import FINISH, PLAN, plan_steps, read_one
from fireact.strategy.grammar import ParsedStep
from fireact.strategy.prompts import few_shots
from fireact.strategy.react import reply
from fireact.strategy.turns import Event, Wire, heard, said
from fireact.toolspec import ToolSpec
from fireact.types import Message, Refusal

_CALLED = ("Answer the question by a plan. First call plan with its steps, one fact a step. Then call one function for "
           "each step that you are told. Where an observation contradicts the plan, call plan again. End by calling "
           "finish with the answer, which is as short as possible.")


@dataclass(kw_only=True)
class PlanExecute:
    """First a plan, then its steps."""

    prompt: str | None = None
    """The few-shot text: a name in strategy/prompts/plan/, or the path of a file of your own; None: the dataset's."""
    max_rounds: Count = 15
    """Replies of the model, its plans among them."""
    max_plans: Count = 3
    """How many plans it may write in an episode."""
    wire: Annotated[Wire, ADDED] = "text"
    """text: actions are words. tools: they are functions that the model calls."""

    def play(self, question: str, *, few_shot: bool, tools: tuple[ToolSpec, ...] = ()) -> Play:
        """See `protocols.Strategy`."""
        offered = (*tools, PLAN, FINISH) if self.wire == "tools" else ()
        talk = few_shots("plan", self.prompt, tools, offered, _CALLED) if few_shot else []
        shots, plan = len(talk), _Plan(self.max_plans)
        talk = [*talk, Message("user", question)]
        for _ in range(self.max_rounds):
            prime = ("Thought:" if plan.steps else "Plan:") if few_shot else ""
            got = yield from reply(talk, prime, shots, "plan", offered)
            try:
                step = read_one(got, offered)
                plan.check(step)
            except FormatError as error:
                events = [Event((yield Refuse(str(error))))]
            else:
                if step.name == FINISH.name:
                    return step.argument
                events = []
                if step.name == PLAN.name:
                    plan.begin(plan_steps(step))
                else:
                    seen = yield Act(step.name, step.argument)
                    events = [Event(seen)]
                    plan.done += not isinstance(seen, Refusal)
                events.append(Event((yield Tell(plan.next()))))
            shown = said(got, "plan")
            talk += [shown, *heard(events, shown)]
        return None


@dataclass
class _Plan:
    """Where an episode's plan stands."""

    most: int
    steps: Sequence[str] = ()
    done: int = 0
    written: int = 0

    def check(self, step: ParsedStep) -> None:
        """Raise FormatError for an action that comes too early, and for a plan too many."""
        if step.name == PLAN.name:
            if self.written == self.most:
                raise FormatError(f"{self.most} plans were written, and no more are possible; act, or finish")
            if not plan_steps(step):
                raise FormatError("the plan has no steps; give at least one, e.g. Find the capital of France.")
        elif not self.steps:
            raise FormatError("there is no plan yet; write Plan: and under it numbered steps, "
                              "e.g. 1. Find the capital of France.")

    def begin(self, steps: Sequence[str]) -> None:
        self.steps, self.done, self.written = steps, 0, self.written + 1

    def next(self) -> str:
        if self.done < len(self.steps):
            return f"Step {self.done + 1} of {len(self.steps)}: {self.steps[self.done]}"
        return "All steps are done. Finish with the answer, or write another plan."
