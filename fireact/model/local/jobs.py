"""What passes between those who ask and the model's thread."""

from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from fireact.types import Ask, Completion

Job = tuple[Ask, "Future[Completion]", float]
"""A request, where its reply goes, and when it came (seconds of time.monotonic)."""


def settle(future: "Future[Completion]", outcome: Completion | Exception) -> None:
    """Deliver a reply or a failure; whoever asked may have gone meanwhile."""
    with suppress(InvalidStateError):
        if isinstance(outcome, Completion):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)
