"""Get one request through: wait for a turn, reserve its price, send it, repeat what may pass, read the reply.

Nothing below repeats anything, so that nothing is repeated twice over. Each request is reserved and settled by itself:
one whose answer got lost may have to be paid for, and counts as if it had.
"""

import asyncio
import json
import re
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fireact.errors import BudgetExceeded, ConfigError, ContextError, FireActError, ProviderError, suggest
from fireact.meter import Meter
from fireact.model.api.reply import NoReply, Reply, Usage, parse
from fireact.model.api.request import PATHS, Dialect, body, mend, most_tokens, said
from fireact.model.api.transport import Missing, Refused, Transport
from fireact.model.api.watch import Watch, say
from fireact.pacing import Lane, Outcome, Pacer, Permit
from fireact.prices import Price, cost, highest
from fireact.requests import Ask
from fireact.types import Completion
from fireact.web import Passing

if TYPE_CHECKING:
    from tenacity import RetryCallState

FIRST_CONTACT = 30.0
"""Seconds for which an endpoint that has not answered yet is waited for: its address may be wrong."""
_KNOWN = 20
"""Replies after which it is known how long one takes."""
_LONGEST_REST = 60.0
"""Seconds after which an endpoint that wants a longer rest, and refused nothing, is asked all the same."""


@dataclass(frozen=True)
class _Got:
    reply: Reply
    seconds: float
    """From sending the request to the end of its answer."""
    usd: float | None


class _Failed(Exception):
    """A request failed in a way that may pass."""

    def __init__(self, lane: Lane, cause: Passing) -> None:
        super().__init__(f"{lane.url} {cause}")
        self.lane, self.cause, self.outcome, self.wait = lane, cause, cause.outcome, cause.wait
        self.alone = cause.outcome is Outcome.FAULTY or not cause.refused
        """Whether it says something of this one request, which may have to be paid for, not of the endpoint's state."""


@dataclass(kw_only=True)
class Calls:
    """All calls of one model."""

    model: str
    options: Mapping[str, Any]
    longest: int
    """Tokens of a reply, where the ask does not say."""
    dialect: Dialect
    transport: Transport
    pacer: Pacer
    meter: Meter
    price: Callable[[], Price | None]
    retries: int
    patience: float
    hedge: float | None
    seeded: bool
    """Whether the endpoint is told the episode's seed: a greedy reply needs none."""
    _answered: bool = field(init=False, default=False)
    """Whether the endpoint ever gave a good answer."""
    _took: deque[float] = field(init=False, default_factory=lambda: deque(maxlen=200))
    _told: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        """Count what the options may add to a prompt, e.g. a schema."""
        self._extra = len(json.dumps(dict(self.options), default=str))
        self._watch = Watch(self._patience)

    async def complete(self, ask: Ask) -> Completion:
        """Ask once. Raises ConfigError, BudgetExceeded, ContextError, FilterError, ProviderError."""
        got = await self._patiently(ask)
        usage, reply = got.reply.usage or Usage(), got.reply
        return Completion(said(reply.text, ask), reply.finish, usage.prompt_tokens, usage.completion_tokens,
                          usage.cached, got.seconds, got.usd, reply.calls if ask.tools else ())

    async def _patiently(self, ask: Ask) -> _Got:
        """Ask until there is an answer, or no use in asking on."""
        try:
            return await self._try(ask)
        except _Failed as failure:
            # Most calls need no second try, and are spared what the bookkeeping of tries costs.
            return await self._again(ask, failure)

    async def _again(self, ask: Ask, first: _Failed) -> _Got:
        from tenacity import AsyncRetrying, retry_if_exception_type

        alone, failures = 0, [first]

        async def again() -> _Got:
            if failures:
                raise failures.pop()
            return await self._try(ask)

        def enough(state: "RetryCallState") -> bool:
            nonlocal alone
            failure = _failure(state)
            if failure.alone:
                alone += 1
                return alone > self.retries
            waited = (state.seconds_since_start or 0.0) + (failure.wait or 0.0)
            if failure.outcome is Outcome.DOWN and self.pacer.down_since is not None:
                waited = max(waited, time.monotonic() - self.pacer.down_since)
            return waited > self._patience(failure.outcome)

        def count(state: "RetryCallState") -> None:
            self.meter.faults[re.split("[:,;]", str(_failure(state).cause))[0]] += 1

        tries = AsyncRetrying(retry=retry_if_exception_type(_Failed), stop=enough, wait=_pause, before_sleep=count,
                              reraise=True)
        try:
            return await tries(again)
        except _Failed as failure:
            way = mend(str(failure.cause), {}, {"tools": ask.tools}) if ask.tools else ""
            gone = ProviderError(f"{failure}{self._rest_of_sentence(failure)}{way}")
            if failure.outcome is Outcome.DOWN and self.pacer.down_since is not None:
                self.pacer.reject(gone)
            raise gone from None

    def _patience(self, outcome: Outcome) -> float:
        first = outcome is Outcome.DOWN and not self._answered
        return min(self.patience, FIRST_CONTACT) if first else self.patience

    def _rest_of_sentence(self, failure: _Failed) -> str:
        if failure.outcome is Outcome.DOWN and not self._answered:
            return "; check base_url, and that the endpoint runs"
        if not failure.alone and (failure.wait or 0.0) > self.patience:
            return f"; it wants no request for {failure.wait:.0f} seconds, and the model's option patience allows fewer"
        return ""

    async def _try(self, ask: Ask) -> _Got:
        return await (self._hedged(ask) if self.hedge and len(self._took) >= _KNOWN else self._once(ask))

    async def _hedged(self, ask: Ask) -> _Got:
        """Send a request a second time where it takes long; whichever is answered first counts."""
        sent, again = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(self._once(ask, sent))
        second = asyncio.create_task(self._later(ask, sent, again))
        tasks = first, second
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if all(task.exception() for task in done) and (first not in done or again.is_set()):
                await asyncio.wait(tasks)  # One of them failed; the other is under way.
            # The other one may be paid for too: that is the ledger's affair, not this reply's.
            return next((task for task in tasks if task.done() and not task.exception()), first).result()
        finally:
            self.meter.hedged += again.is_set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _later(self, ask: Ask, sent: asyncio.Event, again: asyncio.Event) -> _Got:
        await sent.wait()
        await asyncio.sleep((self.hedge or 1.0) * statistics.median(self._took))
        return await self._once(ask, again)

    async def _once(self, ask: Ask, sent: asyncio.Event | None = None) -> _Got:
        """Send one request when its turn comes; `sent` is set once it goes out."""
        longest = ask.max_tokens or max(self.longest, ask.room)
        told = body(ask, self.dialect, {"model": self.model, **self.options}, longest, self.seeded)
        prompt = most_tokens(told) + self._extra
        turn = await self.pacer.enter(prompt // 4 + longest)
        place = turn.lane.url
        try:
            got = await self._paid(turn.lane, told, prompt, longest, sent)
        except Passing as failure:
            # For a pause longer than anybody's patience, nobody else is made to wait.
            wait = failure.wait if (failure.wait or 0.0) <= self.patience else None
            self._leave(turn, failure.outcome, str(failure), wait)
            raise _Failed(turn.lane, failure) from None
        except Refused as refusal:
            self._leave(turn, Outcome.GOOD)
            if not self.dialect.adapted(str(refusal), told):
                raise ProviderError(f"{refusal}{mend(str(refusal), self.options, told)}") from None
        except Missing as missing:
            self._leave(turn, Outcome.GOOD)
            if way := mend(str(missing).replace(self.model, ""), {}, told):  # OpenRouter: nobody serves it with tools.
                raise ProviderError(f"{place} refuses the request: {missing}{way}") from None
            raise await self._no_model(place, str(missing)) from None
        except BaseException as failure:
            answered = isinstance(failure, FireActError) and not isinstance(failure, BudgetExceeded)
            self._leave(turn, Outcome.GOOD if answered else None)
            raise
        else:
            self._leave(turn, Outcome.GOOD)
            return got
        return await self._once(ask, sent)

    def _leave(self, turn: Permit, outcome: Outcome | None, failure: str = "", wait: float | None = None) -> None:
        """Give the turn back, and tell where an endpoint has gone, or has come back."""
        lane = turn.lane
        before = lane.down_since
        self.pacer.leave(turn, outcome, wait)
        self.meter.busy, self.meter.level, self.meter.most = self.pacer.busy, self.pacer.level, self.pacer.most
        self._watch.see(lane, before, outcome, failure, wait, others=self.pacer.down_since is None)

    async def _paid(self, lane: Lane, told: Mapping[str, Any], prompt: int, longest: int,
                    sent: asyncio.Event | None) -> _Got:
        """Send a request that is paid for, and read its answer."""
        price = self.price()
        most = highest(price, prompt, longest)
        ticket = await self.meter.reserve(most, prompt + longest, f"the model {self.model}")
        if sent:
            sent.set()
        self.meter.busy = self.pacer.busy
        started = time.monotonic()
        try:
            answer = await self.transport.post(lane.url, PATHS[self.dialect.route], told)
            reply = self._read(answer.data, lane.url)
        except BaseException as failure:
            if _certainly_not_done(failure):
                self.meter.release(ticket)
            else:
                self.meter.lose(ticket, most, prompt + longest)
            raise
        usage, seconds = reply.usage, time.monotonic() - started
        usd = usage and cost(price, usage.prompt_tokens, usage.completion_tokens, usage.cached, usage.written)
        tokens = usage.prompt_tokens + usage.completion_tokens if usage else prompt + longest
        self.meter.settle(ticket, most if usd is None else usd, tokens)
        if answer.rest:
            self.pacer.pause(lane, min(answer.rest, _LONGEST_REST))
        if reply.failure:
            raise reply.failure
        self._took.append(seconds)
        return _Got(reply, seconds, usd)

    def _read(self, data: bytes, place: str) -> Reply:
        """Read an answer. What is none at all is told at once, unless the endpoint has given good ones before."""
        try:
            reply = parse(data, place)
        except NoReply as failure:
            if self._answered:
                raise Passing(str(failure)) from None
            raise ConfigError(f"{place} {failure}; check that base_url is the address of a chat API, which mostly ends "
                              "in /v1") from None
        self._answered = True
        if reply.unknown and reply.unknown not in self._told:
            self._told.add(reply.unknown)
            say(f"{place} ended a reply with the unknown finish_reason={reply.unknown!r}; it is taken for a whole one")
        return reply

    async def _no_model(self, place: str, told: str) -> ConfigError:
        """Say what there is in place of what was asked for."""
        known = await self.transport.models(place)
        if self.model in known or not known:
            return ConfigError(f"{place} has no model {self.model!r} on the route {self.dialect.route}: {told}; set "
                               "the model's options model, base_url (which mostly ends in /v1) and route")
        shown = f"{', '.join(known[:12])}{', ...' if len(known) > 12 else ''}"
        near = suggest(self.model, known)
        return ConfigError(f"{place} has no model {self.model!r}{near if 'did you mean' in near else ''}; it has "
                           f"{shown}; set the model's option model")


def _certainly_not_done(failure: BaseException) -> bool:
    """Whether a request that failed is not paid for: else its answer may only have got lost, or was cut off."""
    if isinstance(failure, Passing):
        return failure.refused
    return isinstance(failure, (Refused, Missing, ConfigError, ContextError))


def _pause(state: "RetryCallState") -> float:
    """Seconds before the next try: those the endpoint named, or a share of a growing time, drawn by lot."""
    from tenacity import wait_random, wait_random_exponential

    failure = _failure(state)
    if failure.lane.down_since is not None:
        return 0.0  # The pacer lets one at a time try.
    if failure.wait:
        return failure.wait + wait_random(0, min(1.0, 0.25 * failure.wait))(state)
    # An overloaded endpoint is spared by the pacer; who sleeps long would not see it come back.
    longest = 5 if failure.outcome is Outcome.OVERLOADED else 30
    return wait_random_exponential(multiplier=0.5, max=longest)(state)


def _failure(state: "RetryCallState") -> _Failed:
    failure = state.outcome and state.outcome.exception()
    assert isinstance(failure, _Failed)
    return failure
