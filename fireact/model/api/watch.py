"""Say when an address has gone, or answers nothing for a while, and when it is back."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fireact.pacing import Lane, Outcome

_LONG = 10.0
"""Seconds of a pause that is told."""


def say(text: str) -> None:
    """Print a line that is no part of the results."""
    print(f"  {text}", file=sys.stderr, flush=True)


@dataclass
class Watch:
    """Looks at how requests end."""

    patience: Callable[[Outcome], float]
    """Seconds for which an address is waited for that is down, or overloaded."""
    _told_until: dict[str, float] = field(init=False, default_factory=dict)
    """Up to when a pause of an address was told."""

    def see(self, lane: Lane, down_before: float | None, outcome: Outcome | None, failure: str,
            wait: float | None, others: bool) -> None:
        """Take notice of the end of a request: how, in which words, and after which pause it may come again.

        `others`: whether another address is not down.
        """
        now = time.monotonic()
        if down_before is None and lane.down_since is not None and outcome is not None:
            most = f"{self.patience(outcome):g} seconds"
            say(f"{lane.url} {failure}; {'others serve meanwhile' if others else f'waiting for it, up to {most}'}")
        elif down_before is not None and lane.down_since is None:
            say(f"{lane.url} answers again")
        elif (wait or 0.0) > _LONG and now > self._told_until.get(lane.url, 0.0):
            self._told_until[lane.url] = now + (wait or 0.0)
            say(f"{lane.url} {failure}; it asks for a pause of {wait:.0f} seconds")
