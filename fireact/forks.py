"""Do many small pieces of work in forks of this process, which have all that it has: nothing is loaded again."""

import os
from collections.abc import Callable
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")

LEAST = 8
"""Pieces of work for which a fork is worth its while."""


def in_forks(work: Callable[[int], T], n: int) -> list[T]:
    """Return work(0), ..., work(n - 1), computed on all cores; results and errors must be picklable.

    Raises what `work` raises, of the first piece that fails. Where a system cannot fork, all is done here.
    """
    parts = min(os.cpu_count() or 1, n // LEAST)
    if parts < 2 or "fork" not in get_all_start_methods():
        return [work(number) for number in range(n)]
    context = get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(parts)]
    for first, (_, sender) in enumerate(pipes):
        context.Process(target=_part, args=(work, range(first, n, parts), sender), daemon=True).start()
        sender.close()
    found: dict[int, Any] = {}
    for receiver, _ in pipes:
        results, failed, error = receiver.recv()
        found.update(results)
        if error is not None:
            found[failed] = error
    return [_value(found[number]) for number in range(n) if number in found]


def _part(work: Callable[[int], Any], numbers: range, sender: Connection) -> None:
    results: dict[int, Any] = {}
    for number in numbers:
        try:
            results[number] = work(number)
        except Exception as error:
            sender.send((results, number, error))
            return
    sender.send((results, 0, None))


def _value(found: Any) -> Any:
    if isinstance(found, Exception):
        raise found
    return found
