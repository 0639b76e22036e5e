"""A request that takes long is sent a second time: whichever is answered first counts, and nothing stays behind."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from fireact.errors import BudgetExceeded, ProviderError
from fireact.ledger import Amount, Settled
from fireact.meter import Meter
from fireact.model.api import Api
from fireact.types import Completion
from tests.model.test_api import ASK, Endpoint, chat, failed, serving, until, used

endpoint = pytest.fixture(serving)
KNOWN = 20
"""Replies after which it is known how long one takes."""
ONE = 105 / 1e6
"""US dollars of a reply."""


class Books:
    """A ledger that opens so many tickets, and notes when each is closed."""

    scopes = ()

    def __init__(self, most: int = 10**6) -> None:
        self.most = most
        self.reserved: list[Amount] = []
        self.closed: dict[int, list[Amount]] = {}

    def reserve(self, most: Amount) -> int:
        if len(self.reserved) >= self.most:
            raise BudgetExceeded("that was all")
        self.reserved.append(most)
        self.closed[len(self.reserved)] = []
        return len(self.reserved)

    def book(self, entries: list[Settled]) -> None:
        for entry in entries:
            self.closed[entry.ticket].append(entry.spent)           # type: ignore[index]

    def flush(self) -> None:
        assert all(self.closed.values()), "something is still reserved"

    def spent(self) -> float:
        """US dollars; each ticket is closed once, by no more than was reserved for it."""
        for ticket, took in self.closed.items():
            assert len(took) == 1
            assert took[0].usd <= self.reserved[ticket - 1].usd
            assert took[0].tokens <= self.reserved[ticket - 1].tokens
        return sum(took[0].usd for took in self.closed.values())


def hedging(endpoint: Endpoint, books: Books, **options: Any) -> Api:
    meter = Meter(ledger=books)                                 # type: ignore[arg-type]
    return Api(model="m", base_url=endpoint.url, meter=meter, price_in=1.0, price_out=1.0,
               **{"hedge": 2.0, "retries": 0, **options})


async def warm(api: Api) -> None:
    for _ in range(KNOWN):
        await api.complete(ASK)


async def clean(api: Api) -> Completion:
    """Ask, and find nothing of it under way as soon as it is answered."""
    before = asyncio.all_tasks()
    try:
        return await api.complete(ASK)
    finally:
        assert asyncio.all_tasks() == before
        assert api.meter.ledger
        api.meter.ledger.flush()


def play(endpoint: Endpoint, api: Api, hold: Sequence[int], release: Sequence[int]) -> Completion | BaseException:
    """Ask once more when it is known how long it takes; the requests of these numbers are held, and then let go."""
    endpoint.holds = {number: threading.Event() for number in hold}

    async def once() -> Completion | BaseException:
        await warm(api)
        task = asyncio.create_task(clean(api))
        await until(lambda: len(endpoint.calls) == KNOWN + len(hold))
        for number in release:
            under_way = api.meter.busy
            endpoint.holds[number].set()
            await until(lambda: task.done() or api.meter.busy < under_way)  # noqa: B023
        (end,) = await asyncio.gather(task, return_exceptions=True)
        await api.close()
        return end

    return asyncio.run(once())


@pytest.fixture
def books() -> Books:
    return Books()


FIRST, SECOND = KNOWN, KNOWN + 1


def answers(first: Any, second: Any) -> list[Any]:
    return [(200, used(100, 5))] * KNOWN + [first, second]


def test_the_second_is_taken_where_the_first_takes_long(endpoint: Endpoint, books: Books) -> None:
    endpoint.answers = answers((200, chat("late")), (200, used(100, 5)))
    api = hedging(endpoint, books)
    reply = play(endpoint, api, (FIRST, SECOND), (SECOND,))
    assert isinstance(reply, Completion)
    assert (reply.text, reply.cost) == ("Thought: so.", pytest.approx(ONE))
    assert (api.meter.hedged, len(endpoint.calls), api.meter.busy) == (1, KNOWN + 2, 0)
    assert api.meter.lost_usd == books.reserved[FIRST].usd
    assert books.spent() == pytest.approx(ONE * (KNOWN + 1) + api.meter.lost_usd)


def test_the_first_is_taken_where_it_comes_before_the_second(endpoint: Endpoint, books: Books) -> None:
    endpoint.answers = answers((200, used(100, 5)), (200, chat("late")))
    api = hedging(endpoint, books)
    reply = play(endpoint, api, (FIRST, SECOND), (FIRST,))
    assert isinstance(reply, Completion)
    assert (reply.text, reply.cost, api.meter.hedged) == ("Thought: so.", pytest.approx(ONE), 1)
    books.spent()


@pytest.mark.parametrize("bad", [FIRST, SECOND])
def test_where_one_fails_the_other_is_used(endpoint: Endpoint, books: Books, bad: int) -> None:
    both: list[Any] = [(200, used(100, 5)), (200, used(100, 5))]
    both[bad - FIRST] = (500, failed("broken"))
    endpoint.answers = answers(*both)
    reply = play(endpoint, hedging(endpoint, books), (FIRST, SECOND), (bad, FIRST + SECOND - bad))
    assert isinstance(reply, Completion)
    assert (reply.text, reply.cost, len(endpoint.calls)) == ("Thought: so.", pytest.approx(ONE), KNOWN + 2)
    books.spent()


def test_where_both_fail_it_is_told(endpoint: Endpoint, books: Books) -> None:
    endpoint.answers = answers((500, failed("first")), (500, failed("second")))
    end = play(endpoint, hedging(endpoint, books), (FIRST, SECOND), (SECOND, FIRST))
    assert isinstance(end, ProviderError)
    assert str(end) == f"{endpoint.url} failed: first"
    assert len(endpoint.calls) == KNOWN + 2
    books.spent()


def test_a_failure_before_the_second_is_sent_is_told_at_once(endpoint: Endpoint, books: Books) -> None:
    endpoint.answers = answers((500, failed("first")), (200, chat()))
    api = hedging(endpoint, books, hedge=1e6)
    end = play(endpoint, api, (FIRST,), (FIRST,))
    assert isinstance(end, ProviderError)
    assert (api.meter.hedged, len(endpoint.calls)) == (0, KNOWN + 1)


def test_a_quick_reply_is_asked_for_once(endpoint: Endpoint, books: Books) -> None:
    endpoint.answers = [(200, used(100, 5))]
    api = hedging(endpoint, books, hedge=1e6)
    reply = play(endpoint, api, (), ())
    assert isinstance(reply, Completion)
    assert (reply.cost, api.meter.hedged, len(endpoint.calls)) == (pytest.approx(ONE), 0, KNOWN + 1)


@pytest.mark.parametrize("waits", [True, False])
def test_a_budget_that_is_too_small_for_the_second_loses_no_answer(
        endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    books = Books(most=KNOWN + 1)
    endpoint.answers = answers((200, used(100, 5)), (200, chat()))
    api = hedging(endpoint, books, hedge=1.001)
    if not waits:
        async def reserve(usd: float, tokens: int, name: str) -> int:
            try:
                return books.reserve(Amount(usd, tokens, 1))
            except BudgetExceeded:
                asyncio.get_running_loop().call_later(0.05, endpoint.holds[FIRST].set)
                raise

        monkeypatch.setattr(api.meter, "reserve", reserve)
    reply = play(endpoint, api, (FIRST,), (FIRST,) if waits else ())
    assert isinstance(reply, Completion)
    assert (reply.cost, api.meter.hedged, len(endpoint.calls)) == (pytest.approx(ONE), 0, KNOWN + 1)
    assert books.spent() == pytest.approx(ONE * (KNOWN + 1))


def test_who_waits_for_his_turn_is_not_asked_for_twice(endpoint: Endpoint, books: Books) -> None:
    endpoint.answers = [(200, used(100, 5))]
    endpoint.holds = {FIRST: threading.Event()}
    api = hedging(endpoint, books, concurrency=1)

    async def two() -> None:
        await warm(api)
        api._calls._took.extend([0.25] * 200)
        calls = [asyncio.create_task(api.complete(ASK)) for _ in range(2)]
        await until(lambda: len(endpoint.calls) == KNOWN + 1)
        await asyncio.sleep(0.7)
        endpoint.holds[FIRST].set()
        await asyncio.gather(*calls)
        await api.close()

    asyncio.run(two())
    assert (api.meter.hedged, len(endpoint.calls)) == (0, KNOWN + 2)


def test_a_call_that_is_cancelled_leaves_nothing_behind(endpoint: Endpoint, books: Books) -> None:
    endpoint.answers = [(200, used(100, 5))]
    endpoint.holds = {FIRST: threading.Event(), SECOND: threading.Event()}
    api = hedging(endpoint, books)

    async def cancelled() -> None:
        await warm(api)
        task = asyncio.create_task(api.complete(ASK))
        await until(lambda: len(endpoint.calls) == KNOWN + 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert api.meter.busy == 0
        await api.close()

    asyncio.run(cancelled())
    assert books.spent() == pytest.approx(ONE * KNOWN + sum(most.usd for most in books.reserved[KNOWN:]))
