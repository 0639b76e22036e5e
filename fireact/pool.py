"""Play many episodes at once: independent tasks under one limit, so that a slow episode delays only itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


async def each(take: Callable[[], Awaitable[In | None]], work: Callable[[In], Awaitable[Out]], concurrency: int,
               done: Callable[[Out], None]) -> None:
    """Await `work` on all that `take` gives until it gives None, at most `concurrency` at once.

    Each result is handed over to `done` as soon as it is there. The first exception ends all that is under way and is
    raised; results handed over before stay handed over.
    """

    async def worker() -> None:
        while (item := await take()) is not None:
            done(await work(item))

    tasks = [asyncio.create_task(worker()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
