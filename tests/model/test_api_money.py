"""Before each request its most is reserved, and after it settled: nothing is closed twice, and nothing stays open."""

import asyncio
import random
import threading
from typing import Any

import pytest

from fireact.errors import BudgetExceeded, ConfigError, ContextError, FilterError, FireActError, ProviderError
from fireact.ledger import Cap, Scope
from fireact.loopback import Faults, serve
from fireact.meter import Meter
from fireact.model.api import Api
from fireact.requests import Ask
from fireact.types import Message
from tests.model.test_api import ASK, Endpoint, chat, complete, failed, serving, until, used
from tests.model.test_api_hedge import Books

endpoint = pytest.fixture(serving)


def paid(endpoint: Endpoint, books: Books, **options: Any) -> Api:
    return Api(model="m", base_url=endpoint.url, meter=Meter(ledger=books), price_in=1.0,  # type: ignore[arg-type]
               price_out=2.0, **{"retries": 0, "patience": 0, **options})


def test_the_most_is_reserved_and_what_it_took_is_settled(endpoint: Endpoint) -> None:
    books = Books()
    endpoint.answers = [(200, used(100, 5))]
    api = paid(endpoint, books, max_tokens=50)
    complete(api)
    (most,) = books.reserved
    assert most.usd == pytest.approx((most.tokens - 50 + 50 * 2) / 1e6)
    assert most.tokens - 50 >= len("Be short.Capital of France?")
    assert books.spent() == pytest.approx((100 + 5 * 2) / 1e6)
    assert api.meter.usd == books.spent()


def test_an_answer_without_usage_counts_at_the_most(endpoint: Endpoint) -> None:
    books = Books()
    api = paid(endpoint, books)
    assert complete(api).cost is None
    assert books.spent() == books.reserved[0].usd == api.meter.usd


@pytest.mark.parametrize(("answer", "kind", "counts"), [
    ((429, failed("slow down")), ProviderError, 0.0),
    ((500, failed("broken")), ProviderError, 0.0),
    ((502, failed("gone")), ProviderError, 0.0),
    ((400, failed("no")), ProviderError, 0.0),
    ((401, failed("who?")), ConfigError, 0.0),
    ((404, failed("what?")), ConfigError, 0.0),
    ((400, failed("too long", code="context_length_exceeded")), ContextError, 0.0),
    ((301, ""), ConfigError, 0.0),
    ((200, None), ProviderError, 1.0),
    ((200, '{"choices": ['), ProviderError, 1.0),
    ((504, ""), ProviderError, 1.0),
    ((400, failed("no", code="content_filter")), FilterError, 1.0),
], ids=str)
def test_a_failure_is_free_where_nothing_was_done_and_counts_at_the_most_elsewhere(
        endpoint: Endpoint, answer: Any, kind: type[Exception], counts: float) -> None:
    books = Books()
    endpoint.answers = [answer]
    api = paid(endpoint, books)
    with pytest.raises(kind):
        complete(api)
    assert books.spent() == api.meter.lost_usd == counts * books.reserved[0].usd
    assert api.meter.usd == 0


@pytest.mark.parametrize(("finish", "kind"), [
    ("content_filter", FilterError), ("length", ContextError), ("error", ProviderError)])
def test_a_reply_that_cannot_be_used_is_paid_for_by_its_usage(
        endpoint: Endpoint, finish: str, kind: type[Exception]) -> None:
    books = Books()
    endpoint.answers = [(200, chat("", finish, usage={"prompt_tokens": 100, "completion_tokens": 5}))]
    api = paid(endpoint, books)
    with pytest.raises(kind):
        complete(api)
    assert books.spent() == api.meter.usd == pytest.approx((100 + 5 * 2) / 1e6)
    assert api.meter.lost_usd == 0


def test_nobody_there_costs_nothing(endpoint: Endpoint) -> None:
    books = Books()
    api = paid(endpoint, books)
    api.base_url = "http://127.0.0.1:9/v1"
    with pytest.raises(ProviderError):
        complete(api)
    assert books.spent() == 0


def test_no_request_is_sent_without_a_budget(endpoint: Endpoint) -> None:
    api = paid(endpoint, Books(most=0))
    with pytest.raises(BudgetExceeded, match="that was all"):
        complete(api)
    books = Books()
    books.scopes = (Scope("run", "x", Cap(usd=1.0)),)      # type: ignore[assignment]
    api = Api(model="m", base_url=endpoint.url, meter=Meter(ledger=books))      # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="what the model m costs is not known"):
        complete(api)
    assert endpoint.calls == []
    assert api.meter.busy == 0


def test_what_is_cancelled_counts_only_if_it_was_sent(endpoint: Endpoint) -> None:
    books = Books()
    endpoint.holds = {0: threading.Event()}
    api = paid(endpoint, books, concurrency=1)

    async def cancelled() -> None:
        calls = [asyncio.create_task(api.complete(ASK)) for _ in range(3)]
        await until(lambda: len(endpoint.calls) == 1)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await api.close()

    asyncio.run(cancelled())
    assert len(books.reserved) == 1
    assert books.spent() == books.reserved[0].usd == api.meter.lost_usd


@pytest.mark.parametrize(("seed", "hedge"), [(0, None), (1, None), (2, 3.0), (3, 1.5)])
def test_each_ticket_is_closed_once_whatever_happens(seed: int, hedge: float | None) -> None:
    chance = random.Random(seed)
    faults = Faults(seed=seed, rate_limited=0.1, error=0.1, dropped=0.1, malformed=0.1, stalled=0.05, slow=0.2,
                    delay=0.003, slowness=30, retry_after=0.01, filtered="number7", window=9)
    meter, books = Meter(), Books()
    meter.ledger = books                                        # type: ignore[assignment]

    async def one(api: Api, number: int, words: str) -> Any:
        task = asyncio.create_task(api.complete(Ask((Message("user", f"{words} number{number}?"),))))
        if chance.random() < 0.2:
            await asyncio.wait([task], timeout=chance.random() / 5)
            task.cancel()
        return await asyncio.gather(task, return_exceptions=True)

    async def many(url: str) -> list[Any]:
        api = Api(model="scripted", base_url=url, meter=meter, price_in=1.0, price_out=1.0, timeout=0.5, retries=2,
                  hedge=hedge, concurrency=8)
        await api.complete(Ask((Message("user", "Hello?"),)))
        ends = await asyncio.gather(*(one(api, number, chance.choice(["Who is", "Who is", "Who " * 10]))
                                      for number in range(120)))
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await api.close()
        return [end for (end,) in ends]

    with serve(faults) as server:
        ends = asyncio.run(many(server.url))
    wrong = [end for end in ends if isinstance(end, Exception) and not isinstance(end, FireActError)]
    assert wrong == []
    assert books.spent() == pytest.approx(meter.usd + meter.lost_usd)
    assert len(books.reserved) >= server.stats.requests
    assert (meter.busy, meter._open) == (0, 0)
