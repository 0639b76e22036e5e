"""A thread that does all that has come at once."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import closing

import pytest

from fireact.batching import Batches


class Doubler:
    """Doubles numbers; notes how many at a time, and waits for `go`."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        assert self.go.wait(30)
        self.sizes.append(len(numbers))
        if -1 in numbers:
            raise ValueError("minus one")
        return [2 * number for number in numbers]


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


def test_what_comes_while_it_is_busy_is_done_at_once(doubler: Doubler) -> None:
    async def main() -> list[int]:
        doubler.go.clear()
        first = batches.add(1)
        await asyncio.sleep(0.01)
        others = [batches.add(number) for number in range(2, 9)]
        assert batches.waiting == 7
        doubler.go.set()
        return list(await asyncio.gather(first, *others))

    with closing(Batches(doubler, "test")) as batches:
        assert asyncio.run(main()) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert doubler.sizes == [1, 7]


def test_a_failure_is_told_to_all_of_its_batch_and_to_no_other(doubler: Doubler) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="minus one"):
            await asyncio.gather(batches.add(-1), batches.add(1))
        assert await batches.add(3) == 6

    with closing(Batches(doubler, "test")) as batches:
        asyncio.run(main())


def test_nobody_need_wait_for_the_result(doubler: Doubler, recwarn: pytest.WarningsRecorder) -> None:
    async def main() -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        batches.add(-1)
        await asyncio.sleep(0)
        assert await batches.add(4) == 8
        assert not complaints

    with closing(Batches(doubler, "test")) as batches:
        asyncio.run(main())
    assert sum(doubler.sizes) == 2


@pytest.mark.parametrize("closed", [False, True])
def test_what_nobody_wants_any_more_is_not_done_or_given_back(doubler: Doubler, closed: bool) -> None:
    """Cancelled before the thread was given it, it is not done; cancelled later, its result is told."""
    unwanted: list[int] = []

    async def main() -> None:
        doubler.go.clear()
        begun, wanted = batches.add(1), batches.add(2)
        await asyncio.sleep(0.01)
        late = batches.add(3)
        begun.cancel()
        late.cancel()
        if closed:
            threading.Timer(0.05, doubler.go.set).start()
            batches.close()
        doubler.go.set()
        assert await wanted == 4

    batches = Batches(doubler, "test", unwanted.append)
    asyncio.run(main())
    batches.close()
    assert unwanted == [2]
    assert doubler.sizes == [2]


def test_closing_does_what_waits_and_leaves_no_thread(doubler: Doubler) -> None:
    async def main() -> None:
        doubler.go.clear()
        batches.add(1)
        await asyncio.sleep(0.01)
        batches.add(2)
        batches.add(3)
        threading.Timer(0.05, doubler.go.set).start()
        batches.close()

    batches = Batches(doubler, "of-this-test")
    asyncio.run(main())
    assert doubler.sizes == [1, 2]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("of-this-test")]


def test_closing_tells_of_a_failure_that_nobody_heard_of(doubler: Doubler) -> None:
    async def main() -> None:
        batches.add(-1)
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="minus one"):
            batches.close()

    batches = Batches(doubler, "test")
    asyncio.run(main())
