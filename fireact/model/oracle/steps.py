"""The expert's steps in the form of ReAct: the right one, and the mistakes that models make."""

import random

from fireact.model.oracle.conclusion import UNKNOWN, conclusion
from fireact.model.oracle.state import State
from fireact.plan import Plan, fill
from fireact.strategy.grammar import ParsedStep, format_step

_LOST = ("I will look for something about this.", "I will try a broader search.", "Maybe another search will help.",
         "I am still looking.", "I will try once more.")


def step(state: State, dice: random.Random, prime: str, *, mistakes: float, lost: bool, ahead: bool = True) -> str:
    """The next step as a model would write it; `ahead`: whether its thought tells what is to be found after it."""
    reflects = "reflection" in prime
    if lost and not (reflects or state.reflected):
        vague = state.vague[state.round % len(state.vague)]
        return format_step(ParsedStep(_LOST[state.round % len(_LOST)], "search", vague))
    if "wrap up" in prime or state.failures > 1:
        return format_step(ParsedStep("I could not find the answer.", "finish", UNKNOWN))
    if dice.random() < mistakes and not reflects:
        return _mistake(state, dice, ahead)
    right = format_step(right_step(state, ahead))
    if reflects:
        right = f"I searched too broadly. I should look for one fact at a time. {right.removeprefix('Thought: ')}"
    return right


def right_step(state: State, ahead: bool = True) -> ParsedStep:
    """The step that the plan wants."""
    learnt = fill(state.plan.hops[len(state.values) - 1].found, state.values) if state.values else ""
    if state.hop is None:
        thought, answer = conclusion(state.plan, state.values)
        return ParsedStep(f"{learnt} {thought}", "finish", answer)
    if state.strayed or state.failures:
        learnt = "That did not help."
    thought = fill(state.hop.thought, state.values).removesuffix(".")
    return ParsedStep(f"{learnt} {thought}{_ahead(state) if ahead else ''}.".strip(), "search", state.query)


def _mistake(state: State, dice: random.Random, ahead: bool) -> str:
    step = right_step(state, ahead)
    slips = [f"Thought: {step.thought}\nAction: {step.name} {step.argument}",
             format_step(ParsedStep(step.thought, "search", dice.choice(state.vague)))]
    if state.last_action:
        slips.append(format_step(ParsedStep("I will search again.", "search", state.last_action)))
    if state.values:
        slips.append(format_step(ParsedStep("I know enough.", "finish", hasty(state.plan, state.values))))
    return dice.choice(slips)


def hasty(plan: Plan, values: list[str]) -> str:
    """What answers a question too early: the last value, or where values are sentences what the last is about."""
    return plan.hops[len(values) - 1].query.partition(" (")[0] if plan.rule == "given" else values[-1]


def _ahead(state: State) -> str:
    """What is to be found after this: a student that has said so forgets less of the question.

    Of the sources of a `given` answer only those that the question itself names are spoken of.
    """
    later = state.plan.hops[len(state.values) + 1:]
    if state.plan.rule == "given":
        return "".join(f", then about {hop.query}" for hop in later if hop.query in state.question)
    known = state.known
    return "".join(f", then the {fill(hop.query, known)}" for hop in later)
