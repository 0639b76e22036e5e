"""Whose turn it is: which question a process plays next, when others play the same folder.

Questions are played in the order of their split. One that another process has claimed is left to it, and taken over
where that process dies. Further attempts at a question are turns of their own, or, where they end with the first right
answer, one turn.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from fireact.play.claims import Claims
from fireact.play.records import Name, Records
from fireact.sections import MOST_ATTEMPTS
from fireact.types import Question, Trajectory

POLL = 0.2
"""Seconds between two looks at what other processes have finished."""


@dataclass(frozen=True)
class Turn:
    """A question to be played, and the numbers of the attempts."""

    question: Question
    number: int
    """The question's place in its split."""
    attempts: range

    @property
    def claim(self) -> range:
        """The numbers by which processes claim it, one an attempt."""
        first = self.number * MOST_ATTEMPTS
        return range(first + self.attempts.start, first + self.attempts.stop)


@dataclass
class Plan:
    """How often each question is played, and when that is enough."""

    questions: Sequence[Question]
    attempts: int = 1
    until_correct: bool = False
    """Whether a right answer ends a question's attempts: harder questions then get more of them."""
    kept: int | None = None
    """Stop once so many attempts are worth keeping."""
    keeps: Callable[[Trajectory], bool] = field(default=lambda record: record.score.em == 1)
    """Which are."""

    def turns(self) -> Iterator[Turn]:
        """All turns, in order."""
        at_once = self.attempts if self.until_correct else 1
        for number, question in enumerate(self.questions):
            for first in range(0, self.attempts, at_once):
                yield Turn(question, number, range(first, first + at_once))

    def left(self, turn: Turn, records: Records) -> list[int]:
        """The attempts of a turn that are to be played still."""
        if self.until_correct and any(records.correct(turn.question.id, attempt) for attempt in turn.attempts):
            return []
        return [attempt for attempt in turn.attempts if not records.played(turn.question.id, attempt)]

    def counted(self, turn: Turn, records: Records) -> list[Name]:
        """The attempts of a turn that count: those played, or, where the first right one ends them, those up to it."""
        names = [(turn.question.id, attempt) for attempt in turn.attempts if records.played(turn.question.id, attempt)]
        if self.until_correct:
            right = next((at for at, name in enumerate(names) if records.correct(*name)), len(names))
            return names[: right + 1]
        return names

    def kept_of(self, turn: Turn, records: Records) -> int:
        """How many attempts of a turn are worth keeping."""
        return sum(self.keeps(records.read(*name)) for name in self.counted(turn, records))

    def enough(self, records: Records) -> list[Name] | None:
        """The attempts that count, in order; None while some are to be played still.

        They are those of all questions, or of the first ones that hold as many as are to be `kept`: so which these are
        does not depend on the order in which they ended.
        """
        names: list[Name] = []
        kept, last = 0, None
        for turn in self.turns():
            if last is not None and turn.number > last:
                break
            if self.left(turn, records):
                return None
            names += self.counted(turn, records)
            if self.kept is not None and last is None:
                kept += self.kept_of(turn, records)
                last = turn.number if kept >= self.kept else None
        return names

    def done(self, records: Records) -> bool:
        """Whether nothing is left to play."""
        return self.enough(records) is not None

    def settle(self, records: Records) -> bool:
        """Put the records into the order of the questions where nothing is left to play; return whether that is so."""
        done = self.done(records)
        if done:
            records.settle([(turn.question.id, attempt) for turn in self.turns() for attempt in turn.attempts])
        return done


@dataclass
class Turns:
    """The turns that are left, handed out to the workers of this process."""

    plan: Plan
    records: Records
    claims: Claims
    others: Callable[[int], None] = lambda number: None
    """Told once how many questions only other processes have under way."""
    stopped: bool = False
    """Whether no new turn is to begin."""
    found: int = field(init=False, default=0)
    """How many attempts are known to be worth keeping; counted only where `kept` ends the plan."""
    last: float = field(init=False, default=float("inf"))
    """The number of the last question that is needed, as far as is known."""
    _waiting: deque[Turn] = field(init=False)
    _elsewhere: deque[Turn] = field(init=False, default_factory=deque)
    _poll: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)
    _kept: Counter[int] = field(init=False, default_factory=Counter)
    """How many attempts are worth keeping, by the number of their question."""
    _playing: int = field(init=False, default=0)
    """Turns that were handed out and are not over."""
    _over: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    """Set when one is."""

    def __post_init__(self) -> None:
        """Line up what is left."""
        self._waiting = deque()
        for turn in self.plan.turns():
            if turn.number > self.last:
                break
            if self.plan.left(turn, self.records):
                self._waiting.append(turn)
            else:
                self._count(turn)

    async def take(self) -> Turn | None:
        """Return the next turn, claimed; None where there is none left.

        Waits for what others have under way, and where what is under way may be all that is to be kept.
        """
        async with self._poll:
            while not self.stopped:
                if self._may_be_enough():
                    self._over.clear()
                    await self._over.wait()
                    continue
                turn = self._next()
                if turn is not None:
                    self._playing += 1
                    return turn
                self._waiting = deque(turn for turn in self._elsewhere if turn.number <= self.last)
                self._elsewhere.clear()
                if not self._waiting:
                    return None
                self.others(len(self._waiting))
                await asyncio.sleep(POLL)
                self.records.refresh()
            return None

    def give_back(self, turn: Turn) -> None:
        """Say that a turn is over, played or not."""
        self.claims.release(turn.claim)
        self._playing -= 1
        self._count(turn)
        self._over.set()

    def _may_be_enough(self) -> bool:
        """Whether the next turn may not be needed: for all that is under way may be worth keeping."""
        if self.plan.kept is None or not self._playing or not self._waiting:
            return False
        if self.found + self._playing < self.plan.kept:
            return False
        # What is kept behind the next question does not count, if that one and those under way are.
        before = sum(kept for number, kept in self._kept.items() if number < self._waiting[0].number)
        return before + self._playing >= self.plan.kept

    def _next(self) -> Turn | None:
        while self._waiting and self._waiting[0].number <= self.last:
            turn = self._waiting.popleft()
            if self.plan.left(turn, self.records):
                if not self.claims.take(turn.claim):
                    self._elsewhere.append(turn)
                    continue
                # Whoever had it before may just have finished it.
                self.records.refresh()
                if self.plan.left(turn, self.records):
                    return turn
                self.claims.release(turn.claim)
            self._count(turn)
        return None

    def _count(self, turn: Turn) -> None:
        """Count what is worth keeping of a turn that is over, once."""
        if self.plan.kept is None:
            return
        kept = self.plan.kept_of(turn, self.records)
        if kept:
            self._kept[turn.number] += kept
        self.found += kept
        if kept and self.found >= self.plan.kept:
            numbers = sorted(self._kept)
            sums = accumulate(self._kept[number] for number in numbers)
            self.last = next(number for number, found in zip(numbers, sums, strict=True) if found >= self.plan.kept)
