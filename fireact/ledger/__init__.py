"""The ledger of paid calls, one file that all processes of a sweep share: caps on US dollars, tokens and calls.

    python -m fireact.ledger outputs/store/ledger.sqlite        what was spent, by day, sweep and run

    ticket = ledger.reserve(Amount(usd=0.04, tokens=2000, calls=1))     the most that the call can take
    ledger.settle(ticket, Amount(usd=0.01, tokens=700, calls=1))        what it took

A cap holds for what is spent and what is reserved together, so that no number of processes can exceed it. What a
process that was killed had reserved stays reserved for ever: it may have been paid for, so it counts.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import get_args

from fireact.database import Database, Journal
from fireact.errors import BudgetExceeded
from fireact.ledger.amounts import (
    NANO,
    UNCAPPED,
    Amount,
    Booked,
    Cap,
    Entry,
    Kind,
    Saved,
    Scope,
    Settled,
    Ticket,
    Total,
    Units,
    limits,
    plus,
    refusal,
    units,
)

__all__ = ["Account", "Amount", "Booked", "Cap", "Entry", "Kind", "Ledger", "Saved", "Scope", "Settled", "Ticket",
           "Total", "read", "taken_today"]

_PENDING = 64
"""Where no cap is set, so many settled calls are held back at most until they are written."""

_COLUMNS = [f"{state}_{unit}" for state in ("spent", "held", "saved") for unit in ("nanos", "tokens", "calls")]
_SCHEMA = f"""CREATE TABLE scopes (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL,
              opened TEXT NOT NULL, {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in _COLUMNS)},
              UNIQUE (kind, id))"""
_OPEN = """INSERT INTO scopes (kind, id, opened) VALUES (?, ?, ?)
           ON CONFLICT (kind, id) DO UPDATE SET opened = excluded.opened"""
_FIND = "SELECT number FROM scopes WHERE kind = ? AND id = ?"
_READ = f"SELECT {', '.join(_COLUMNS)} FROM scopes WHERE number = ?"
_ADD = f"UPDATE scopes SET {', '.join(f'{name} = {name} + ?' for name in _COLUMNS)} WHERE number = ?"


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


class Ledger:
    """The ledger as one process sees it. Its methods may be called from any thread.

    All of them raise DataError where the file cannot be used. With a cap, a settled call is written at once: as long as
    it is not, the most that it could take is held, and another process may be stopped too early. Without, it is written
    together with the next call that is reserved, or by `flush`.
    """

    def __init__(self, path: Path, scopes: Sequence[Scope], today: Callable[[], str] = _today,
                 journal: Journal = "wal") -> None:
        """Open the file, or begin it. `today` tells the date (UTC) as YYYY-MM-DD."""
        # The cap that outlasts the others comes first: who is stopped by it is not told to start again.
        self.scopes = tuple(sorted(scopes, key=lambda scope: get_args(Kind).index(scope.kind)))
        self._limits = [limits(scope.cap) for scope in self.scopes]
        self._patience = _PENDING if all(most == [UNCAPPED] * 3 for most in self._limits) else 0
        self._file, self._today, self._lock = _database(path, journal), today, RLock()
        self._db = self._file.connect()
        self._day: str | None = None
        self._rows: tuple[int, ...] = ()
        self._pending: dict[tuple[int, ...], list[int]] = {}
        """What is to be added to the columns of some scopes; of (): to the present ones."""
        self._waiting = 0
        self._mine: dict[tuple[int, ...], list[int]] = {}
        """What calls of this process hold, by their scopes."""

    def book(self, entries: Sequence[Entry]) -> list[Booked]:
        """Book several entries in one transaction.

        A refused amount holds nothing in any scope.
        """
        with self._lock:
            for entry in entries:
                self._note(entry)
            wanted = [entry for entry in entries if isinstance(entry, Amount)]
            tickets = iter(self._reserve(wanted) if wanted else ())
            if self._waiting > self._patience:
                self.flush()
        return [next(tickets) if isinstance(entry, Amount) else None for entry in entries]

    def reserve(self, most: Amount) -> Ticket:
        """Set aside the most that a call can take. Raises BudgetExceeded, holding nothing, where a cap is too near."""
        (ticket,) = self.book([most])
        if isinstance(ticket, BudgetExceeded):
            raise ticket
        assert ticket is not None
        return ticket

    def settle(self, ticket: Ticket, spent: Amount) -> None:
        """Book what a call took in place of what was reserved for it. A ticket that is settled stays as it is."""
        self.book([Settled(ticket, spent)])

    def release(self, ticket: Ticket) -> None:
        """Give back what was reserved for a call that took nothing."""
        self.settle(ticket, Amount())

    def save(self, amount: Amount) -> None:
        """Count what an answer from the tape would have taken; it is written with the next call."""
        self.book([Saved(amount)])

    def _note(self, entry: Entry) -> None:
        """Remember what is to be written."""
        if isinstance(entry, Saved):
            plus(self._pending.setdefault((), [0] * 9), (0, 0, 0, 0, 0, 0, *units(entry.amount)))
        if isinstance(entry, Settled) and not entry.ticket.settled:
            ticket, freed = entry.ticket, [-unit for unit in entry.ticket.held]
            ticket.settled = True
            plus(self._mine[ticket.rows], freed)
            plus(self._pending.setdefault(ticket.rows, [0] * 9), (*units(entry.spent), *freed, 0, 0, 0))
            self._waiting += 1

    def _reserve(self, amounts: Sequence[Amount]) -> list[Ticket | BudgetExceeded]:
        tickets: list[Ticket | BudgetExceeded] = []
        with self._writing() as rows:
            found = [list(self._db.execute(_READ, (row,)).fetchone()) for row in rows]
            held = [0, 0, 0]
            for wanted in map(units, amounts):
                place = next((place for place, columns in enumerate(found)
                              if _over(columns, wanted, self._limits[place]) is not None), None)
                if place is not None:
                    tickets.append(BudgetExceeded(self._refusal(place, rows[place], found[place], wanted)))
                    continue
                for columns in found:
                    columns[3:6] = [old + new for old, new in zip(columns[3:6], wanted, strict=True)]
                plus(held, wanted)
                plus(self._mine.setdefault(rows, [0, 0, 0]), wanted)
                tickets.append(Ticket(rows, wanted))
            if any(held):
                self._db.executemany(_ADD, [(0, 0, 0, *held, 0, 0, 0, row) for row in rows])
        return tickets

    def totals(self) -> dict[str, Total]:
        """Return by kind how the scopes stand now, over all processes. What is pending is written."""
        with self._lock, self._writing() as rows:
            return {scope.kind: _total(self._db.execute(_READ, (row,)).fetchone())
                    for scope, row in zip(self.scopes, rows, strict=True)}

    def flush(self) -> None:
        """Write what is pending."""
        with self._lock:
            if self._pending:
                with self._writing():
                    pass

    def close(self) -> None:
        """Write what is pending, and let go of the file. What is not settled stays reserved."""
        try:
            self.flush()
        finally:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[tuple[int, ...]]:
        """A transaction that begins with what is pending; yields the numbers of the scopes."""
        with self._file.sentence():
            # Taken first, so that what Ctrl-C interrupts is not booked twice; at worst it stays reserved.
            pending, self._pending = self._pending, {}
            try:
                self._db.execute("BEGIN IMMEDIATE")
                rows = self._numbers()
                for numbers, change in pending.items():
                    self._db.executemany(_ADD, [(*change, row) for row in numbers or rows])
                yield rows
                self._db.execute("COMMIT")
                self._waiting = 0
            except BaseException as error:
                self._day = None
                if isinstance(error, sqlite3.Error):
                    self._pending = pending
                raise
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _numbers(self) -> tuple[int, ...]:
        """The numbers of the scopes in the file, in which they are entered if they are new."""
        day = self._today()
        if day != self._day:
            names = [(scope.kind, day if scope.kind == "day" else scope.id) for scope in self.scopes]
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._db.executemany(_OPEN, [(*name, now) for name in names])
            self._rows = tuple(self._db.execute(_FIND, name).fetchone()[0] for name in names)
            self._day = day
        return self._rows

    def _refusal(self, place: int, row: int, columns: Sequence[int], wanted: Units) -> str:
        """Why a call may not be made."""
        most, unit = self._limits[place], _over(columns, wanted, self._limits[place])
        assert unit is not None
        mine = sum(held[unit] for rows, held in self._mine.items() if row in rows)
        return refusal(self.scopes[place], unit, most[unit], columns[unit], columns[3 + unit], mine, wanted[unit])


def _over(columns: Sequence[int], wanted: Units, most: Sequence[int]) -> int | None:
    """The first unit of which there is not enough left."""
    return next((unit for unit in range(3) if columns[unit] + columns[3 + unit] + wanted[unit] > most[unit]), None)


def _database(path: Path, journal: Journal = "wal") -> Database:
    return Database(path, "the ledger of paid calls", _SCHEMA, journal=journal, durable=False)


@dataclass(frozen=True)
class Account:
    """What a ledger's file has on one scope."""

    kind: Kind
    id: str
    opened: str
    """When a process began to book in it last: YYYY-MM-DDTHH:MM:SSZ."""
    total: Total


def read(path: Path) -> list[Account]:
    """Return all that is in a ledger, the latest first, runs last. Raises DataError for a file that is none."""
    file = _database(path)
    with closing(file.read()) as db, file.sentence():
        found = db.execute(f"SELECT kind, id, opened, {', '.join(_COLUMNS)} FROM scopes ORDER BY kind = 'run', "
                           "kind = 'sweep', opened DESC, number DESC").fetchall()
    return [Account(kind, name, opened, _total(columns)) for kind, name, opened, *columns in found]


def taken_today(path: Path) -> Amount:
    """Return what is spent and reserved on the present day (UTC), by all. Raises DataError for a file that is none."""
    totals = [each.total for each in read(path) if (each.kind, each.id) == ("day", _today())] if path.exists() else []
    both = [*(total.spent for total in totals), *(total.held for total in totals)]
    return Amount(sum(each.usd for each in both), sum(each.tokens for each in both), sum(each.calls for each in both))


def _total(columns: Sequence[int]) -> Total:
    spent, held, saved = (Amount(columns[at] / NANO, columns[at + 1], columns[at + 2]) for at in (0, 3, 6))
    return Total(spent, held, saved)
