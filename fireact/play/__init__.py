"""Play what a job lacks, many episodes at once, each attempt recorded as soon as it ends."""

from contextlib import closing
from dataclasses import dataclass, field

from fireact.episode import Player
from fireact.errors import BudgetExceeded, ConfigError, ProviderError
from fireact.meter import Meter
from fireact.play.claims import Claims
from fireact.play.progress import Progress
from fireact.play.records import Records
from fireact.play.turns import Plan, Turn, Turns
from fireact.pool import each
from fireact.types import StopReason, Trajectory

GIVE_UP = 5
"""So many episodes in a row whose model or tool was out of reach end the work: a quota is used up, a line down."""


async def play(player: Player, plan: Plan, records: Records, concurrency: int, label: str, meter: Meter,
               worker: str = "") -> None:
    """Play all turns that are left and that no other process plays; return when all are done.

    Raises ConfigError, DataError; ProviderError where some could not be played, and BudgetExceeded, once what was under
    way has ended. `label` and `worker` are for who reads of the progress.
    """
    with closing(Claims(records.folder)) as claims:
        turns = Turns(plan, records, claims)
        with Progress(label, turns, player, meter, worker) as progress:
            work = _Work(player, turns, progress)
            await each(turns.take, work.play, concurrency)
            records.refresh()
            work.end()
        work.finish()


@dataclass
class _Work:
    player: Player
    turns: Turns
    progress: Progress
    too_long: list[Trajectory] = field(default_factory=list)
    """Questions that do not fit into the model's window, held back until one does: if none does, that is no result."""
    reached: bool = False
    """Whether one did."""
    in_a_row: int = 0
    """How many of the last episodes were out of reach."""
    last_error: str | None = None
    spent: BudgetExceeded | None = None

    async def play(self, turn: Turn) -> None:
        """Play a turn's attempts one after the other, as many as it takes."""
        try:
            for attempt in self._left(turn):
                if self.turns.stopped or attempt not in self._left(turn):
                    break
                self._note(await self.player.play(turn.question, attempt))
        except BudgetExceeded as reached:
            # Nothing new begins. What is under way goes on as far as its next paid call.
            self.spent, self.turns.stopped = reached, True
        finally:
            self.turns.give_back(turn)

    def _left(self, turn: Turn) -> list[int]:
        return self.turns.plan.left(turn, self.turns.records)

    def _note(self, record: Trajectory) -> None:
        if record.stop is StopReason.CONTEXT and not record.steps and not self.reached:
            self.too_long.append(record)
            return
        self.reached = True
        held, self.too_long = self.too_long, []
        for ended in (*held, record):
            self._append(ended)

    def _append(self, record: Trajectory) -> None:
        self.turns.records.append(record)
        self.turns.records.refresh()
        self.in_a_row = 0 if record.stop.played else self.in_a_row + 1
        if not record.stop.played:
            self.last_error = record.error
        if self.in_a_row >= GIVE_UP:
            # Each of them may have paid for replies.
            self.turns.stopped = True
        self.progress.advance(record)

    def end(self) -> None:
        """Record what was held back. Raises ConfigError where no question fits."""
        if self.too_long and not self.reached and not self.turns.records.places:
            raise ConfigError(f"no question fits: {self.too_long[0].error}")
        for record in self.too_long:
            self._append(record)

    def finish(self) -> None:
        """Put the records in order where all are there. Raises what keeps them from being all."""
        plan, records = self.turns.plan, self.turns.records
        if plan.settle(records):
            return
        if self.spent is not None:
            raise self.spent
        left = {turn.number for turn in plan.turns() if turn.number <= self.turns.last and plan.left(turn, records)}
        wanted = f"{plan.kept} attempts were to be kept, {self.turns.found} are, and " if plan.kept else ""
        raise ProviderError(f"{wanted}{len(left)} of {len(plan.questions)} questions could not be played, what was "
                            f"played is kept; start the same command again to go on: {self.last_error}")
