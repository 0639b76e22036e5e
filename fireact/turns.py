"""Whose turn it is: which question a process plays next, when others play the same folder.

Questions are played in the order of their split. One that another process has claimed is left to it, and taken over
where that process dies. Further attempts at a question are turns of their own, or, where they end with the first right
answer, one turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fireact.claims import Claims
from fireact.records import Records
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
    attempts: tuple[int, ...]

    @property
    def claim(self) -> int:
        """The number by which processes claim it: any two that share an attempt share the number of the first."""
        return self.number * MOST_ATTEMPTS + self.attempts[0]


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

    def turns(self) -> Iterable[Turn]:
        """All turns, in order."""
        for number, question in enumerate(self.questions):
            if self.until_correct:
                yield Turn(question, number, tuple(range(self.attempts)))
            else:
                for attempt in range(self.attempts):
                    yield Turn(question, number, (attempt,))

    def left(self, turn: Turn, records: Records) -> list[int]:
        """The attempts of a turn that are to be played still."""
        if self.until_correct and any(records.correct(turn.question.id, attempt) for attempt in turn.attempts):
            return []
        return [attempt for attempt in turn.attempts if not records.played(turn.question.id, attempt)]

    def enough(self, records: Records) -> Sequence[Question]:
        """The questions that count: all, or the first ones that hold as many attempts as are to be `kept`.

        Which these are does not depend on the order in which they ended. Stops at the first that is not played.
        """
        if self.kept is None:
            return self.questions
        kept = 0
        for number, question in enumerate(self.questions):
            names = [(question.id, attempt) for attempt in range(self.attempts)]
            if not any(records.played(*name) for name in names):
                return self.questions[:number]
            kept += sum(self.keeps(records.read(*name)) for name in names if records.played(*name))
            if kept >= self.kept:
                return self.questions[: number + 1]
        return self.questions

    def done(self, records: Records) -> bool:
        """Whether nothing is left to play."""
        if not any(self.left(turn, records) for turn in self.turns()):
            return True
        return self.kept is not None and self._kept(records) >= self.kept

    def _kept(self, records: Records) -> int:
        """Of the questions up to the first that is not played, how many attempts are worth keeping."""
        counted = self.enough(records)
        return sum(self.keeps(records.read(question.id, attempt)) for question in counted
                   for attempt in range(self.attempts) if records.played(question.id, attempt))


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
    _waiting: deque[Turn] = field(init=False)
    _elsewhere: deque[Turn] = field(init=False, default_factory=deque)
    _poll: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)
    _judged: dict[tuple[str, int], bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Line up what is left."""
        self._waiting = deque(turn for turn in self.plan.turns() if self.plan.left(turn, self.records))

    async def take(self) -> Turn | None:
        """Return the next turn, claimed; None where there is none left. Waits for what others have under way."""
        async with self._poll:
            while not self.stopped:
                turn = self._next()
                if turn is not None:
                    return turn
                if not self._elsewhere or self._enough():
                    return None
                self.others(len(self._elsewhere))
                await asyncio.sleep(POLL)
                self.records.refresh()
                self._waiting, self._elsewhere = self._elsewhere, deque()
            return None

    def give_back(self, turn: Turn) -> None:
        """Say that a turn is over, played or not."""
        self.claims.release(turn.claim)

    def _next(self) -> Turn | None:
        while self._waiting and not self._enough():
            turn = self._waiting.popleft()
            if not self.plan.left(turn, self.records):
                continue
            if not self.claims.take(turn.claim):
                self._elsewhere.append(turn)
                continue
            # Whoever had it before may just have finished it.
            self.records.refresh()
            left = self.plan.left(turn, self.records)
            if left:
                return turn
            self.claims.release(turn.claim)
        return None

    def _enough(self) -> bool:
        if self.plan.kept is None:
            return False
        for name, place in self.records.places.items():
            if name not in self._judged and place.played:
                self._judged[name] = self.plan.keeps(self.records.read(*name))
        return sum(self._judged.values()) >= self.plan.kept
