"""Many episodes at once, under one limit."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact.pool import each


async def play(items, work, concurrency, done):
    """Take the items in turn, and hand each result over to `done`."""
    waiting = iter(items)

    async def take():
        return next(waiting, None)

    async def whole(item):
        done(await work(item))

    await each(take, whole, concurrency)


@settings(max_examples=30)
@given(total=st.integers(0, 12), concurrency=st.integers(1, 15))
def test_all_are_done_once_and_no_more_at_a_time_than_allowed(total: int, concurrency: int) -> None:
    under_way, most, results = 0, 0, []

    async def work(item: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(item % 3 + 1):
            await asyncio.sleep(0)
        under_way -= 1
        return item * item

    asyncio.run(play(range(total), work, concurrency, results.append))
    assert sorted(results) == [item * item for item in range(total)]
    assert most == min(total, concurrency)


def test_a_slow_one_delays_only_itself() -> None:
    results: list[int] = []

    async def main() -> None:
        others = asyncio.Event()

        async def work(item: int) -> int:
            if item == 0:
                await others.wait()
            elif item == 9:
                others.set()
            return item

        await asyncio.wait_for(play(range(10), work, 2, results.append), 5)

    asyncio.run(main())
    assert results[-1] == 0
    assert results[:-1] == list(range(1, 10))


def test_items_are_drawn_only_when_there_is_room() -> None:
    drawn: list[int] = []

    def items():
        for item in range(100):
            drawn.append(item)
            yield item

    async def work(item: int) -> int:
        await asyncio.sleep(0)
        if item == 5:
            raise ValueError("five")
        return item

    with pytest.raises(ValueError, match="five"):
        asyncio.run(play(items(), work, 3, lambda _: None))
    assert len(drawn) < 20


def test_results_from_before_a_failure_are_kept_and_the_rest_is_ended() -> None:
    results: list[int] = []
    ended: list[int] = []

    async def work(item: int) -> int:
        if item < 3:
            return item
        if item == 5:
            await asyncio.sleep(0.01)
            raise ValueError("the first failure")
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(item)
        return item

    with pytest.raises(ValueError, match="the first failure"):
        asyncio.run(play(range(20), work, 4, results.append))
    assert results == [0, 1, 2]
    assert sorted(ended) == [3, 4, 6]


def test_the_first_of_several_failures_is_raised() -> None:
    async def work(item: int) -> int:
        try:
            await asyncio.sleep(0.01 * (3 - item))
        except asyncio.CancelledError:
            raise RuntimeError("while it was being ended") from None
        raise ValueError(item)

    with pytest.raises(ValueError, match=r"^2$"):
        asyncio.run(play(range(3), work, 3, lambda _: None))


def test_a_result_that_cannot_be_handed_over_is_a_failure() -> None:
    def done(result: int) -> None:
        raise OSError("the disk is full")

    async def work(item: int) -> int:
        return item

    with pytest.raises(OSError, match="the disk is full"):
        asyncio.run(play(range(5), work, 2, done))


def test_cancelling_ends_all_that_is_under_way() -> None:
    ended: list[int] = []

    async def work(item: int) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            ended.append(item)

    async def main() -> None:
        task = asyncio.create_task(play(range(10), work, 3, lambda _: None))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(ended) == [0, 1, 2]

    asyncio.run(main())
