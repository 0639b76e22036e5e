"""The grammar of a plan: `Plan:`, then numbered steps, a line each. A thought may stand before it.

`parse_plan(format_plan(thought, steps)) == (thought, steps)`; what follows the last step is ignored.
"""

import re
from collections.abc import Sequence

from fireact.errors import FormatError
from fireact.strategy.grammar import clean_thought, cut_at_observation

_PLAN = re.compile(r"(?:^|\n)[ \t*#]*plan[ \t*]*:?[ \t*]*(?=\n|\d|$)", re.IGNORECASE)
_STEP = re.compile(r"[ \t*]*(?:step\s*)?(\d{1,3})[ \t]*[.):][ \t*]*(.*)", re.IGNORECASE)


def has_plan(text: str) -> bool:
    """Whether a reply gets as far as a plan, with steps or without."""
    return _PLAN.search(cut_at_observation(text)) is not None


def parse_plan(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the thought before a plan, and its steps. Raises FormatError, which the model is shown."""
    text = cut_at_observation(text)
    found = _PLAN.search(text)
    if found is None:
        raise FormatError(f"there is no plan in {' '.join(text.split())[:60]!r}; write Plan: and under it numbered "
                          "steps, e.g. 1. Find the capital of France.")
    steps: list[str] = []
    for line in text[found.end():].strip().splitlines():
        step = _STEP.match(line)
        if step is None:
            if steps and line.strip():
                break
            continue
        if step[2].strip(" *"):
            steps.append(" ".join(step[2].split()).strip(" *"))
    if not steps:
        raise FormatError("the plan has no steps; write one a line under Plan:, e.g. 1. Find the capital of France.")
    return clean_thought(text[: found.start()]), tuple(steps)


def format_plan(thought: str, steps: Sequence[str]) -> str:
    """Write a plan in the canonical form."""
    listed = "\n".join(["Plan:", *(f"{number}. {step}" for number, step in enumerate(steps, 1))])
    return f"Thought: {thought}\n{listed}" if thought else listed
