"""Do many small pieces of work in forks of this process, which have all that it has: nothing is loaded again."""

import os
import signal
from collections.abc import Callable
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from fireact.process import ChildFailed

T = TypeVar("T")

LEAST = 8
"""Pieces of work for which a fork is worth its while."""


def in_forks(work: Callable[[int], T], n: int) -> list[T]:
    """Return work(0), ..., work(n - 1), computed on all cores; results and errors must be picklable.

    Raises what `work` raises, of the first piece that fails; ChildFailed where a fork was killed. Where a system cannot
    fork, all is done here.
    """
    parts = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, n // LEAST)
    if parts < 2 or "fork" not in get_all_start_methods():
        return [work(number) for number in range(n)]
    context = get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(parts)]
    forks = [context.Process(target=_part, args=(work, range(first, n, parts), sender), daemon=True)
             for first, (_, sender) in enumerate(pipes)]
    found: dict[int, Any] = {}
    try:
        for fork, (_, sender) in zip(forks, pipes, strict=True):
            fork.start()
            sender.close()
        for fork, (receiver, _) in zip(forks, pipes, strict=True):
            try:
                found.update(receiver.recv())
            except EOFError:
                fork.join()
                raise ChildFailed(fork.exitcode or 1) from None
    finally:
        for fork in forks:
            if fork.pid is not None:
                fork.kill()
                fork.join()
    for number in range(n):
        if isinstance(found.get(number), Exception):
            raise found[number]
    return [found[number] for number in range(n)]


def _part(work: Callable[[int], Any], numbers: range, sender: Connection) -> None:
    # Who has begun this ends it, and says why.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    results: dict[int, Any] = {}
    for number in numbers:
        try:
            results[number] = work(number)
        except Exception as error:
            results[number] = error
            break
    sender.send(results)
