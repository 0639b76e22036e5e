"""The tape: every answered call of a model or tool, on disk before its episode goes on.

    tape = Tape(TapeFile(Path("tape.sqlite")), "replay", job="...")
    line, kept = await tape.once(request, ask)
    python -m fireact.tape tape.sqlite                      # what it holds

So an episode that is played again, after a kill or in another run, asks and pays for nothing twice; and a tape can be
given away, for others to replay what it holds without a key or a network (`strict`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fireact.errors import DataError
from fireact.sections import Mode
from fireact.tape.file import Answered, Look, TapeFile
from fireact.tape.miss import describe
from fireact.tape.request import Request


@dataclass
class Tape:
    """A file as one job reads and writes it. For one event loop."""

    file: TapeFile
    mode: Mode
    job: str = ""
    """Marks what this job records."""
    _flights: "dict[bytes, asyncio.Task[str]]" = field(init=False, repr=False, default_factory=dict)
    _missed: str | None = field(init=False, repr=False, default=None)
    """The sentence of the first `strict` miss, which ends all others that are under way too."""

    async def once(self, request: Request, ask: Callable[[], Awaitable[str]]) -> tuple[str, bool]:
        """Return a request's answer, and whether it came from the tape; `ask` gets it where it did not.

        What each mode does stands at `sections.Mode`. The same request is under way only once at a time. A caller that
        is cancelled loses nothing: the request goes on, and its answer is recorded. Raises what `ask` does, and
        DataError for the file, or for a `strict` miss.
        """
        if self.mode == "off":
            return await ask(), False
        kept = await self._get(request.key)
        if kept is not None:
            return kept, True
        if self.mode == "strict":
            self._missed = self._missed or describe(self.file.path, self.file.reader, request)
            raise DataError(self._missed)
        flight = self._flights.get(request.key)
        if flight is not None:
            return await asyncio.shield(flight), True
        flight = self._flights[request.key] = asyncio.create_task(self._record(request, ask))
        flight.add_done_callback(lambda done: self._landed(request.key, done))
        return await asyncio.shield(flight), False

    def cancel(self) -> None:
        """End the requests that are under way. They have ended when the event loop has had its next turn."""
        for flight in self._flights.values():
            flight.cancel()

    async def _get(self, key: bytes) -> str | None:
        found = await self.file.find(Look(key, self.job, own=self.mode == "record"))
        if found and found.job != self.job and self.mode != "strict":
            self.file.note(self.job, key)
        return found and found.answer

    async def _record(self, request: Request, ask: Callable[[], Awaitable[str]]) -> str:
        # A lone half of a surrogate pair in a model's words has no UTF-8 form, and SQLite takes none.
        answer = (await ask()).encode("utf-8", "replace").decode()
        return await self.file.write(Answered(request, answer, self.job))

    def _landed(self, key: bytes, done: "asyncio.Task[str]") -> None:
        del self._flights[key]
        if not done.cancelled():
            done.exception()  # Looked at: asyncio complains of those that nobody has looked at.
