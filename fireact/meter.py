"""What the calls of a process take, counted as they happen, and paid for out of a budget.

Models and tools that are paid for are given the run's meter. Before each request they reserve the most that it can
take, and after it they settle what it took; `Meter` keeps the counts for the display and hands the rest to the ledger.
"""

from collections import Counter
from dataclasses import dataclass, field

from fireact.errors import ConfigError
from fireact.ledger import Amount, Ledger, Ticket


@dataclass
class Meter:
    """The counts of one process. Money is in US dollars."""

    ledger: Ledger | None = None
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

    def reserve(self, usd: float | None, tokens: int, name: str) -> Ticket | None:
        """Set aside the most that one request of `name` can take. Raises BudgetExceeded, ConfigError."""
        if self.ledger is None:
            return None
        if usd is None and any(scope.cap.usd is not None for scope in self.ledger.scopes):
            raise ConfigError(f"a budget in US dollars is set, and what {name} costs is not known; set its price, or a "
                              "budget in tokens or calls")
        return self.ledger.reserve(Amount(usd or 0.0, tokens, 1))

    def settle(self, ticket: Ticket | None, usd: float | None, tokens: int) -> None:
        """Book what a request took in place of what was reserved for it."""
        if usd is None:
            self.unpriced += 1
        self.usd += usd or 0.0
        if ticket is not None and self.ledger is not None:
            self.ledger.settle(ticket, Amount(usd or 0.0, tokens, 1))

    def release(self, ticket: Ticket | None) -> None:
        """Give back what was reserved for a request that is not paid for."""
        if ticket is not None and self.ledger is not None:
            self.ledger.release(ticket)

    def lose(self, ticket: Ticket | None, usd: float | None, tokens: int) -> None:
        """Book the most for a request that may have to be paid for, though nothing usable came of it."""
        self.lost_usd += usd or 0.0
        if ticket is not None and self.ledger is not None:
            self.ledger.settle(ticket, Amount(usd or 0.0, tokens, 1))

    def save(self, usd: float | None, tokens: int) -> None:
        """Count a reply that did not have to be paid for again."""
        self.saved_usd += usd or 0.0
        if self.ledger is not None:
            self.ledger.save(Amount(usd or 0.0, tokens, 1))
