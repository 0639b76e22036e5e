"""The meter over a real ledger, booked directly and by a thread."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from fireact.batching import Batches
from fireact.errors import BudgetExceeded
from fireact.ledger import Amount, Booked, Cap, Entry, Ledger, Scope, Ticket, read
from fireact.meter import Meter

COMMIT = 0.01
"""Seconds."""


class Slow:
    """Books as a file server does; counts the transactions."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.sizes = ledger, []

    def __call__(self, entries: Sequence[Entry]) -> list[Booked]:
        self.sizes.append(len(entries))
        time.sleep(COMMIT)
        return self.ledger.book(entries)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture(params=["direct", "thread"])
def metering(request: pytest.FixtureRequest, path: Path) -> Iterator[tuple[Meter, Slow]]:
    """With a cap of 1.5 US dollars and 200 calls."""
    with closing(Ledger(path, [Scope("run", "r", Cap(1.5, None, 200))])) as ledger:
        slow = Slow(ledger)
        if request.param == "direct":
            yield Meter(ledger), slow
            return
        batches = Batches(slow, "ledger", lambda found: ledger.release(found) if isinstance(found, Ticket) else None)
        with closing(batches):
            yield Meter(ledger, batches), slow


async def waiting_behind(meter: Meter, n: int, took: float) -> "list[asyncio.Task[Ticket | None]]":
    """Reserve n times beside a request for which too much is reserved, and which then takes so much."""
    first = await meter.reserve(1.0, 0, "m")
    others = [asyncio.create_task(meter.reserve(0.6, 0, "m")) for _ in range(n)]
    await asyncio.sleep(2 * COMMIT)
    meter.settle(first, took, 0)
    return others


def test_near_a_cap_what_is_under_way_is_waited_for(metering: tuple[Meter, Slow]) -> None:
    """The first takes less than was reserved for it: no second one is refused for it."""
    meter, _ = metering

    async def main() -> None:
        others = await waiting_behind(meter, 3, took=0.1)
        done, waiting = await asyncio.wait(others, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        while waiting:
            for task in done:
                meter.settle(task.result(), 0.3, 0)
            done, waiting = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            meter.settle(task.result(), 0.3, 0)

    asyncio.run(main())


def test_once_nothing_is_under_way_all_that_wait_are_refused(metering: tuple[Meter, Slow], path: Path) -> None:
    meter, _ = metering

    async def main() -> None:
        others = await waiting_behind(meter, 5, took=1.0)
        found = await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 10)
        assert all(isinstance(each, BudgetExceeded) for each in found)
        assert "1.0000 are spent, 0.0000 are reserved" in str(found[0])

    asyncio.run(main())
    assert read(path)[0].total.held == Amount()


def test_reservations_of_a_moment_share_a_transaction(metering: tuple[Meter, Slow]) -> None:
    meter, slow = metering

    async def main() -> None:
        tickets = await asyncio.gather(*(meter.reserve(0.001, 1, "m") for _ in range(64)))
        for ticket in tickets:
            meter.settle(ticket, 0.001, 1)

    asyncio.run(main())
    if meter.batches:
        meter.batches.close()
        assert sum(slow.sizes) == 128
        assert len(slow.sizes) <= 4


def test_a_cancelled_reservation_holds_nothing(metering: tuple[Meter, Slow], path: Path) -> None:
    meter, _ = metering

    async def main() -> None:
        tasks = [asyncio.create_task(meter.reserve(0.1, 1, "m")) for _ in range(3)]
        await asyncio.sleep(COMMIT / 2)
        for task in tasks:
            task.cancel()
        kept = [each for each in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(each, Ticket)]
        for ticket in kept:
            meter.release(ticket)
        if meter.batches:
            meter.batches.close()

    asyncio.run(main())
    assert read(path)[0].total.held == Amount()
