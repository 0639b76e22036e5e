"""Play many episodes at once: independent tasks under one limit, so that a slow episode delays only itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def each(take: Callable[[], Awaitable[T | None]], work: Callable[[T], Awaitable[None]], concurrency: int) -> None:
    """Await `work` on all that `take` gives until it gives None, at most `concurrency` at once.

    The first exception ends all that is under way and is raised.
    """

    async def worker() -> None:
        while (item := await take()) is not None:
            await work(item)

    tasks = [asyncio.create_task(worker()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
