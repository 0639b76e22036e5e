"""What episodes are played with, whatever they are: the tape, the meter with its budget, and how many at once.

    async with open_engine(settings) as engine:
        model = engine.model(bare, job, ...)
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fireact.batching import Batches
from fireact.database import Journal
from fireact.ledger import Booked, Cap, Ledger, Scope, Ticket
from fireact.meter import Meter
from fireact.protocols import Model, Tool, with_inner
from fireact.sections import Budget, Caps, Mode, Section, Taping
from fireact.tape import Tape
from fireact.tape.file import TapeFile
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
    worker: str = ""
    """What tells this run's lines in a job's metrics.jsonl from those of others that play the same job."""

    @property
    def tape_file(self) -> Path:
        """Where the tape is."""
        return self.tape.file or self.store / "tape.sqlite"

    @property
    def ledger_file(self) -> Path:
        """Where the ledger is."""
        return ledger_file(self.budget, self.store)

    def scopes(self) -> list[Scope]:
        """What the run's spending counts for."""
        # A run by itself is a sweep of one.
        return [Scope("run", self.run, _cap(self.budget.run)), Scope("day", "", _cap(self.budget.day)),
                Scope("sweep", self.sweep or self.run, _cap(self.budget.sweep))]


def _cap(caps: Caps) -> Cap:
    return Cap(caps.usd, caps.tokens, caps.calls)


def ledger_file(budget: Budget, store: Path) -> Path:
    """Where all processes of a store book what they spend."""
    return budget.ledger or store / "ledger.sqlite"


@dataclass
class Engine:
    """The open files and counters of one process."""

    settings: Settings
    meter: Meter
    loaded: Model | None = None
    """The model that is in memory, or connected."""
    _file: TapeFile = field(init=False)
    _tapes: list[Tape] = field(init=False, default_factory=list)
    _tools: list[Any] = field(init=False, default_factory=list)
    """Those that were built, and those that they wrap."""

    def __post_init__(self) -> None:
        """Name the tape's file, which is opened when it is used."""
        settings = self.settings
        self._file = TapeFile(settings.tape_file, settings.journal, only_read=settings.tape.mode == "strict")

    def model(self, model: Model, job: str, /, **identity: Any) -> TapedModel:
        """Put a model's answers on the tape of a job; `identity` is all that can change them."""
        mode = "off" if getattr(model, "instant", False) else self.settings.tape.mode
        return TapedModel(model, Party.of(**identity), self._tape(mode, job), self.meter)

    def tool(self, tool: Tool, job: str, /, **identity: Any) -> TapedTool:
        """Put a tool's answers on it."""
        self._tools += with_inner(tool)
        return TapedTool(tool, Party.of(**identity), self._tape(self.settings.tape.mode, job), self.meter)

    def _tape(self, mode: Mode, job: str) -> Tape:
        self._tapes.append(Tape(self._file, mode, job))
        return self._tapes[-1]

    def close_tape(self) -> None:
        """End the calls that are under way, write what is pending, and let go of the file. Raises DataError."""
        for tape in self._tapes:
            tape.cancel()
        self._file.close()

    async def close_model(self) -> None:
        """Free what the model holds. Calls that were ended get to their end before."""
        await asyncio.sleep(0)
        if self.loaded is not None:
            await self.loaded.close()
            self.loaded = None

    async def close_tools(self) -> None:
        """End the requests of tools that are connected to something."""
        for tool in self._tools:
            if hasattr(tool, "close"):
                await tool.close()


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncIterator[Engine]:
    """Open what a process plays with. Raises DataError for a file that cannot be used.

    What plays is closed before what it books in: calls that are under way at the end are settled.
    """
    with closing(Ledger(settings.ledger_file, settings.scopes(), journal=settings.journal)) as ledger:
        meter = Meter(ledger)
        engine = Engine(settings, meter)
        async with AsyncExitStack() as stack:
            if settings.journal != "wal":
                # Where each commit waits for a disk, or for a file server, the event loop must not.
                meter.batches = stack.enter_context(closing(Batches(ledger.book, "ledger", _give_back(ledger))))
            stack.push_async_callback(engine.close_tools)
            stack.push_async_callback(engine.close_model)
            stack.callback(engine.close_tape)
            yield engine


def _give_back(ledger: Ledger) -> Callable[[Booked], None]:
    """What becomes of a reservation whose request was cancelled before it was sent."""
    return lambda found: ledger.release(found) if isinstance(found, Ticket) else None
