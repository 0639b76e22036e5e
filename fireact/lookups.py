"""Lookups as ReAct has them: the sentences that hold some words, one a call (Yao et al. 2023, its wikienv.py).

Which page is open, and which sentence is next, follows from the episode's past alone. Only what has ids counts: a
search that found nothing, and a fault in place of one, leave what was open before it open.
"""

from collections.abc import Sequence
from itertools import takewhile

from fireact.recordings import same
from fireact.types import Step


def opened(past: Sequence[Step], words: str) -> tuple[tuple[str, ...], int]:
    """The ids that the last search showed, none where there was none, and how often `words` were looked up since.

    Looking up other words begins the former anew.
    """
    seen = [step for step in past if step.kind == "act" and step.ids]
    lookups = list(takewhile(lambda step: step.tool == "lookup", reversed(seen)))
    ids = seen[-len(lookups) - 1].ids if len(seen) > len(lookups) else ()
    return ids, len(list(takewhile(lambda step: same(step.argument or "") == same(words), lookups)))


def shown(found: Sequence[str], number: int) -> str:
    """The sentence in a place counted from 0, and how many there are."""
    return f"(Result {number + 1} / {len(found)}) {found[number]}" if number < len(found) else "No more results."
