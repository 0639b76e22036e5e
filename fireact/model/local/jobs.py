"""What passes between those who ask and the model's thread."""

from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fireact.requests import Ask
from fireact.types import Completion


@dataclass(frozen=True)
class Judge:
    """A request for what the model thinks of a reply that is known, both as token ids."""

    prompt: Sequence[int]
    reply: Sequence[int]


@dataclass(frozen=True)
class Judged:
    """What it thinks: `greedy` is what it would have written in the place of each token of the reply."""

    greedy: Sequence[int]
    logprobs: Sequence[float]
    """The logarithm of the probability of each token of the reply."""


Job = tuple[Ask | Judge, "Future[Any]", float]
"""A request, where its reply goes (a Completion, or what a Judge gets), and when it came (of time.monotonic)."""


def settle(future: "Future[Any]", outcome: Completion | Judged | Exception) -> None:
    """Deliver a reply or a failure; whoever asked may have gone meanwhile."""
    with suppress(InvalidStateError):
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
