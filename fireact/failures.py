"""Why an episode went wrong: each wrong one is of exactly one kind, told from its record alone.

The first kind of `FAILURES` that fits counts. So what is left for `reasoning` had a sound form, came to an answer, saw
what it needed, and is wrong all the same.
"""

from collections import Counter
from typing import Literal

from fireact.dataset.scoring import normalize
from fireact.episode import NO_TOOL
from fireact.filters import stands_in
from fireact.types import Question, StopReason, Trajectory

Failure = Literal["wrong_tool", "format", "loop", "no_finish", "no_search", "retrieval", "reasoning"]

FAILURES: dict[str, str] = {
    "wrong_tool": "called a tool that there is not, and was without what it needed",
    "format": "replies that could not be read",
    "loop": "repeated a call until a limit was reached",
    "no_finish": "came to no answer within the limits",
    "no_search": "answered without a search",
    "retrieval": "a gold passage was never seen",
    "reasoning": "the gold passages were seen, the answer is wrong",
}
"""The kinds in words, in the order in which they are tried."""

_REPEATS = 2
"""So many calls that were made before make a loop of an episode without an answer."""


def failure(record: Trajectory) -> Failure | None:
    """Return why an episode went wrong; None for a right one, and for one whose model or tool was out of reach."""
    if record.score.em == 1 or not record.stop.played:
        return None
    unanswered, found = record.answer is None, seen(record)
    if _called_no_tool(record) and (unanswered or not found):
        return "wrong_tool"
    if unanswered:
        return _unfinished(record)
    if not record.tool_calls:
        return "no_search"
    return "reasoning" if found else "retrieval"


def seen(record: Trajectory) -> bool | None:
    """Whether all gold passages were among what the tool returned; None for an episode without a tool call.

    Where the question names no gold passages, or the tool no sources, it is whether the answer stood in an observation.
    """
    calls = [step for step in record.steps if step.kind == "act"]
    if not calls:
        return None
    ids = {id for step in calls for id in step.ids}
    if record.question.gold and ids:
        return ids.issuperset(record.question.gold)
    return any(stands_in(answer, step.text) for answer in record.question.answers for step in calls)


def hops(question: Question) -> int | None:
    """How many passages an answer takes: the hops of its plan, else its gold passages; None where nobody has told."""
    return (len(question.plan.hops) if question.plan else len(question.gold)) or None


def _unfinished(record: Trajectory) -> Failure:
    refused = sum(step.kind == "refuse" for step in record.steps)
    if record.stop is StopReason.FORMAT or 2 * refused > max(record.rounds, 1):
        return "format"
    calls = Counter((step.tool, normalize(step.argument or "")) for step in record.steps if step.kind == "act")
    return "loop" if sum(calls.values()) - len(calls) >= _REPEATS else "no_finish"


def _called_no_tool(record: Trajectory) -> bool:
    return any(step.kind == "refuse" and step.text.startswith(NO_TOOL) for step in record.steps)
