"""What episodes are played with, whatever they are: the tape, the meter with its budget, and how many at once.

    async with open_engine(settings) as engine:
        model = engine.model(bare, job, ...)
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fireact.database import Journal
from fireact.ledger import Cap, Ledger, Scope
from fireact.meter import Meter
from fireact.protocols import Model, Tool
from fireact.sections import Budget, Caps, Section, Taping
from fireact.tape import Tape
from fireact.tape.request import Party
from fireact.tape.taped import TapedModel, TapedTool


class Settings(Section):
    """How a run plays. Nothing of it can change a record."""

    concurrency: int
    journal: Journal = "wal"
    tape: Taping
    budget: Budget
    store: Path
    run: str
    """The run's directory, and when it was started."""
    sweep: str | None
    """The sweep's, for a cell of one."""

    @property
    def tape_file(self) -> Path:
        """Where the tape is."""
        return self.tape.file or self.store / "tape.sqlite"

    @property
    def ledger_file(self) -> Path:
        """Where the ledger is."""
        return self.budget.ledger or self.store / "ledger.sqlite"

    def scopes(self) -> list[Scope]:
        """What the run's spending counts for."""
        # A run by itself is a sweep of one.
        return [Scope("run", self.run, _cap(self.budget.run)), Scope("day", "", _cap(self.budget.day)),
                Scope("sweep", self.sweep or self.run, _cap(self.budget.sweep))]


def _cap(caps: Caps) -> Cap:
    return Cap(caps.usd, caps.tokens, caps.calls)


@dataclass
class Engine:
    """The open files and counters of one process."""

    settings: Settings
    meter: Meter
    loaded: Model | None = None
    """The model that is in memory, or connected."""
    _tapes: list[Tape] = field(default_factory=list)

    def model(self, model: Model, job: str, /, **identity: Any) -> TapedModel:
        """Put a model's answers on the tape of a job; `identity` is all that can change them."""
        instant = getattr(model, "instant", False)
        return TapedModel(model, Party.of(**identity), self._tape(job, off=instant), self.meter)

    def tool(self, tool: Tool, job: str, /, **identity: Any) -> TapedTool:
        """Put a tool's answers on it."""
        return TapedTool(tool, Party.of(**identity), self._tape(job), self.meter)

    def _tape(self, job: str, off: bool = False) -> Tape:
        mode = "off" if off else self.settings.tape.mode
        found = next((tape for tape in self._tapes if (tape.job, tape.mode) == (job, mode)), None)
        if found is None:
            found = Tape(self.settings.tape_file, mode, job, self.settings.journal)
            self._tapes.append(found)
        return found

    def close_tapes(self) -> None:
        """End the calls that are under way, write what is pending, and let go of the files. Raises DataError."""
        with ExitStack() as stack:
            for tape in self._tapes:
                stack.callback(tape.close)

    async def close_model(self) -> None:
        """Free what the model holds. Calls that were ended get to their end before."""
        await asyncio.sleep(0)
        if self.loaded is not None:
            await self.loaded.close()
            self.loaded = None


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncIterator[Engine]:
    """Open what a process plays with. Raises DataError for a file that cannot be used.

    What is left of work that was cancelled ends first, then what it books in; the model is closed in between.
    """
    with closing(Ledger(settings.ledger_file, settings.scopes(), journal=settings.journal)) as ledger:
        engine = Engine(settings, Meter(ledger))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.close_model)
            stack.callback(engine.close_tapes)
            yield engine
