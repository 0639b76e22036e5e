"""The expert's replies where a plan comes first: it plans its hops, and plans anew where a search did not help."""

import random

from fireact.model.oracle.state import State
from fireact.model.oracle.steps import step
from fireact.plan import Hop, fill
from fireact.strategy.plans import format_plan, has_plan


def reply(state: State, said: list[str], dice: random.Random, *, mistakes: float, lost: bool) -> str:
    """The next reply, a plan or a step; `said` are the expert's own replies so far."""
    planned = [has_plan(text) for text in said]
    astray = bool(state.strayed or state.failures) and state.failures < 2
    if any(planned) and not (astray and not planned[-1] and sum(planned) < 3):
        return step(state, dice, "", mistakes=mistakes, lost=lost, ahead=False)
    hops = state.plan.hops[len(state.values):]
    steps = [_told(hop, state) for hop in hops] or ["Compare what was found."]
    if dice.random() < mistakes:
        # A plan without steps breaks the form; one that forgets its last step is put right later.
        steps = [] if dice.random() < 0.5 else steps[:-1]
    return format_plan("That did not help." if any(planned) else "", steps)


def _told(hop: Hop, state: State) -> str:
    """A hop as a step of a plan. A source that the question does not name is not told ahead."""
    if state.plan.rule == "given" and hop.query not in state.question and hop is not state.hop:
        return "Read about what that leads to."
    told = fill(hop.thought, state.known).removesuffix(".").removeprefix("I need ").removeprefix("to ")
    return f"{told[0].upper()}{told[1:]}." if told.startswith(("find", "read")) else f"Find {told}."
