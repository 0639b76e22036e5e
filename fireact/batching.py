"""Blocking work for an event loop, done by one thread: what has come while it was busy is done together.

    batches = Batches(write, "tape")            # write(items) returns a result for each
    result = await batches.add(item)

So a file that takes 10 ms to commit is committed a hundred times a second, however many items come, and the event loop
waits for no disk (group commit).
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Entry(NamedTuple):
    item: Any
    result: "asyncio.Future[Any]"


class Batches(Generic[Item, Result]):
    """A thread with what waits for it. For one event loop."""

    def __init__(self, do: Callable[[Sequence[Item]], Sequence[Result]], name: str,
                 unwanted: Callable[[Result], None] = lambda result: None) -> None:
        """`do` is called in the thread; what it raises is raised to all whose items it was given.

        `unwanted` is given the results of items whose futures were cancelled after the thread had been given them.
        """
        self._do, self._name, self._unwanted = do, name, unwanted
        self._waiting: list[_Entry] = []
        self._batch: list[_Entry] = []
        """What the thread was given last."""
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future[Sequence[Result]] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many items the thread has not been given yet."""
        return len(self._waiting)

    def add(self, item: Item) -> "asyncio.Future[Result]":
        """Have an item done. Cancelled before the thread has been given it, it is not done."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Entry(item, result))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return result

    def close(self) -> None:
        """Do what waits, in the calling thread. Raises what `do` does."""
        if self._task is not None:
            self._task.cancel()
        if self._thread is not None:
            self._thread.shutdown()
        running, self._running = self._running, None
        try:
            if running is not None:
                self._deliver(running.result())
        finally:
            self._next()
            if self._batch:
                self._deliver(self._do([entry.item for entry in self._batch]))

    async def _work(self) -> None:
        self._thread = self._thread or ThreadPoolExecutor(1, self._name)
        while self._waiting:
            self._next()
            if not self._batch:
                continue
            try:
                self._running = self._thread.submit(self._do, [entry.item for entry in self._batch])
                done = asyncio.wrap_future(self._running)
                done.add_done_callback(_heard)
                # Shielded: what the thread has not begun would be dropped where this task is cancelled.
                results = await asyncio.shield(done)
            except Exception as failure:
                # Whatever it is, those that wait must hear of it.
                for entry in self._batch:
                    entry.result.add_done_callback(_heard)
                    if not entry.result.done():
                        entry.result.set_exception(failure)
            else:
                self._deliver(results)
            self._running = None

    def _next(self) -> None:
        """Take all that waits for the next batch."""
        self._batch, self._waiting = [entry for entry in self._waiting if not entry.result.cancelled()], []

    def _deliver(self, results: Sequence[Result]) -> None:
        for entry, result in zip(self._batch, results, strict=True):
            if entry.result.cancelled():
                self._unwanted(result)
            elif not entry.result.done():
                entry.result.set_result(result)


def _heard(done: "asyncio.Future[Any]") -> None:
    """Look at a failure: asyncio complains of those that nobody has looked at."""
    if not done.cancelled():
        done.exception()
