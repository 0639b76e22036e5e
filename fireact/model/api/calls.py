"""Get one request through: wait for a turn, reserve its price, send it, repeat what may pass, read the reply.

Nothing below repeats anything, so that nothing is repeated twice over. Each request is reserved and settled by itself:
one whose answer got lost may have to be paid for, and counts as if it had.
"""

import asyncio
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fireact.errors import BudgetExceeded, ConfigError, ContextError, FireActError, ProviderError, suggest
from fireact.meter import Meter
from fireact.model.api.reply import Reply, Usage, parse
from fireact.model.api.request import PATHS, Dialect, body, most_tokens, said
from fireact.model.api.transport import Refused, Transport
from fireact.pacing import Lane, Outcome, Pacer
from fireact.prices import Price, cost
from fireact.types import Ask, Completion
from fireact.web import Passing

if TYPE_CHECKING:
    from tenacity import RetryCallState

FIRST_CONTACT = 30.0
"""Seconds for which an endpoint that has not answered yet is waited for: its address may be wrong."""
_STRAGGLERS = 20
"""Replies after which it is known how long one takes."""


@dataclass(frozen=True)
class _Got:
    reply: Reply
    seconds: float
    """From sending the request to the end of its answer."""
    usd: float | None


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

    async def complete(self, ask: Ask) -> Completion:
        """Ask once. Raises ConfigError, BudgetExceeded, ContextError, FilterError, ProviderError."""
        got = await (self._hedged(ask) if self.hedge else self._patiently(ask))
        usage, reply = got.reply.usage or Usage(), got.reply
        return Completion(said(reply.text, ask), reply.finish, usage.prompt_tokens, usage.completion_tokens,
                          usage.cached, got.seconds, got.usd)

    async def _hedged(self, ask: Ask) -> _Got:
        """Send a second request where the first takes long; whichever is answered first counts."""
        assert self.hedge is not None
        first = asyncio.create_task(self._patiently(ask))
        tasks = [first]
        try:
            if len(self._took) >= _STRAGGLERS:
                await asyncio.wait(tasks, timeout=self.hedge * statistics.median(self._took))
                if not first.done():
                    self.meter.hedged += 1
                    tasks.append(asyncio.create_task(self._patiently(ask)))
            done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if rest and all(task.exception() for task in done):
                done, _ = await asyncio.wait(rest)
            got = done.pop().result()
            # The other one is paid for too; what it would have been is not known, so it counts as much again.
            twice = got.usd if len(tasks) > 1 else 0.0
            return _Got(got.reply, got.seconds, None if got.usd is None else got.usd + (twice or 0.0))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _patiently(self, ask: Ask) -> _Got:
        """Ask until there is an answer, or no use in asking on."""
        try:
            return await self._once(ask)
        except Passing as failure:
            # Most calls need no second try, and are spared what the bookkeeping of tries costs.
            return await self._again(ask, failure)

    async def _again(self, ask: Ask, first: Passing) -> _Got:
        from tenacity import AsyncRetrying, retry_if_exception_type

        faulty, failures = 0, [first]

        async def again() -> _Got:
            if failures:
                raise failures.pop()
            return await self._once(ask)

        def enough(state: "RetryCallState") -> bool:
            nonlocal faulty
            failure = state.outcome and state.outcome.exception()
            assert isinstance(failure, Passing)
            faulty += failure.outcome is Outcome.FAULTY
            waited = (state.seconds_since_start or 0.0) + (failure.wait or 0.0)
            if failure.outcome is Outcome.DOWN and self.pacer.down_since is not None:
                waited = max(waited, time.monotonic() - self.pacer.down_since)
            return faulty > self.retries if failure.outcome is Outcome.FAULTY else waited > self._patience(failure)

        tries = AsyncRetrying(retry=retry_if_exception_type(Passing), stop=enough, wait=_pause, reraise=True)
        try:
            return await tries(again)
        except Passing as failure:
            gone = ProviderError(f"{self.pacer.lanes[0].url} {failure}")
            if failure.outcome is Outcome.DOWN:
                self.pacer.reject(gone)
            raise gone from None

    def _patience(self, failure: Passing) -> float:
        first = failure.outcome is Outcome.DOWN and not self._answered
        return min(self.patience, FIRST_CONTACT) if first else self.patience

    async def _once(self, ask: Ask) -> _Got:
        longest = ask.max_tokens or self.longest
        seed = {"seed": ask.episode.seed} if ask.episode and self.seeded else {}
        told = {"model": self.model, **body(ask, self.dialect, {**self.options, **seed}, longest)}
        prompt = most_tokens(told)
        lane = await self.pacer.enter(prompt // 4 + longest)
        outcome = None
        try:
            got = await self._paid(lane, told, prompt, longest)
            outcome, self._answered = Outcome.GOOD, True
            return got
        except Passing as failure:
            outcome = failure.outcome
            self._note(lane, failure)
            raise
        except Refused as refusal:
            outcome = Outcome.GOOD
            if not self.dialect.adapted(str(refusal), told):
                raise ProviderError(str(refusal)) from None
        except (BudgetExceeded, asyncio.CancelledError):
            raise
        except FireActError:
            outcome = Outcome.GOOD
            raise
        finally:
            self.pacer.leave(lane, outcome)
            self.meter.busy, self.meter.level = self.pacer.busy, self.pacer.level
        return await self._once(ask)

    async def _paid(self, lane: Lane, told: Mapping[str, Any], prompt: int, longest: int) -> _Got:
        """Send a request that is paid for, and read its answer."""
        price = self.price()
        most = cost(price, prompt, longest, written_tokens=prompt) if price and price.written > price.input else cost(
            price, prompt, longest)
        ticket = await self.meter.reserve(most, prompt + longest, f"the model {self.model}")
        self.meter.busy = self.pacer.busy
        started, settled = time.monotonic(), False
        try:
            answer = await self.transport.post(lane.url, PATHS[self.dialect.route], told)
            if answer.rest:
                self.pacer.pause(lane, answer.rest)
            reply = self._read(answer.data, lane.url)
            usage = reply.usage
            usd = usage and cost(price, usage.prompt_tokens, usage.completion_tokens, usage.cached, usage.written)
            tokens = usage.prompt_tokens + usage.completion_tokens if usage else prompt + longest
            self.meter.settle(ticket, usd if usage else most, tokens)
            settled = True
            seconds = time.monotonic() - started
            self._took.append(seconds)
            return _Got(reply, seconds, usd)
        except LookupError as missing:
            self.meter.release(ticket)
            settled = True
            raise await self._no_model(lane.url, str(missing)) from None
        except (Passing, FireActError) as failure:
            if _certainly_not_done(failure):
                self.meter.release(ticket)
                settled = True
            raise
        finally:
            if not settled:
                self.meter.lose(ticket, most, prompt + longest)

    def _read(self, data: bytes, place: str) -> Reply:
        """Read an answer. What is none at all is told at once, unless the endpoint has given good ones before."""
        try:
            reply = parse(data, place)
        except ProviderError as failure:
            if "check that base_url" not in str(failure):
                raise
            if self._answered:
                raise Passing(f"answered without a text, got {data[:100]!r}") from None
            raise ConfigError(str(failure)) from None
        if reply.unknown and reply.unknown not in self._told:
            self._told.add(reply.unknown)
            _say(f"{place} ended a reply with the unknown finish_reason={reply.unknown!r}; it is taken for a whole one")
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

    def _note(self, lane: Lane, failure: Passing) -> None:
        """Count a failure, and tell of an endpoint that is not there."""
        self.meter.faults[str(failure).split(":")[0].split(",")[0].split(";")[0]] += 1
        if failure.outcome is Outcome.DOWN and lane.down_since is None:
            _say(f"{lane.url} {failure}; waiting for it, up to {self._patience(failure):g} seconds")


def _certainly_not_done(failure: Exception) -> bool:
    """Whether a request that failed is not paid for: else its answer may only have got lost, or was cut off."""
    if isinstance(failure, Passing):
        return failure.refused
    return isinstance(failure, (Refused, ConfigError, ContextError))


def _pause(state: "RetryCallState") -> float:
    """Seconds before the next try: those the endpoint named, or a share of a growing time, drawn by lot."""
    from tenacity import wait_random, wait_random_exponential

    failure = state.outcome and state.outcome.exception()
    if isinstance(failure, Passing) and failure.outcome is Outcome.DOWN:
        return 0.0  # The pacer lets one at a time try.
    if isinstance(failure, Passing) and failure.wait is not None:
        return failure.wait + wait_random(0, min(1.0, 0.25 * failure.wait))(state)
    return wait_random_exponential(multiplier=0.5, max=30)(state)


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
