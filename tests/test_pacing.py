"""The pacer in a time of its own, which passes only where everybody waits: no test depends on the real one."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from functools import wraps
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact.errors import ProviderError
from fireact.pacing import Lane, Outcome, Pacer, Permit, Rate


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next thing that happens; where nothing ever would, it fails."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = selectors.DefaultSelector()
        real = selector.select

        def select(timeout: float | None = None) -> Any:
            assert timeout is not None, "all wait for what never comes"
            self.now += max(0.0, timeout)
            return real(0)

        selector.select = select
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def timeless(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Let a test play in such a loop."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with closing(Loop()) as loop:
            loop.run_until_complete(test(*args, **kwargs))

    return run


def now() -> float:
    return asyncio.get_running_loop().time()


class Watched(Pacer):
    """No lane is given more than its level, nor anything while it rests."""

    def _grant(self, lane: Lane, tokens: int) -> Permit:
        turn = super()._grant(lane, tokens)
        assert 1 <= lane.level <= lane.most >= lane.busy
        assert lane.busy <= int(lane.level) or turn.probe
        assert self.clock() >= lane.resumes
        return turn


def pacer(*most: int, **rates: float) -> Pacer:
    lanes = [Lane(f"http://{letter}", limit) for letter, limit in zip("abc", most, strict=False)]
    return Watched(lanes, **rates, clock=asyncio.get_running_loop().time)


async def entered(pace: Pacer, number: int = 1) -> list[Permit]:
    """Turns that are to be had at once."""
    return [await asyncio.wait_for(pace.enter(), 0.001) for _ in range(number)]


JOBS = st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3), st.sampled_from([*Outcome, Outcome.GOOD]),
                          st.one_of(st.none(), st.floats(0, 4))), min_size=1, max_size=40)
"""When each comes, how long it takes, how it ends, and after how many seconds it is cancelled, if it is."""


@settings(max_examples=200)
@given(JOBS, st.lists(st.integers(1, 4), min_size=1, max_size=3))
@timeless
async def test_no_lane_gets_more_than_its_level_and_all_are_served_in_turn(jobs: list, most: list[int]) -> None:
    pace = pacer(*most)
    came, given_at = [], {}

    async def one(number: int, arrives: float, takes: float, outcome: Outcome) -> None:
        await asyncio.sleep(arrives)
        came.append(number)
        turn = await pace.enter()
        given_at[number] = now()
        try:
            await asyncio.sleep(takes)
        except asyncio.CancelledError:
            pace.leave(turn, None)
            raise
        pace.leave(turn, outcome)

    async def ending(number: int, arrives: float, takes: float, outcome: Outcome, after: float | None) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(one(number, arrives, takes, outcome), None if after is None else arrives + after)

    await asyncio.gather(*(ending(number, *job) for number, job in enumerate(jobs)))
    assert pace.busy == 0
    turns = [given_at[number] for number in came if number in given_at]
    assert turns == sorted(turns)


@timeless
async def test_the_least_busy_lane_is_asked() -> None:
    pace = pacer(4, 2)
    assert [turn.lane.url[-1] for turn in await entered(pace, 6)] == ["a", "b", "a", "a", "b", "a"]
    with pytest.raises(asyncio.TimeoutError):
        await entered(pace)


@timeless
async def test_a_lane_that_fails_at_once_is_no_least_busy_one() -> None:
    pace = pacer(8, 8)
    (turn,) = await entered(pace)
    bad, good = turn.lane, next(lane for lane in pace.lanes if lane is not turn.lane)
    pace.leave(turn, Outcome.FAULTY)
    for _ in range(2):
        (turn,) = await entered(pace)
        assert turn.lane is bad
        pace.leave(turn, Outcome.FAULTY)
    turns = await entered(pace, 9)
    assert [turn.lane for turn in turns] == [good] * 8 + [bad]
    pace.leave(turns.pop(), Outcome.GOOD)
    assert (await entered(pace))[0].lane is bad


@timeless
async def test_a_cancelled_waiter_loses_no_place_even_in_the_moment_of_its_turn() -> None:
    pace = pacer(1)
    (turn,) = await entered(pace)
    first, second, third = (asyncio.create_task(pace.enter()) for _ in range(3))
    await asyncio.sleep(1e-6)
    second.cancel()
    pace.leave(turn, Outcome.GOOD)
    first.cancel()                          # Its turn is given, and it does not know yet.
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await third).lane.busy == 1
    assert not pace._waiting


@pytest.mark.parametrize("per_minute", [7.0, 60.0, 600.0, 6000.0])
@pytest.mark.parametrize("unit", ["requests_per_minute", "tokens_per_minute"])
@settings(max_examples=15)
@given(data=st.data())
@timeless
async def test_no_minute_has_more_than_its_rate_and_a_burst(unit: str, per_minute: float, data: st.DataObject) -> None:
    most = 1 if unit.startswith("requests") else max(1, int(per_minute / 5))
    sizes = data.draw(st.lists(st.integers(1, most), min_size=1, max_size=int(min(300, 2 * per_minute))))
    pauses = data.draw(st.lists(st.floats(0, 0.5), min_size=len(sizes), max_size=len(sizes)))
    pace, moments = pacer(1000, **{unit: per_minute}), []
    for size, pause in zip(sizes, pauses, strict=True):
        turn = await pace.enter(tokens=size)
        moments.append(now())
        pace.leave(turn, Outcome.GOOD)
        await asyncio.sleep(pause)
    for start in moments:
        sent = sum(size for moment, size in zip(moments, sizes, strict=True) if start <= moment < start + 60)
        assert sent <= per_minute + per_minute / 60 + most      # The burst, and one that is half earned.
    assert moments[-1] <= sum(sizes) * 60 / per_minute + sum(pauses) + 0.002 * len(sizes) + 0.001


def test_a_request_of_more_than_a_minutes_worth_is_let_out_and_then_waited_for() -> None:
    rate = Rate(60.0)
    assert rate.wait(0.0) == 0
    rate.take(600, 0.0)
    assert (rate.wait(0.0), rate.wait(600.0)) == (599, 0)


async def served(pace: Pacer, capacity: list[int], seconds: float) -> int:
    """Ask a server that refuses what exceeds its capacity, from 64 workers; return how many requests it answered."""
    ends, answered, under_way = now() + seconds, 0, 0

    async def worker(number: int) -> None:
        nonlocal answered, under_way
        while now() < ends:
            turn = await pace.enter()
            if full := under_way >= capacity[0]:
                await asyncio.sleep(0.05)
            else:
                under_way += 1
                await asyncio.sleep(0.9 + number / 320)
                under_way -= 1
                answered += 1
            pace.leave(turn, Outcome.OVERLOADED if full else Outcome.GOOD)
            await asyncio.sleep(0.3 + number / 100 if full else 0)

    await asyncio.gather(*map(worker, range(64)))
    return answered


@timeless
async def test_the_level_finds_a_servers_capacity_and_follows_it() -> None:
    pace, capacity = pacer(64), [20]
    await served(pace, capacity, 20)
    assert 16 <= pace.level <= 24
    assert await served(pace, capacity, 60) > 0.85 * 20 * 60
    assert 16 <= pace.level <= 24
    capacity[0] = 64
    await served(pace, capacity, 80)
    assert pace.level == 64


def test_the_longest_pause_that_a_window_was_told_holds_for_all() -> None:
    lane = Lane("http://a", 64)
    for _ in range(63):
        lane.judge(Outcome.OVERLOADED, False, 10.0, wait=30.0)
    lane.judge(Outcome.GOOD, False, 11.0)
    assert lane.level == 32
    assert lane.resumes == 40.0
    for _ in range(64):
        lane.judge(Outcome.GOOD, False, 50.0)
    assert lane.resumes == 40.0


def test_a_few_refusals_cut_nothing_and_many_cut_at_most_half() -> None:
    lane, slipping = Lane("http://a", 64), Lane("http://b", 64)
    for outcome in (Outcome.DOWN, Outcome.DOWN, Outcome.GOOD) * 5:
        slipping.judge(outcome, False, 0.0)
        assert (slipping.down_since, slipping.level) == (None, 64), "two may be a gateway's slip"
    for number in range(6400):
        lane.judge(Outcome.OVERLOADED if number % 20 == 0 else Outcome.GOOD, False, 0.0)
        assert lane.level == 64
    for _ in range(64):
        lane.judge(Outcome.OVERLOADED, False, 0.0)
    assert lane.level == 32
    for number in range(32):
        lane.judge(Outcome.OVERLOADED if number % 4 == 0 else Outcome.FAULTY, False, 0.0)
    assert lane.level == 24


@timeless
async def test_a_lane_that_is_down_is_tried_by_one_at_a_time_while_the_others_go_on() -> None:
    pace = pacer(4, 4)
    (down, up), back = pace.lanes, 40.0
    tries, answered = [], []

    async def worker() -> None:
        while now() < 70:
            turn = await pace.enter()
            if turn.lane is down and now() < back:
                tries.append((now(), turn.probe))
                await asyncio.sleep(0.01)
                pace.leave(turn, Outcome.DOWN)
            else:
                await asyncio.sleep(0.1)
                answered.append((now(), turn.lane.url))
                pace.leave(turn, Outcome.GOOD)

    await asyncio.gather(*(worker() for _ in range(6)))
    probes = [moment for moment, probe in tries if probe]
    assert len(tries) - len(probes) <= 6
    gaps = [after - before for before, after in zip([0.0, *probes], probes, strict=False)]
    assert gaps == pytest.approx([0.5, 1, 2, 4, 8, 16], abs=0.3)
    assert sum(url == up.url and moment < 40 for moment, url in answered) > 0.95 * 40 * 40
    assert down.down_since is None
    assert min(moment for moment, url in answered if url == down.url) == pytest.approx(31.5 + 30, abs=0.5)


def test_the_pauses_grow_up_to_half_a_minute_and_begin_anew_after_an_answer() -> None:
    lane, moment, pauses = Lane("http://a", 8), 0.0, []
    for _ in range(3):
        lane.judge(Outcome.DOWN, False, moment)
    for _ in range(8):
        pauses.append(lane.resumes - moment)
        moment = lane.resumes
        lane.judge(Outcome.DOWN, True, moment)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    lane.judge(Outcome.GOOD, False, moment)
    assert lane.down_since == 0, "what was sent before says nothing"
    moment = lane.resumes
    lane.judge(Outcome.OVERLOADED, True, moment, wait=50)
    assert (lane.down_since, lane.resumes - moment) == (0, 50), "there, and takes nothing"
    moment = lane.resumes
    lane.judge(Outcome.FAULTY, True, moment)
    assert (lane.down_since, lane.level) == (None, 4)
    for down_since in (None, None, moment):
        lane.judge(Outcome.DOWN, False, moment)
        assert lane.down_since == down_since
    assert lane.resumes - moment == 0.5


def test_a_lane_that_refuses_all_for_seconds_is_down_and_comes_back_near_its_old_level() -> None:
    lane = Lane("http://a", 64)
    lane.judge(Outcome.GOOD, False, 10.0)
    for number in range(200):
        lane.judge(Outcome.OVERLOADED, False, 10.0 + number / 50)
    assert (lane.down_since, lane.level) == (None, 1)
    lane.judge(Outcome.OVERLOADED, False, 15.1)
    assert lane.down_since == 15.1
    lane.judge(Outcome.GOOD, True, 20.0)
    assert (lane.down_since, lane.level) == (None, 32)


@timeless
async def test_a_probe_that_is_cancelled_makes_room_for_another() -> None:
    pace = pacer(4)
    for turn in await entered(pace, 3):
        pace.leave(turn, Outcome.DOWN)
    assert pace.down_since == now()
    assert pace.level == 1
    first, second = (asyncio.create_task(pace.enter()) for _ in range(2))
    turn = await first
    assert turn.probe and now() >= 0.5  # noqa: PT018
    await asyncio.sleep(1e-6)
    assert not second.done()
    pace.leave(turn, None)
    assert (await second).probe


@timeless
async def test_those_that_wait_fail_together_and_others_may_come() -> None:
    pace = pacer(1)
    (turn,) = await entered(pace)
    waiting = [asyncio.create_task(pace.enter()) for _ in range(5)]
    await asyncio.sleep(1e-6)
    waiting[0].cancel()
    pace.reject(ProviderError("it is gone"))
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(end) for end in ended] == [asyncio.CancelledError] + [ProviderError] * 4
    pace.leave(turn, Outcome.GOOD)
    await entered(pace)


@timeless
async def test_a_lane_that_rests_gets_nothing_while_the_others_go_on() -> None:
    pace = pacer(4, 1)
    first, second = pace.lanes
    pace.pause(first, 10)
    pace.pause(first, 5)                    # The longer one counts.
    (turn,) = await entered(pace)
    assert turn.lane is second
    waiting = asyncio.create_task(pace.enter())
    await asyncio.sleep(9.9)
    assert not waiting.done()
    assert (await waiting).lane is first
    assert now() == pytest.approx(10, abs=0.01)
