"""What the calls of a process take, counted as they happen, and paid for out of a budget.

Models and tools that are paid for are given the run's meter. Before each request they reserve the most that it can
take, and after it they settle what it took; `Meter` keeps the counts for the display and hands the rest to the ledger.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from fireact.batching import Batches
from fireact.errors import BudgetExceeded, ConfigError
from fireact.ledger import Amount, Booked, Entry, Ledger, Saved, Settled, Ticket


@dataclass
class Meter:
    """The counts of one process. Money is in US dollars."""

    ledger: Ledger | None = None
    batches: Batches[Entry, Booked] | None = None
    """Where the ledger is slow: what books in it in a thread. None: it takes microseconds, and is used as it is."""
    asked: int = 0
    """Replies of the model that came from the model itself."""
    replayed: int = 0
    """Replies of the model that came from the tape."""
    used: int = 0
    """Observations that came from the tool itself."""
    reused: int = 0
    """Observations that came from the tape."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    """Of the calls whose price is known."""
    saved_usd: float = 0.0
    """What the replies from the tape had cost when they were recorded."""
    unpriced: int = 0
    """Paid calls of a price that is not known."""
    lost_usd: float = 0.0
    """At most: requests without a usable answer that may have to be paid for all the same."""
    faults: Counter[str] = field(default_factory=Counter)
    """Requests that failed and were sent again, by what was wrong."""
    hedged: int = 0
    """Requests that were sent a second time because the first took long."""
    busy: int = 0
    """Requests under way."""
    level: int | None = None
    """How many requests may be under way now; None for a model without such a limit."""
    most: int | None = None
    """How many the user allows."""

    _open: int = 0
    """Requests for which something is reserved, or is about to be."""
    _ended: int = 0
    """Requests that were under way and are not any more."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced, where `_open` becomes less."""
    _line: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the request that waits near a cap; others line up behind it."""

    @property
    def repeated(self) -> int:
        """Requests that failed and were sent again."""
        return sum(self.faults.values())

    async def reserve(self, usd: float | None, tokens: int, name: str) -> Ticket | None:
        """Set aside the most that one request of `name` can take.

        Near a cap it waits for requests under way, which mostly take less than was reserved for them. Raises
        BudgetExceeded once there are none, and ConfigError for an unknown price where a cap is on money.
        """
        if self.ledger is None:
            return None
        if usd is None and any(scope.cap.usd is not None for scope in self.ledger.scopes):
            raise ConfigError(f"a budget in US dollars is set, and what {name} costs is not known; set its price, or a "
                              "budget in tokens or calls")
        most = Amount(usd or 0.0, tokens, 1)
        if not self._line.locked():
            try:
                return await self._reserve(most)
            except BudgetExceeded:
                pass
        async with self._line:
            while True:
                ended = self._ended
                try:
                    return await self._reserve(most)
                except BudgetExceeded:
                    if self._ended == ended:
                        if not self._open:
                            raise
                        await self._changed.wait()

    async def _reserve(self, most: Amount) -> Ticket:
        assert self.ledger is not None
        self._open += 1
        try:
            if self.batches is None:
                return self.ledger.reserve(most)
            return await self._batched(self.batches.add(most))
        except BaseException:
            self._open -= 1
            self._tell()
            raise

    async def _batched(self, booked: "asyncio.Future[Booked]") -> Ticket:
        try:
            found = await booked
        except asyncio.CancelledError:
            # Cancelled in the moment in which it was granted.
            ticket = None if booked.cancelled() or booked.exception() else booked.result()
            if isinstance(ticket, Ticket):
                self._book(Settled(ticket, Amount()))
            raise
        if isinstance(found, BudgetExceeded):
            raise found
        assert found is not None
        return found

    def _tell(self) -> None:
        """Wake who waits for requests under way."""
        self._changed.set()
        self._changed = asyncio.Event()

    def settle(self, ticket: Ticket | None, usd: float | None, tokens: int) -> None:
        """Book what a request took in place of what was reserved for it."""
        if usd is None:
            self.unpriced += 1
        self.usd += usd or 0.0
        self._close(ticket, Amount(usd or 0.0, tokens, 1))

    def release(self, ticket: Ticket | None) -> None:
        """Give back what was reserved for a request that is not paid for."""
        self._close(ticket, Amount())

    def lose(self, ticket: Ticket | None, usd: float | None, tokens: int) -> None:
        """Book the most for a request that may have to be paid for, though nothing usable came of it."""
        self.lost_usd += usd or 0.0
        self._close(ticket, Amount(usd or 0.0, tokens, 1))

    def _close(self, ticket: Ticket | None, took: Amount) -> None:
        if ticket is not None and self.ledger is not None:
            self._book(Settled(ticket, took))
            self._open -= 1
            self._ended += 1
            self._tell()

    def save(self, usd: float | None, tokens: int) -> None:
        """Count a reply that did not have to be paid for again."""
        self.saved_usd += usd or 0.0
        self._book(Saved(Amount(usd or 0.0, tokens, 1)))

    def _book(self, entry: Entry) -> None:
        if self.batches is not None:
            self.batches.add(entry)
        elif self.ledger is not None:
            self.ledger.book([entry])
