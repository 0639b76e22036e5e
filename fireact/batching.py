"""Blocking work for an event loop, done by one thread: all that has come while it was busy is done at once.

    batches = Batches(write, "tape")            # write(items) returns a result for each
    result = await batches.add(item)

So a file that takes 10 ms to commit is committed a hundred times a second, however many items come, and the event loop
waits for no disk (group commit).
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches(Generic[Item, Result]):
    """A thread with what waits for it. For one event loop."""

    def __init__(self, do: Callable[[Sequence[Item]], Sequence[Result]], name: str) -> None:
        """`do` is called in the thread; what it raises is raised to all whose items it was given."""
        self._do, self._name = do, name
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future[Sequence[Result]] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many items the thread has not been given yet."""
        return len(self._waiting)

    def add(self, item: Item) -> "asyncio.Future[Result]":
        """Have an item done. Whoever awaits the result may be cancelled: the item is done all the same."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return result

    def close(self) -> None:
        """Do what waits, in the calling thread. Raises what `do` does."""
        if self._task is not None:
            self._task.cancel()
        if self._thread is not None:
            self._thread.shutdown()
        waiting, self._waiting = self._waiting, []
        try:
            if self._running is not None:
                self._running.result()
        finally:
            if waiting:
                self._do([item for item, _ in waiting])

    async def _work(self) -> None:
        self._thread = self._thread or ThreadPoolExecutor(1, self._name)
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                self._running = self._thread.submit(self._do, [item for item, _ in batch])
                done = asyncio.wrap_future(self._running)
                done.add_done_callback(_heard)
                # Shielded: what the thread has not begun would be dropped where this task is cancelled.
                results = await asyncio.shield(done)
            except Exception as failure:
                # Whatever it is, those that wait must hear of it.
                for _, result in batch:
                    result.add_done_callback(_heard)
                    if not result.done():
                        result.set_exception(failure)
            else:
                for (_, result), found in zip(batch, results, strict=True):
                    if not result.done():
                        result.set_result(found)
            self._running = None


def _heard(done: "asyncio.Future[Any]") -> None:
    """Look at a failure, lest asyncio complains where nobody waits for it."""
    if not done.cancelled():
        done.exception()
