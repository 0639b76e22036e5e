"""How many requests an endpoint gets at once and a minute: a level that it finds by itself, below what a user allows.

    pacer = Pacer([Lane("http://a/v1", most=64), Lane("http://b/v1", most=64)], requests_per_minute=500)
    turn = await pacer.enter(tokens=1200)       # waits for it; the least busy lane
    ...                                         # ask turn.lane.url
    pacer.leave(turn, Outcome.GOOD)

The level rises by one a window (as many requests as it allows, and eight at least) while all goes well, and is cut by
the share of requests that found the endpoint overloaded (additive increase, multiplicative decrease). A few refusals
among many do not cut it: up to `TOLERATED` of them the endpoint is at its best, and a lower level would only leave it
idle. A lane that is down is tried by one request at a time, with growing pauses; all others wait, or go to other lanes.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

TOLERATED = 0.1
"""The share of a window's requests that may be refused without a cut."""
_WINDOW = 8
"""The fewest requests that a level is judged by."""
_SURE = 3
"""So many requests in a row that find nobody show that a lane is down: a single one may be a slip of a gateway's."""
_PATIENCE = 5.0
"""Seconds without a good answer after which a lane that refuses all for being overloaded is taken for down too."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two looks at a lane that is down, doubled each time."""


class Outcome(Enum):
    """What a request says about its endpoint."""

    GOOD = "good"
    """It was answered, if only by a refusal of this one request."""
    FAULTY = "faulty"
    """It failed in a way that says nothing about the load: an inner error, a broken answer."""
    OVERLOADED = "overloaded"
    """It was refused or kept waiting for there were too many."""
    DOWN = "down"
    """There was nobody to answer."""


@dataclass
class Lane:
    """One address, with what is known about its state."""

    url: str
    most: int
    """The most requests under way at once."""
    busy: int = 0
    """Requests under way."""
    level: float = field(init=False)
    """The most that it is given now."""
    resumes: float = 0.0
    """The moment until which nothing is sent."""
    down_since: float | None = None
    probed: bool = False
    """Whether a request is under way that tries whether it is still down."""
    _pause: float = _FIRST_PAUSE
    faults: int = 0
    """How many requests in a row failed in ways of their own."""
    _good: float | None = None
    """When it gave the last good answer, or was first asked in vain."""
    _good_level: float = field(init=False)
    """The level at which it did."""
    _missed: int = 0
    _seen: int = 0
    """Requests of the present window."""
    _refused: int = 0
    _back: float = 0.0
    """The latest moment at which those that were refused may come back."""

    def __post_init__(self) -> None:
        """Begin at the level that the user allows: finding it from below would cost a fast endpoint seconds."""
        self.level = self._good_level = float(self.most)

    @property
    def has_room(self) -> bool:
        """Whether another request may go out, but for pauses."""
        return self.busy < max(1, int(self.level)) if self.down_since is None else not self.probed

    def judge(self, outcome: Outcome, probe: bool, now: float, wait: float | None = None) -> None:
        """Learn from how a request ended.

        `probe`: it was sent to try whether the lane is still down. `wait`: the seconds after which it may come back,
        which hold for all where the endpoint refuses many.
        """
        if self.down_since is not None:
            # What was sent before it went down, and ends only now, says nothing about now.
            if probe:
                self._tried(outcome, now, wait or 0.0)
            return
        if outcome is Outcome.GOOD:
            self._good_level = self.level
        if outcome is Outcome.GOOD or self._good is None:
            self._good = now
        self._missed = self._missed + 1 if outcome is Outcome.DOWN else 0
        self.faults = self.faults + 1 if outcome is Outcome.FAULTY else 0
        refuses_all = outcome is Outcome.OVERLOADED and now - self._good > _PATIENCE
        if self._missed >= _SURE or refuses_all:
            self.down_since, self._pause = now, _FIRST_PAUSE
            self.resumes = max(self.resumes, now + max(self._pause, wait or 0.0))
        elif outcome is not Outcome.DOWN:
            self._count(outcome, now + (wait or 0.0))

    def _tried(self, outcome: Outcome, now: float, wait: float) -> None:
        if outcome in (Outcome.DOWN, Outcome.OVERLOADED):
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            self.resumes = now + max(self._pause, wait)
        else:
            self.down_since, self._missed, self._good = None, 0, now
            self.level = max(1.0, self._good_level / 2)
            self._seen = self._refused = 0
            self._back = 0.0

    def _count(self, outcome: Outcome, back: float) -> None:
        self._seen += 1
        if outcome is Outcome.OVERLOADED:
            self._refused += 1
            self._back = max(self._back, back)
        if self._seen >= max(_WINDOW, self.level):
            share = self._refused / self._seen
            if share > TOLERATED:
                self.level = max(1.0, self.level * max(0.5, 1 - share))
                self.resumes = max(self.resumes, self._back)
            else:
                self.level = min(float(self.most), self.level + 1)
            self._seen = self._refused = 0
            self._back = 0.0


@dataclass(frozen=True)
class Permit:
    """The leave to send one request."""

    lane: Lane
    probe: bool
    """Whether it tries a lane that is down."""


@dataclass
class Rate:
    """So many units a minute, evenly, after a burst of `burst` seconds' worth (the generic cell rate algorithm)."""

    per_minute: float
    burst: float = 1.0
    _free: float = float("-inf")
    """When all that was granted so far will have been earned."""

    def wait(self, now: float) -> float:
        """Seconds until the next request may go out."""
        return max(0.0, self._free - self.burst - now)

    def take(self, units: float, now: float) -> None:
        """Grant so many units. One request may take more than a minute's worth; those after it wait longer."""
        self._free = max(self._free, now) + units * 60 / self.per_minute


@dataclass
class Pacer:
    """Lets requests out in the order in which they came, to the least busy lane. For one event loop."""

    lanes: Sequence[Lane]
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    clock: Callable[[], float] = time.monotonic
    _waiting: "deque[tuple[asyncio.Future[Permit], int]]" = field(default_factory=deque)
    _alarm: "asyncio.TimerHandle | None" = None

    def __post_init__(self) -> None:
        """Set up the rates that were asked for, each with the units that a request takes of it."""
        self._requests = Rate(self.requests_per_minute) if self.requests_per_minute else None
        self._tokens = Rate(self.tokens_per_minute) if self.tokens_per_minute else None

    @property
    def level(self) -> int:
        """How many requests may be under way now, over all lanes."""
        return sum(int(lane.level) if lane.down_since is None else 1 for lane in self.lanes)

    @property
    def most(self) -> int:
        """How many at best."""
        return sum(lane.most for lane in self.lanes)

    @property
    def busy(self) -> int:
        """How many are."""
        return sum(lane.busy for lane in self.lanes)

    @property
    def down_since(self) -> float | None:
        """Since when all lanes have been down; None where one is not."""
        moments = [lane.down_since for lane in self.lanes]
        return None if None in moments else max(moment for moment in moments if moment is not None)

    async def enter(self, tokens: int = 0) -> Permit:
        """Wait for a turn. `tokens` are those that the request will count for, estimated."""
        if not self._waiting:
            lane = self._free_lane(self.clock())
            if lane:
                return self._grant(lane, tokens)
        turn: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, tokens))
        self._admit()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(turn.result(), None)
            raise

    def leave(self, turn: Permit, outcome: Outcome | None, wait: float | None = None) -> None:
        """Say how a request ended; None where it was cancelled, which says nothing."""
        lane = turn.lane
        lane.busy -= 1
        if turn.probe:
            lane.probed = False
        if outcome is not None:
            lane.judge(outcome, turn.probe, self.clock(), wait)
        self._admit()

    def pause(self, lane: Lane, seconds: float) -> None:
        """Send a lane nothing for so long."""
        lane.resumes = max(lane.resumes, self.clock() + seconds)

    def reject(self, failure: Exception) -> None:
        """Let all that wait fail: nobody will answer them."""
        waiting, self._waiting = self._waiting, deque()
        for turn, _ in waiting:
            if not turn.done():
                turn.set_exception(failure)

    def _grant(self, lane: Lane, tokens: int) -> Permit:
        now = self.clock()
        for rate, units in ((self._requests, 1), (self._tokens, tokens)):
            if rate:
                rate.take(units, now)
        lane.busy += 1
        lane.probed = lane.down_since is not None
        return Permit(lane, lane.probed)

    def _free_lane(self, now: float) -> Lane | None:
        """The least busy lane that may be used now."""
        if any(rate and rate.wait(now) for rate in (self._requests, self._tokens)):
            return None
        free = [lane for lane in self.lanes if lane.has_room and now >= lane.resumes]
        # A lane that is down is tried while others have room too, or it would never be found to be up again. One that
        # fails at once is never busy, and comes last.
        return min(free, key=lambda lane: (lane.down_since is None, lane.faults >= _SURE, lane.busy / lane.level),
                   default=None)

    def _admit(self) -> None:
        """Give turns to those that wait, as far as there is room."""
        while self._waiting:
            turn, tokens = self._waiting[0]
            if not turn.done():
                now = self.clock()
                lane = self._free_lane(now)
                if lane is None:
                    self._wake(now)
                    return
                turn.set_result(self._grant(lane, tokens))
            self._waiting.popleft()

    def _wake(self, now: float) -> None:
        """Look again when the first pause ends; a request that comes back looks by itself."""
        pauses = [lane.resumes - now for lane in self.lanes if lane.has_room and lane.resumes > now]
        waits = [rate.wait(now) for rate in (self._requests, self._tokens) if rate and rate.wait(now)]
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        if waits or pauses:
            seconds = max(waits) if waits else min(pauses)
            self._alarm = asyncio.get_running_loop().call_later(seconds + 0.001, self._admit)
