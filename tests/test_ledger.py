"""The ledger of paid calls: no cap is ever exceeded, whoever reserves and settles when, and the books balance."""

import json
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact import ledger as module
from fireact.errors import BudgetExceeded, DataError
from fireact.ledger import Amount, Cap, Kind, Ledger, Saved, Scope, Settled, Ticket, Total
from fireact.ledger.__main__ import main
from tests.helpers import ROOT

NOTHING = Amount()
FREE = (10**9, 10**9, 10**9)


def units(amount: Amount) -> tuple[int, int, int]:
    """Thousandths of a US dollar, tokens, calls."""
    return round(amount.usd * 1000), amount.tokens, amount.calls


def amount(usd: int, tokens: int, calls: int) -> Amount:
    return Amount(usd / 1000, tokens, calls)


def cap(limits: Sequence[int | None]) -> Cap:
    usd, tokens, calls = limits
    return Cap(None if usd is None else usd / 1000, tokens, calls)


def plus(one: Sequence[int], other: Sequence[int], sign: int = 1) -> tuple[int, ...]:
    return tuple(left + sign * right for left, right in zip(one, other, strict=True))


def one_run(folder: Path, most: Cap, name: str = "r") -> Ledger:
    return Ledger(folder / "ledger.sqlite", [Scope("run", name, most)])


class Books:
    """What must be in the file, kept with plain sums."""

    def __init__(self, limits: list[dict[Kind, tuple[int | None, int | None, int | None]]]) -> None:
        """`limits` are of each ledger, by kind of scope."""
        self.limits = limits
        self.day = 1
        self.spent: dict[str, tuple[int, ...]] = defaultdict(lambda: (0, 0, 0))
        self.held: dict[str, tuple[int, ...]] = defaultdict(lambda: (0, 0, 0))

    def names(self, who: int) -> dict[Kind, str]:
        """The scopes of a ledger by kind."""
        names: dict[Kind, str] = {"run": f"run {who}", "sweep": "sweep", "day": f"day {self.day}"}
        return {kind: names[kind] for kind in self.limits[who]}

    def fits(self, who: int, wanted: Sequence[int]) -> bool:
        return all(limit is None or sum(parts) <= limit
                   for kind, name in self.names(who).items()
                   for limit, *parts in zip(self.limits[who][kind], self.spent[name], self.held[name], wanted,
                                            strict=True))

    def reserve(self, names: list[str], wanted: Sequence[int]) -> None:
        for name in names:
            self.held[name] = plus(self.held[name], wanted)

    def settle(self, names: list[str], held: Sequence[int], took: Sequence[int]) -> None:
        for name in names:
            self.held[name] = plus(self.held[name], held, -1)
            self.spent[name] = plus(self.spent[name], took)

    def standing(self) -> dict[str, tuple]:
        sums = {name: (self.spent[name], self.held[name]) for name in self.held}
        return {name: pair for name, pair in sums.items() if any(map(any, pair))}

    def scopes(self, who: int) -> list[Scope]:
        names = {"run": f"run {who}", "sweep": "sweep", "day": ""}
        return [Scope(kind, names[kind], cap(limits)) for kind, limits in self.limits[who].items()]


LIMITS = st.tuples(*[st.none() | st.integers(0, 60)] * 2, st.integers(0, 12))
WANTED = st.tuples(st.integers(0, 25), st.integers(0, 25), st.just(1))
STEPS = st.lists(st.tuples(st.sampled_from(["reserve"] * 4 + ["settle"] * 3 + ["release", "again", "midnight"]),
                           st.integers(0, 2), WANTED, st.integers(0, 100), st.integers(0, 100)), max_size=40)


def play(folder: Path, books: Books, steps: list, exact: bool) -> None:
    """Do the steps and keep the books. Not `exact`: what is settled may not be in the file yet."""
    file = folder / "ledger.sqlite"
    ledgers = [Ledger(file, books.scopes(who), lambda: f"day {books.day}") for who in range(len(books.limits))]
    tickets: list[tuple[Ledger, Ticket, tuple, list[str]]] = []
    done: list[tuple[Ledger, Ticket]] = []
    for what, who, wanted, pick, share in steps:
        if what == "midnight":
            books.day += 1
        elif what == "again" and done:
            owner, ticket = done[pick % len(done)]
            owner.settle(ticket, amount(*wanted))
        elif what == "reserve":
            fits, names = books.fits(who, wanted), list(books.names(who).values())
            try:
                tickets.append((ledgers[who], ledgers[who].reserve(amount(*wanted)), wanted, names))
            except BudgetExceeded:
                assert not (fits and exact)
            else:
                assert fits
                books.reserve(names, wanted)
        elif what in ("settle", "release") and tickets:
            owner, ticket, held, names = tickets.pop(pick % len(tickets))
            took = (held[0] * share // 100, held[1] * share // 100, 1) if what == "settle" else (0, 0, 0)
            owner.settle(ticket, amount(*took)) if what == "settle" else owner.release(ticket)
            done.append((owner, ticket))
            books.settle(names, held, took)
        if exact:
            assert standing(file) == books.standing()
    for owner, ticket, held, names in tickets:
        owner.release(ticket)
        books.settle(names, held, (0, 0, 0))
    for one in ledgers:
        one.close()
    assert standing(file) == books.standing()
    assert all(held == (0, 0, 0) for _, held in standing(file).values())


@settings(max_examples=150)
@given(run=LIMITS, sweep=LIMITS, day=LIMITS, steps=STEPS)
def test_a_call_is_refused_exactly_where_it_could_exceed_a_cap(run: tuple, sweep: tuple, day: tuple,
                                                               steps: list) -> None:
    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder), Books([{"run": run, "sweep": sweep, "day": day}, {"day": day, "sweep": sweep, "run": FREE},
                                  {"run": run, "day": day}]), steps, exact=True)


@given(sweep=LIMITS, day=LIMITS, steps=STEPS)
def test_no_cap_is_exceeded_beside_a_process_without_one(sweep: tuple, day: tuple, steps: list) -> None:
    none = (None, None, None)
    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder), Books([{"run": none, "sweep": none, "day": none}, {"sweep": sweep, "day": day},
                                  {"run": none, "day": day}]), steps, exact=False)


def read(file: Path) -> list[tuple[str, str, Total]]:
    """What is in the file, without the ledger's help."""
    with closing(sqlite3.connect(file)) as db:
        return [(kind, name, module._total(columns)) for kind, name, *columns in db.execute(
            f"SELECT kind, id, {', '.join(module._COLUMNS)} FROM scopes")]


def standing(file: Path) -> dict[str, tuple]:
    """What is spent and held by the scopes in which something is."""
    found = {name: (units(total.spent), units(total.held)) for _, name, total in read(file)}
    return {name: sums for name, sums in found.items() if any(map(any, sums))}


CHILD = """
import json, random, sys
from pathlib import Path
from fireact.errors import BudgetExceeded
from fireact.ledger import Amount, Cap, Ledger, Scope

me, calls = sys.argv[2], int(sys.argv[3])
most = Cap(usd=1.5, tokens=40_000, calls=300)
ledger = Ledger(Path(sys.argv[1]), [Scope("run", me), Scope("sweep", "s", most), Scope("day", "")], lambda: "today")
rng, open_, refused, spent = random.Random(me), [], 0, [0, 0, 0]


def settle():
    ticket, usd, tokens = open_.pop(rng.randrange(len(open_)))
    took = (rng.randint(0, usd), rng.randint(0, tokens), rng.randint(0, 1))
    ledger.settle(ticket, Amount(took[0] / 1000, *took[1:]))
    spent[:] = [old + new for old, new in zip(spent, took)]
    print(json.dumps([refused, spent]), flush=True)


for _ in range(calls):
    usd, tokens = rng.randint(0, 20), rng.randint(0, 500)
    try:
        open_.append((ledger.reserve(Amount(usd / 1000, tokens, 1)), usd, tokens))
    except BudgetExceeded:
        refused += 1
    total = ledger.totals()["sweep"]
    assert round((total.spent.usd + total.held.usd) * 1e9) <= 1.5e9
    assert total.spent.tokens + total.held.tokens <= 40_000
    assert total.spent.calls + total.held.calls <= 300
    while open_ and rng.random() < 0.5:
        settle()
while open_:
    settle()
ledger.close()
print(json.dumps([refused, spent]), flush=True)
"""


def hammer(folder: Path, name: str, calls: int) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", CHILD, str(folder / "ledger.sqlite"), name, str(calls)], cwd=ROOT,
                            text=True, stdout=subprocess.PIPE)


def test_four_processes_at_once_stay_below_the_cap_and_their_books_balance(tmp_path: Path) -> None:
    processes = [hammer(tmp_path, f"run {number}", 400) for number in range(4)]
    said = [process.communicate()[0].splitlines()[-1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    results = [json.loads(line) for line in said]
    assert sum(refused for refused, _ in results) > 0, "1600 calls do not fit"
    found = {name: total for _, name, total in read(tmp_path / "ledger.sqlite")}
    assert {total.held for total in found.values()} == {NOTHING}
    assert [units(found[f"run {number}"].spent) for number in range(4)] == [tuple(spent) for _, spent in results]
    together = tuple(map(sum, zip(*(spent for _, spent in results), strict=True)))
    assert units(found["s"].spent) == units(found["today"].spent) == together


def test_what_a_process_killed_at_any_moment_had_reserved_or_settled_counts(tmp_path: Path) -> None:
    killed = hammer(tmp_path, "killed", 10**9)
    assert killed.stdout
    # The other one begins only then, lest it leaves nothing for this one.
    told = [killed.stdout.readline() for _ in range(20)]
    other = hammer(tmp_path, "other", 300)
    killed.send_signal(signal.SIGKILL)
    told += killed.stdout.read().splitlines(keepends=True)
    killed.wait()
    killed.stdout.close()
    _, spent = json.loads([line for line in told if line.endswith("\n")][-1])
    _, others = json.loads(other.communicate()[0].splitlines()[-1])
    assert other.returncode == 0
    found = {name: total for _, name, total in read(tmp_path / "ledger.sqlite")}
    left = found["killed"]
    # It may have been killed between the writing of a call and the telling of it.
    assert all(booked >= said for booked, said in zip(units(left.spent), spent, strict=True))
    assert left.spent.calls <= spent[2] + 1
    assert found["other"].held == NOTHING
    assert found["s"].held == left.held
    assert units(found["s"].spent) == plus(units(left.spent), others)


RESERVE = """
import sys, time
from pathlib import Path
from fireact.ledger import Amount, Cap, Ledger, Scope

ledger = Ledger(Path(sys.argv[1]), [Scope("sweep", "s", Cap(usd=1))])
ledger.settle(ledger.reserve(Amount(0.3, 100, 1)), Amount(0.1, 60, 1))
ledger.reserve(Amount(0.5, 100, 1))
print("reserved", flush=True)
sys.stdin.read()
"""


def test_what_was_reserved_between_a_call_and_its_end_stays_so_when_the_process_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    process = subprocess.Popen([sys.executable, "-c", RESERVE, str(file)], cwd=ROOT, text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == "reserved\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    this = Ledger(file, [Scope("sweep", "s", Cap(usd=1))])
    assert this.totals()["sweep"] == Total(Amount(0.1, 60, 1), Amount(0.5, 100, 1), NOTHING)
    this.release(this.reserve(Amount(0.125)))
    this.reserve(Amount(0.25))
    with pytest.raises(BudgetExceeded) as refused:
        this.reserve(Amount(0.2))
    assert str(refused.value) == (
        "budget.sweep.usd=1 is reached: US$ 0.1000 are spent, 0.7500 are reserved, 0.5000 of it by other processes or "
        "by calls that were cut off, and the next call may take up to 0.2000; what was played is kept. Raise "
        "budget.sweep.usd, or start the same command again for a budget anew (a sweep goes on with its own where "
        "hydra.sweep.dir names its folder)")


@given(thousandths=st.integers(1, 10_000), calls=st.integers(1, 5))
@settings(max_examples=50)
def test_a_cap_of_so_many_calls_pays_for_so_many(thousandths: int, calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        this = one_run(Path(folder), Cap(usd=calls * thousandths / 1000))
        price = Amount(thousandths / 1000, 1, 1)
        for ticket in [this.reserve(price) for _ in range(calls)]:
            this.settle(ticket, price)
        with pytest.raises(BudgetExceeded):
            this.reserve(Amount(1e-9))
        assert units(this.totals()["run"].spent) == (calls * thousandths, calls, calls)
        this.close()


@given(most=st.floats(0, 1000), share=st.floats(0, 1))
def test_what_is_booked_is_never_less_than_what_was_spent_nor_more_than_what_was_reserved(most: float,
                                                                                          share: float) -> None:
    spent, reserved = module.units(Amount(most * share))[0], module.units(Amount(most))[0]
    assert most * share * 1e9 - 0.01 <= spent <= reserved < most * 1e9 + 1


def test_a_refused_call_holds_nothing_in_any_scope(tmp_path: Path) -> None:
    scopes = [Scope("run", "r", Cap(calls=1)), Scope("sweep", "s", Cap(tokens=10)), Scope("day", "", Cap(usd=1))]
    this = Ledger(tmp_path / "ledger.sqlite", scopes)
    for most in (Amount(calls=2), Amount(tokens=11), Amount(usd=1.5)):
        with pytest.raises(BudgetExceeded):
            this.reserve(most)
    assert {total.held for total in this.totals().values()} == {NOTHING}
    this.reserve(Amount(1, 10, 1))


@pytest.mark.parametrize(("scope", "most", "sentence"), [
    (Scope("run", "r", Cap(usd=5)), Amount(0.04, 1, 1),
     "budget.run.usd=5 is reached: US$ 4.9712 are spent, 0.0188 are reserved by calls under way, and the next call may "
     "take up to 0.0400; what was played is kept. Raise budget.run.usd, or start the same command again for a budget "
     "anew"),
    (Scope("run", "r", Cap(usd=4.99)), Amount(0.00002, 1, 1),
     "budget.run.usd=4.99 is reached: US$ 4.971200000 are spent, 0.018800000 are reserved by calls under way, and the "
     "next call may take up to 0.000020000; what was played is kept. Raise budget.run.usd, or start the same command "
     "again for a budget anew"),
    (Scope("sweep", "s", Cap(tokens=1_500_000)), Amount(0, 100_000, 1),
     "budget.sweep.tokens=1500000 is reached: 1400000 tokens are spent, 2000 are reserved by calls under way, and the "
     "next call may take up to 100000; what was played is kept. Raise budget.sweep.tokens, or start the same command "
     "again for a budget anew (a sweep goes on with its own where hydra.sweep.dir names its folder)"),
    (Scope("day", "", Cap(calls=9)), Amount(0, 1, 1),
     "budget.day.calls=9 is reached: 7 calls are spent, 2 are reserved by calls under way, and the next call may take "
     "up to 1; what was played is kept. Raise budget.day.calls and start the same command again to go on, or go on "
     "tomorrow (UTC)"),
    (Scope("run", "r", Cap(usd=5)), Amount(5.5, 1, 1),
     "budget.run.usd=5 is less than the next call may take (5.5000); what was played is kept. Raise budget.run.usd and "
     "start the same command again to go on"),
])
def test_the_refusal_says_which_cap_is_reached_and_what_to_do(tmp_path: Path, scope: Scope, most: Amount,
                                                              sentence: str) -> None:
    this = Ledger(tmp_path / "ledger.sqlite", [scope])
    this.settle(this.reserve(NOTHING), Amount(4.9712, 1_400_000, 7))
    this.reserve(Amount(0.0188, 2000, 2))
    with pytest.raises(BudgetExceeded) as refused:
        this.reserve(most)
    assert str(refused.value) == sentence


def test_a_cap_that_starting_again_does_not_lift_is_told_first(tmp_path: Path) -> None:
    none = Cap(calls=0)
    this = Ledger(tmp_path / "ledger.sqlite", [Scope("run", "r", none), Scope("sweep", "s", none)])
    with pytest.raises(BudgetExceeded, match=r"^budget\.sweep\.calls=0 is less than the next call may take \(1\)"):
        this.reserve(Amount(calls=1))


def test_a_run_across_midnight_begins_a_new_day(tmp_path: Path) -> None:
    day = ["2026-11-26"]
    this = Ledger(tmp_path / "ledger.sqlite", [Scope("day", "", Cap(calls=2)), Scope("run", "r")], lambda: day[0])
    late, lost = this.reserve(Amount(0.5, 10, 1)), this.reserve(Amount(0.5, 10, 1))
    with pytest.raises(BudgetExceeded, match="tomorrow"):
        this.reserve(Amount(calls=1))
    day[0] = "2026-11-27"
    this.settle(late, Amount(0.25, 5, 1))
    this.release(lost)
    this.settle(this.reserve(Amount(0.5, 10, 1)), Amount(0.125, 1, 1))
    assert this.totals()["day"].spent == Amount(0.125, 1, 1)
    assert this.totals()["run"].spent == Amount(0.375, 6, 2)
    day[0] = "2026-11-26"
    assert this.totals()["day"] == Total(Amount(0.25, 5, 1), NOTHING, NOTHING), "a call counts for its own day"


def test_a_call_that_took_more_than_was_reserved_is_booked_all_the_same(tmp_path: Path) -> None:
    this = one_run(tmp_path, Cap(usd=1))
    this.settle(this.reserve(Amount(0.5, 10, 1)), Amount(3, 99, 1))
    assert this.totals()["run"] == Total(Amount(3, 99, 1), NOTHING, NOTHING)
    with pytest.raises(BudgetExceeded):
        this.reserve(NOTHING)


def test_with_a_cap_a_settled_call_is_written_at_once(tmp_path: Path) -> None:
    one, other = one_run(tmp_path, Cap(usd=1)), one_run(tmp_path, Cap(usd=1))
    ticket = one.reserve(Amount(0.9))
    with pytest.raises(BudgetExceeded):
        other.reserve(Amount(0.2))
    one.settle(ticket, Amount(0.8))
    other.reserve(Amount(0.2))


def test_without_a_cap_it_is_written_with_the_next_reservation_or_flush(tmp_path: Path) -> None:
    this, file = one_run(tmp_path, Cap()), tmp_path / "ledger.sqlite"

    def booked() -> tuple[int, int]:
        ((_, _, total),) = read(file)
        return total.spent.calls, total.held.calls

    def another() -> None:
        this.reserve(NOTHING)

    for finish in (this.flush, this.totals, another):
        before = this.totals()["run"].spent.calls
        this.settle(this.reserve(Amount(0, 1, 1)), Amount(0, 1, 1))
        assert booked() == (before, 1)
        finish()
        assert booked() == (before + 1, 0)
    tickets = [this.reserve(Amount(0, 1, 1)) for _ in range(100)]
    for ticket in tickets:
        this.settle(ticket, Amount(0, 1, 1))
    spent, held = booked()
    assert spent + held == 103
    assert 0 < held <= 64
    this.close()
    assert booked() == (103, 0)


def test_what_the_tape_saved_is_counted_once(tmp_path: Path) -> None:
    this, other = one_run(tmp_path, Cap(calls=1)), one_run(tmp_path, Cap(calls=1))
    this.save(Amount(0.5, 100, 1))
    this.save(Amount(0.25, 50, 1))
    with pytest.raises(BudgetExceeded):
        this.reserve(Amount(calls=2))
    assert this.totals()["run"] == Total(NOTHING, NOTHING, Amount(0.75, 150, 2))
    other.save(Amount(0.25, 50, 1))
    this.close()
    other.close()
    ((_, _, total),) = read(tmp_path / "ledger.sqlite")
    assert total.saved == Amount(1, 200, 3)


def test_a_call_that_could_not_be_written_is_booked_once_it_can_be(tmp_path: Path) -> None:
    this = one_run(tmp_path, Cap(usd=1))
    ticket = this.reserve(Amount(0.5, 10, 1))
    this._db.execute("PRAGMA query_only=1")
    with pytest.raises(DataError, match="readonly"):
        this.settle(ticket, Amount(0.25, 5, 1))
    with pytest.raises(DataError):
        this.reserve(Amount(0.1))
    this._db.execute("PRAGMA query_only=0")
    this.settle(ticket, Amount(0.25, 5, 1))
    this.flush()
    assert this.totals()["run"] == Total(Amount(0.25, 5, 1), NOTHING, NOTHING)


def test_threads_share_a_ledger(tmp_path: Path) -> None:
    this = one_run(tmp_path, Cap(calls=100))

    def settled(seed: int) -> int:
        rng, calls = random.Random(seed), 0
        for _ in range(60):
            try:
                ticket = this.reserve(Amount(0.02, 10, 1))
            except BudgetExceeded:
                continue
            if rng.random() < 0.7:
                this.settle(ticket, Amount(0.01, 5, 1))
                calls += 1
            else:
                this.release(ticket)
        return calls

    with ThreadPoolExecutor(4) as pool:
        calls = sum(pool.map(settled, range(4)))
    assert calls <= 100
    assert this.totals()["run"] == Total(Amount(calls / 100, 5 * calls, calls), NOTHING, NOTHING)


def test_a_damaged_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match="the ledger of paid calls, cannot be used"):
        one_run(tmp_path, Cap())
    assert file.read_bytes() == b"no database at all" * 100


def test_a_file_that_is_damaged_under_way_is_refused_with_a_sentence(tmp_path: Path) -> None:
    this = one_run(tmp_path, Cap(calls=9))
    ticket = this.reserve(Amount(calls=1))
    this._db.execute("DROP TABLE scopes")
    for use in (lambda: this.reserve(NOTHING), lambda: this.settle(ticket, NOTHING), this.totals, this.flush):
        with pytest.raises(DataError, match="no such table"):
            use()


@pytest.mark.parametrize(("script", "sentence"), [
    ("PRAGMA user_version=7", "is of version 7, and this program writes version 1"),
    ("DROP TABLE scopes; CREATE TABLE other (x)", "is to be the ledger of paid calls, and holds something else"),
])
def test_a_file_of_another_version_or_kind_is_refused_and_left_as_it_is(tmp_path: Path, script: str, sentence: str,
                                                                        capsys: pytest.CaptureFixture[str]) -> None:
    one_run(tmp_path, Cap()).close()
    file = tmp_path / "ledger.sqlite"
    db = sqlite3.connect(file)
    db.executescript(script)
    db.close()
    before = file.read_bytes()
    with pytest.raises(DataError, match=sentence):
        one_run(tmp_path, Cap())
    assert main([str(file)]) == 2
    assert sentence in capsys.readouterr().err
    assert file.read_bytes() == before


def filled(folder: Path) -> Path:
    for number in range(12):
        this = Ledger(folder / "ledger.sqlite", [Scope("run", f"outputs/{number:02}"), Scope("sweep", "multirun/[b]x"),
                                                 Scope("day", "")], lambda: "2026-11-26")
        this.settle(this.reserve(Amount(0.5, 3000, 1)), Amount(0.125, 1200, 1))
        this.reserve(Amount(0.25, 10, 1))
        this.save(Amount(2, 10, 1))
        this.close()
    return folder / "ledger.sqlite"


def test_the_command_shows_what_was_spent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(filled(tmp_path))]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert re.split("  +", head.strip()) == ["US$", "tokens", "calls", "reserved US$", "tokens", "calls",
                                            "saved US$"]
    assert [line.split() for line in lines[:3]] == [
        ["day", "2026-11-26", "1.5000", "14,400", "12", "3.0000", "120", "12", "24.0000"],
        ["sweep", "multirun/[b]x", "1.5000", "14,400", "12", "3.0000", "120", "12", "24.0000"],
        ["run", "outputs/11", "0.1250", "1,200", "1", "0.2500", "10", "1", "2.0000"]]
    assert [line.split()[1] for line in lines[2:]] == [f"outputs/{number:02}" for number in range(11, 1, -1)]


def test_an_unknown_price_is_no_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    this = one_run(tmp_path, Cap())
    this.settle(this.reserve(Amount(0, 50, 1)), Amount(0, 40, 1))
    this.close()
    assert main([str(tmp_path / "ledger.sqlite")]) == 0
    _, line, legend = capsys.readouterr().out.splitlines()
    assert line.split()[2:5] == ["?", "40", "1"]
    assert legend == "?  no price was known, or it was 0"


def test_a_reader_of_the_command_may_leave_early(tmp_path: Path) -> None:
    path = filled(tmp_path)
    done = subprocess.run(f"{sys.executable} -m fireact.ledger {path} --json | head -1", shell=True, text=True,
                          cwd=ROOT, capture_output=True)
    assert (done.stdout, done.stderr) == ("[\n", "")


def test_a_batch_is_booked_as_its_entries_one_by_one(tmp_path: Path) -> None:
    this = one_run(tmp_path, Cap(calls=3))
    first = this.reserve(Amount(calls=2))
    found = this.book([Amount(calls=2), Settled(first, Amount(calls=1)), Amount(calls=1), Amount(calls=1),
                       Saved(Amount(1, 2, 3))])
    assert [type(each) for each in found] == [Ticket, type(None), BudgetExceeded, BudgetExceeded, type(None)]
    this.flush()
    total = this.totals()["run"]
    assert (total.spent.calls, total.held.calls, total.saved.calls) == (1, 2, 3)


def test_the_command_prints_everything_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(filled(tmp_path)), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["kind"] for entry in entries] == ["day", "sweep"] + ["run"] * 12
    assert {name: tuple(entries[0][name].values()) for name in ("spent", "held", "saved")} == {
        "spent": astuple(Amount(1.5, 14_400, 12)), "held": astuple(Amount(3, 120, 12)),
        "saved": astuple(Amount(24, 120, 12))}


def test_the_command_refuses_a_missing_file_and_a_damaged_one(tmp_path: Path,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    missing, damaged = tmp_path / "none" / "ledger.sqlite", tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"no database at all" * 100)
    for file, sentence in ((missing, "is no file; check the path"), (damaged, "cannot be used")):
        assert main([str(file)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: {file}")
        assert sentence in said
        assert said.count("\n") == 1
    assert not missing.parent.exists()


def test_an_empty_ledger_is_shown_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one_run(tmp_path, Cap()).close()
    assert main([str(tmp_path / "ledger.sqlite")]) == 0
    assert capsys.readouterr().out == "nothing is booked yet\n"
