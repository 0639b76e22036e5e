"""Placeholder."""
from dataclasses import dataclass
@dataclass(frozen=True)
class Amount:
    usd: float = 0.0
    tokens: int = 0
    calls: int = 0
@dataclass(frozen=True)
class Cap:
    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
@dataclass(frozen=True)
class Scope:
    kind: str
    id: str
    cap: Cap = Cap()
class Ticket: ...
class Ledger:
    def __init__(self, path, scopes): self.scopes = scopes
    def reserve(self, most): return Ticket()
    def settle(self, t, a): ...
    def release(self, t): ...
    def save(self, a): ...
    def flush(self): ...
    def close(self): ...
