"""What is asked for again, after how long, and for how long: faults of one request, overload, an endpoint that is down.

Where a pause is measured, it is only that it is not shorter than it must be.
"""

import asyncio
import random
import socket
import threading
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from multidict import CIMultiDict

from fireact.errors import ProviderError
from fireact.loopback import Faults, serve
from fireact.model.api import Api, calls
from fireact.model.api.transport import _rest, _wait
from fireact.pacing import Lane, Outcome
from fireact.requests import Ask
from fireact.types import Message
from fireact.web import Passing
from tests.model.test_api import ASK, Endpoint, chat, complete, failed, refusal, serving, together, until

endpoint = pytest.fixture(serving)
LIMITED = failed("slow down")


def asks(n: int) -> list[Ask]:
    return [Ask((Message("user", f"Which word is last, number{number}?"),)) for number in range(n)]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> int:
    """A port where nobody is, and whose state is looked at often."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("fireact.pacing._FIRST_PAUSE", 0.01)
    monkeypatch.setattr("fireact.pacing._LONGEST_PAUSE", 0.05)
    # Not one of those that are given to clients: one that is might be connected with itself.
    for port in random.sample(range(20000, 30000), 100):
        with socket.socket() as held, suppress(OSError):
            held.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def test_a_passing_fault_is_repeated(endpoint: Endpoint) -> None:
    endpoint.answers = [(429, LIMITED), (500, "<html>oops</html>"), (200, None), (200, chat("done"))]
    api = Api(model="m", base_url=endpoint.url, retries=2)
    assert complete(api).text == "done"
    assert len(endpoint.calls) == 4
    assert sorted(api.meter.faults) == ["broke the connection off", "failed", "is overloaded (status 429)"]


@pytest.mark.parametrize("answer", [
    {"error": {"message": "busy", "code": 429}}, {"error": {"message": "busy", "code": "502"}}, {"error": "upstream"},
    {"choices": [{"message": {"content": ""}, "finish_reason": "error"}]},
], ids=str)
def test_a_fault_in_an_answer_with_status_200_is_repeated(endpoint: Endpoint, answer: Any) -> None:
    endpoint.answers = [(200, answer), (200, chat("done"))]
    assert complete(Api(model="m", base_url=endpoint.url, retries=1)).text == "done"
    assert len(endpoint.calls) == 2


def test_an_answer_that_breaks_off_is_repeated(endpoint: Endpoint) -> None:
    endpoint.answers = [(200, '{"choices": [{"mess'), (200, chat("done")), (200, "<html>a page</html>"), (200, chat())]
    api = Api(model="m", base_url=endpoint.url, retries=1)
    assert complete(api).text == "done"
    assert complete(api).text == "Thought: so.", "an endpoint that has answered well may do so again"


@pytest.mark.parametrize(("answer", "told", "calls"), [
    ((500, failed("it\nbroke")), "failed: it broke", 3),
    ((429, failed("the server\nis overloaded")), "is overloaded (status 429): the server is overloaded", 1),
    ((503, ""), "is overloaded (status 503): status 503", 1),
    ((504, ""), "did not answer in time (status 504): status 504", 3),
    ((502, "<p>"), "cannot be reached (status 502): '<p>'; check base_url, and that the endpoint runs", 1),
])
def test_a_fault_that_does_not_pass_is_told(endpoint: Endpoint, answer: Any, told: str, calls: int) -> None:
    """One of the request is repeated `retries` times, and one of the endpoint for so long as `patience`: here not."""
    endpoint.answers = [(*answer, {"X-Pause": "none"})]
    text = refusal(Api(model="m", base_url=endpoint.url, retries=2, patience=0), ProviderError)
    assert text == f"{endpoint.url} {told}"
    assert len(endpoint.calls) == calls


def test_an_endpoint_that_is_silent_is_given_up(endpoint: Endpoint) -> None:
    endpoint.holds = {0: threading.Event(), 1: threading.Event()}
    api = Api(model="m", base_url=endpoint.url, timeout=0.2, retries=1, price_in=1.0, price_out=1.0)
    text = refusal(api, ProviderError)
    assert text == f"{endpoint.url} did not answer within 0.2 seconds; raise the model's option timeout"
    assert len(endpoint.calls) == 2
    assert api.meter.lost_usd > 2 * 512e-6


def test_a_pause_until_a_date_is_read() -> None:
    soon = datetime.now(timezone.utc) + timedelta(days=1)
    wait = _wait(CIMultiDict({"Retry-After": format_datetime(soon, usegmt=True)}))
    assert wait == pytest.approx(86_400, abs=3_600)


@pytest.mark.parametrize(("headers", "seconds"), [
    ({}, None), ({"retry-after": "7"}, 7), ({"Retry-After": "0.25"}, 0.25),
    ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0), ({"Retry-After": "soon"}, None),
    ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5), ({"retry-after-ms": "12.5"}, 0.0125),
    ({"retry-after-ms": "x", "retry-after": "9"}, 9),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m6.5s"}, 66.5),
    ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "6m0s"}, None),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "500ms"}, 0.5),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "3"}, 3),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "later"}, None),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9s", "retry-after": "2"}, 2),
], ids=str)
def test_a_pause_that_is_asked_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    wait = _wait(CIMultiDict(headers))
    assert wait == (seconds if seconds is None else pytest.approx(seconds, abs=1e-9))
    limits = {name: value for name, value in headers.items() if name.startswith("x-")}
    assert not limits or _rest(CIMultiDict(limits)) == (9 if "retry-after" in headers else seconds or 0)


def test_a_pause_that_is_asked_for_is_kept(endpoint: Endpoint) -> None:
    endpoint.answers = [(429, LIMITED, {"Retry-After": "0.3"}), (200, chat())]
    complete(Api(model="m", base_url=endpoint.url))
    assert endpoint.times[1] - endpoint.times[0] >= 0.3


def test_a_limit_that_is_used_up_holds_back_the_next_request(endpoint: Endpoint) -> None:
    limit = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}
    endpoint.answers = [(200, chat(), limit), (200, chat())]
    together(Api(model="m", base_url=endpoint.url, concurrency=1), ASK, ASK)
    assert endpoint.times[1] - endpoint.times[0] >= 0.3


def test_a_pause_longer_than_the_patience_ends_the_call(endpoint: Endpoint) -> None:
    endpoint.answers = [(429, LIMITED, {"Retry-After": "3600"})]
    assert refusal(Api(model="m", base_url=endpoint.url), ProviderError) == (
        f"{endpoint.url} is overloaded (status 429): slow down; it wants no request for 3600 seconds, and the model's "
        "option patience allows fewer")


def test_nobody_waits_for_what_is_longer_than_the_patience(endpoint: Endpoint) -> None:
    endpoint.answers = [(429, LIMITED, {"Retry-After": "3600"})]
    api = Api(model="m", base_url=endpoint.url, concurrency=8)

    async def many() -> list[Any]:
        calls = asyncio.gather(*map(api.complete, asks(40)), return_exceptions=True)
        ends = await asyncio.wait_for(calls, 30)
        await api.close()
        return ends

    assert {type(end) for end in asyncio.run(many())} == {ProviderError}
    assert len(endpoint.calls) == 40


def test_an_endpoint_that_says_at_once_is_asked_with_pauses_all_the_same(endpoint: Endpoint) -> None:
    endpoint.answers = [(429, LIMITED, {"Retry-After": "0"})]
    refusal(Api(model="m", base_url=endpoint.url, patience=0.5), ProviderError)
    assert len(endpoint.calls) < 30


def test_one_slow_reply_delays_only_itself(endpoint: Endpoint) -> None:
    endpoint.holds = {0: threading.Event()}

    async def ten() -> None:
        api = Api(model="m", base_url=endpoint.url, concurrency=2)
        slow = asyncio.create_task(api.complete(ASK))
        await until(lambda: len(endpoint.calls) == 1)
        await asyncio.gather(*(api.complete(ASK) for _ in range(9)))
        assert not slow.done()
        endpoint.holds[0].set()
        await slow
        await api.close()

    asyncio.run(ten())


def test_an_overloaded_endpoint_is_asked_for_less() -> None:
    with serve(Faults(capacity=3, delay=0.01, retry_after=0.01)) as server:
        api = Api(model="scripted", base_url=server.url, concurrency=24)
        replies = together(api, *asks(150))
    assert len(replies) == server.stats.answered == 150
    assert server.stats.most_at_once <= 3
    assert api.meter.level is not None
    assert api.meter.level <= 12


def test_requests_a_minute_are_kept_to() -> None:
    with serve() as server:
        api = Api(model="scripted", base_url=server.url, requests_per_minute=600)
        started = asyncio.run(timed(api, 15))
    assert server.stats.answered == 15
    assert started >= 0.35                      # A second's worth at once, and then one each 0.1 seconds.


async def timed(api: Api, n: int) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await asyncio.gather(*map(api.complete, asks(n)))
    await api.close()
    return loop.time() - started


def test_an_endpoint_that_is_down_is_waited_for_with_one_message(
        nowhere: int, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{nowhere}/v1"
    api = Api(model="scripted", base_url=url, price_in=0, price_out=0)

    async def waiting() -> None:
        calls = [asyncio.create_task(api.complete(ask)) for ask in asks(30)]
        await until(lambda: sum(api.meter.faults.values()) > 6)
        with serve(port=nowhere) as server:
            await asyncio.gather(*calls)
            assert server.stats.answered == server.stats.requests == 30
            await api.close()

    asyncio.run(waiting())
    assert capsys.readouterr().err == (
        f"  {url} cannot be reached: Connection refused; waiting for it, up to 30 seconds\n  {url} answers again\n")


def test_a_fault_of_one_request_at_a_sound_endpoint_is_no_tight_loop() -> None:
    """Others are answered meanwhile, so that nobody takes the endpoint for down, and nothing else makes it wait."""
    from tenacity import AsyncRetrying, RetryCallState

    lane = Lane("http://a/v1", 4)
    failure = calls._Failed(lane, Passing("cannot be reached (status 502)", outcome=Outcome.DOWN, refused=True))
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.set_exception((type(failure), failure, None))
    assert any(calls._pause(state) > 0 for _ in range(20))
    lane.down_since = 1.0
    assert calls._pause(state) == 0


def test_those_that_wait_in_vain_fail_together(
        nowhere: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("fireact.model.api.calls.FIRST_CONTACT", 0.2)
    url = f"http://127.0.0.1:{nowhere}/v1"

    async def all_of_them(api: Api, n: int) -> list[Any]:
        return await asyncio.gather(*map(api.complete, asks(n)), return_exceptions=True)

    async def waiting() -> None:
        api = Api(model="scripted", base_url=url, price_in=0, price_out=0, patience=0.4)
        failures = await all_of_them(api, 20)
        assert {type(failure) for failure in failures} == {ProviderError}
        assert len(set(map(id, failures))) < 10, "they did not fail together"
        assert {str(failure) for failure in failures} == {
            f"{url} cannot be reached: Connection refused; check base_url, and that the endpoint runs"}
        before = sum(api.meter.faults.values())
        await all_of_them(api, 1)
        assert sum(api.meter.faults.values()) == before, "who comes later waits no longer"
        with serve(port=nowhere):
            await all_of_them(api, 1)
        failures = await all_of_them(api, 20)
        assert {str(failure) for failure in failures} == {f"{url} cannot be reached: Connection refused"}
        await api.close()

    asyncio.run(waiting())
    told = capsys.readouterr().err.splitlines()
    assert [line.rpartition(";")[2] or line for line in told] == [
        " waiting for it, up to 0.2 seconds", f"  {url} answers again", " waiting for it, up to 0.4 seconds"]


def test_a_second_address_is_asked_while_the_first_is_down(
        nowhere: int, capsys: pytest.CaptureFixture[str]) -> None:
    with serve() as server:
        down = f"http://127.0.0.1:{nowhere}/v1"
        api = Api(model="scripted", base_url=[down, server.url], price_in=0, price_out=0)
        assert len(together(api, *asks(40))) == server.stats.answered == 40
    assert capsys.readouterr().err.startswith(f"  {down} cannot be reached: Connection refused; others serve")


def test_all_is_answered_once_among_faults_of_all_kinds() -> None:
    faults = Faults(rate_limited=0.1, error=0.05, dropped=0.05, malformed=0.05, stalled=0.02, retry_after=0.01)
    with serve(faults) as server:
        complete(Api(model="scripted", base_url=server.url), asks(1)[0])
        replies = together(Api(model="scripted", base_url=server.url, timeout=1.0), *asks(200))
        assert server.stats.answered == 201
    for number, reply in enumerate(replies):
        assert f"number{number} 1]" in reply.text
