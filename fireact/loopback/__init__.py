"""An OpenAI-compatible endpoint on the loopback that fails as often and in whichever ways it is told.

    with serve(Faults(rate_limited=0.05, dropped=0.01)) as server:
        ...                                     # ask server.url, e.g. http://127.0.0.1:41233/v1
        server.faults.error = 0.5               # faults may be changed while it runs
        print(server.stats)

It replies by a script that plays ReAct, see `script.py`. On the command line it is python -m fireact.loopback.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread

from fireact.loopback.faults import Faults, Stats
from fireact.loopback.server import Served, running

__all__ = ["Faults", "Served", "Stats", "serve"]


@contextmanager
def serve(faults: Faults | None = None, rounds: int = 3, port: int = 0) -> Iterator[Served]:
    """Serve in a thread of its own until the block ends; port 0 is any that is free.

    Raises ConfigError for a port that cannot be had.
    """
    served = Served(faults or Faults(), rounds)
    started: Future[Callable[[], object]] = Future()

    async def work() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        async with running(served, port):
            started.set_result(lambda: loop.call_soon_threadsafe(ended.set))
            await ended.wait()

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            # What fails before the start is the caller's; what fails after it is told by the thread.
            if started.done():
                raise
            started.set_exception(error)

    thread = Thread(target=run, name="loopback", daemon=True)
    thread.start()
    end = started.result()
    try:
        yield served
    finally:
        end()
        thread.join()
