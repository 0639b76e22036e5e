"""The expert's word on the last step of an attempt: sure for the right one, impossible for one that leads nowhere."""

import random

from fireact.errors import FormatError
from fireact.model.oracle.state import replay
from fireact.model.oracle.steps import right_step
from fireact.plan import Plan
from fireact.requests import Ask
from fireact.strategy.grammar import parse_step
from fireact.strategy.prompts import QUESTION, turns_of


def reply(ask: Ask, plan: Plan, dice: random.Random, mistakes: float) -> str:
    """Value the last step of the transcript that is asked about."""
    turns = turns_of(ask.messages[ask.shots].content.removeprefix(QUESTION))
    at = max(at for at, turn in enumerate(turns) if turn.role == "assistant")
    state = replay(turns[:at], plan)
    try:
        done = parse_step(turns[at].content)
    except FormatError:
        return "impossible"
    right = right_step(state)
    word = "sure" if (done.name, done.argument) == (right.name, right.argument) else (
        "impossible" if done.name == "finish" else "maybe")
    return dice.choice(["sure", "maybe", "impossible"]) if dice.random() < mistakes else word
