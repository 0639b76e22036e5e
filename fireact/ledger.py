"""The ledger of paid calls, one file that all processes of a sweep share: caps on US dollars, tokens and calls.

    python -m fireact.ledger outputs/store/ledger.sqlite        what was spent, by day, sweep and run

    ticket = ledger.reserve(Amount(usd=0.04, tokens=2000, calls=1))     the most that the call can take
    ledger.settle(ticket, Amount(usd=0.01, tokens=700, calls=1))        what it took

A cap holds for what is spent and what is reserved together, so that no number of processes can exceed it. What a
process that was killed had reserved stays reserved for ever: it may have been paid for, so it counts.
"""

import argparse
import json
import math
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import RLock
from typing import Literal, get_args

from fireact.database import Database, Journal
from fireact.errors import BudgetExceeded
from fireact.process import guard

Kind = Literal["day", "sweep", "run"]
_Units = tuple[int, int, int]
"""Nano-dollars, tokens and calls: whole numbers, so that sums are exact."""
_UNITS, _NANO, _UNCAPPED = ("usd", "tokens", "calls"), 10**9, 2**62

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


@dataclass(frozen=True)
class Amount:
    """What calls take, or may take."""

    usd: float = 0.0
    tokens: int = 0
    calls: int = 0


@dataclass(frozen=True)
class Cap:
    """The most that may be taken; None: no cap."""

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None


@dataclass(frozen=True)
class Scope:
    """What a call counts for."""

    kind: Kind
    id: str
    """The run's folder or the sweep's; '' for the day, which is the one (UTC) on which the call is reserved."""
    cap: Cap = Cap()


@dataclass(frozen=True)
class Total:
    """What the calls of a scope took, over all processes."""

    spent: Amount
    held: Amount
    """Reserved by calls under way, and by calls that were cut off."""
    saved: Amount
    """What the answers from the tape would have taken."""


@dataclass(eq=False)
class Ticket:
    """What is reserved for one call."""

    rows: tuple[int, ...]
    """The numbers of its scopes in the file, for which it counts on whatever day it is settled."""
    held: _Units
    settled: bool = False


@dataclass(frozen=True)
class Settled:
    """An entry: what a call took, in place of what was reserved for it."""

    ticket: Ticket
    spent: Amount


@dataclass(frozen=True)
class Saved:
    """An entry: what an answer from the tape would have taken."""

    amount: Amount


Entry = Amount | Settled | Saved
"""An amount is to be reserved."""


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
        self._limits = [_limits(scope.cap) for scope in self.scopes]
        self._patience = _PENDING if all(limits == [_UNCAPPED] * 3 for limits in self._limits) else 0
        self._file, self._today, self._lock = _database(path, journal), today, RLock()
        self._db = self._file.connect()
        self._day: str | None = None
        self._rows: tuple[int, ...] = ()
        self._pending: dict[tuple[int, ...], list[int]] = {}
        """What is to be added to the columns of some scopes; of (): to the present ones."""
        self._waiting = 0
        self._mine: dict[tuple[int, ...], list[int]] = {}
        """What calls of this process hold, by their scopes."""

    def book(self, entries: Sequence[Entry]) -> list[Ticket | BudgetExceeded | None]:
        """Book several entries in one transaction; return a ticket for each amount, or why it is refused.

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
            _plus(self._pending.setdefault((), [0] * 9), (0, 0, 0, 0, 0, 0, *_units(entry.amount)))
        if isinstance(entry, Settled) and not entry.ticket.settled:
            ticket, freed = entry.ticket, [-unit for unit in entry.ticket.held]
            ticket.settled = True
            _plus(self._mine[ticket.rows], freed)
            _plus(self._pending.setdefault(ticket.rows, [0] * 9), (*_units(entry.spent), *freed, 0, 0, 0))
            self._waiting += 1

    def _reserve(self, amounts: Sequence[Amount]) -> list[Ticket | BudgetExceeded]:
        tickets: list[Ticket | BudgetExceeded] = []
        with self._writing() as rows:
            found = [list(self._db.execute(_READ, (row,)).fetchone()) for row in rows]
            held = [0, 0, 0]
            for wanted in map(_units, amounts):
                place = next((place for place, columns in enumerate(found)
                              if _over(columns, wanted, self._limits[place]) is not None), None)
                if place is not None:
                    tickets.append(BudgetExceeded(self._refusal(place, rows[place], found[place], wanted)))
                    continue
                for columns in found:
                    columns[3:6] = [old + new for old, new in zip(columns[3:6], wanted, strict=True)]
                _plus(held, wanted)
                _plus(self._mine.setdefault(rows, [0, 0, 0]), wanted)
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

    def _refusal(self, place: int, row: int, columns: Sequence[int], wanted: _Units) -> str:
        """Why a call may not be made."""
        limits, unit = self._limits[place], _over(columns, wanted, self._limits[place])
        assert unit is not None
        mine = sum(held[unit] for rows, held in self._mine.items() if row in rows)
        return _sentence(self.scopes[place], unit, limits[unit], columns[unit], columns[3 + unit], mine, wanted[unit])


def _over(columns: Sequence[int], wanted: _Units, limits: Sequence[int]) -> int | None:
    """The first unit of which there is not enough left."""
    return next((unit for unit in range(3) if columns[unit] + columns[3 + unit] + wanted[unit] > limits[unit]), None)


def _database(path: Path, journal: Journal = "wal") -> Database:
    return Database(path, "the ledger of paid calls", _SCHEMA, journal=journal, durable=False)


def _plus(sums: list[int], more: Sequence[int]) -> None:
    sums[:] = [old + new for old, new in zip(sums, more, strict=True)]


def _units(amount: Amount) -> _Units:
    # Rounded up, though not for what the product of floats adds: 0.07 * 1e9 is 70000000.00000001.
    return math.ceil(amount.usd * _NANO - 1e-3), amount.tokens, amount.calls


def _limits(cap: Cap) -> list[int]:
    nanos = None if cap.usd is None else math.floor(cap.usd * _NANO + 1e-3)
    return [_UNCAPPED if most is None else min(most, _UNCAPPED) for most in (nanos, cap.tokens, cap.calls)]


def _total(columns: Sequence[int]) -> Total:
    spent, held, saved = (Amount(columns[at] / _NANO, columns[at + 1], columns[at + 2]) for at in (0, 3, 6))
    return Total(spent, held, saved)


def _sentence(scope: Scope, unit: int, limit: int, spent: int, held: int, mine: int, wanted: int) -> str:
    name, sums = _UNITS[unit], (spent, held, held - mine, wanted)
    digits = 4 if all(nanos == 0 or nanos >= _NANO // 1000 for nanos in sums) else 9
    done, reserved, others, most = (f"{value / _NANO:.{digits}f}" if unit == 0 else f"{value}" for value in sums)
    done, option = f"US$ {done}" if unit == 0 else f"{done} {name}", f"budget.{scope.kind}.{name}"
    cap, again = f"{getattr(scope.cap, name):.12g}", f"Raise {option} and start the same command again to go on"
    if wanted > limit:
        return f"{option}={cap} is less than the next call may take ({most}); what was played is kept. {again}"
    advice = {"run": f"Raise {option}, or start the same command again for a budget anew", "sweep": again,
              "day": f"{again}, or go on tomorrow (UTC)"}[scope.kind]
    others = f", {others} of it by other processes or by calls that were cut off,"
    whose = others if held > mine else " by calls under way,"
    return (f"{option}={cap} is reached: {done} are spent, {reserved} are reserved{whose} and the next call may take "
            f"up to {most}; what was played is kept. {advice}")


def _show(path: Path, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    file = _database(path)
    with closing(file.read()) as db, file.sentence():
        found = db.execute(f"SELECT kind, id, opened, {', '.join(_COLUMNS)} FROM scopes ORDER BY kind = 'run', "
                           "kind = 'sweep', opened DESC, number DESC").fetchall()
    if as_json:
        print(json.dumps([{"kind": kind, "id": name, "opened": opened, **asdict(_total(columns))}
                          for kind, name, opened, *columns in found], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for head in ("", "", "US$", "tokens", "calls", "reserved US$", "saved US$"):
        table.add_column(head, justify="right" if head else "left", header_style="dim", overflow="fold")
    for kind in get_args(Kind):
        for name, total in [(row[1], _total(row[3:])) for row in found if row[0] == kind][:10]:
            table.add_row(kind, "".join(filter(str.isprintable, name)), f"{total.spent.usd:,.4f}",
                          f"{total.spent.tokens:,}", f"{total.spent.calls:,}", f"{total.held.usd:,.4f}",
                          f"{total.saved.usd:,.4f}")
    console = Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False, highlight=False)
    console.print(table if found else "nothing is booked yet")


def main(argv: Sequence[str]) -> int:
    """Show the ten latest days, sweeps and runs of a ledger, and return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m fireact.ledger", description="Show what was spent.")
    parser.add_argument("file", type=Path, help="e.g. outputs/store/ledger.sqlite")
    parser.add_argument("--json", action="store_true", help="print all that is in it")
    given = parser.parse_args(argv)
    return guard(lambda: _show(given.file, given.json))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
