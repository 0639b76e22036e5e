"""What is booked: amounts, caps and scopes, in whole numbers, and the sentence for what is refused."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fireact.errors import BudgetExceeded

Kind = Literal["day", "sweep", "run"]
Units = tuple[int, int, int]
"""Nano-dollars, tokens and calls: whole numbers, so that sums are exact."""
NANO = 10**9
UNCAPPED = 2**62
_UNITS = ("usd", "tokens", "calls")


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
    held: Units
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
Booked = Ticket | BudgetExceeded | None
"""What becomes of an entry: a ticket for an amount, or why it is refused; nothing for others."""


def plus(sums: list[int], more: Sequence[int]) -> None:
    """Add to sums in place."""
    sums[:] = [old + new for old, new in zip(sums, more, strict=True)]


def units(amount: Amount) -> Units:
    """Write an amount in whole numbers, which are never less."""
    # Rounded up, though not for what the product of floats adds: 0.07 * 1e9 is 70000000.00000001.
    return math.ceil(amount.usd * NANO - 1e-3), amount.tokens, amount.calls


def limits(cap: Cap) -> list[int]:
    """Write a cap in whole numbers, which are never more."""
    nanos = None if cap.usd is None else math.floor(cap.usd * NANO + 1e-3)
    return [UNCAPPED if most is None else min(most, UNCAPPED) for most in (nanos, cap.tokens, cap.calls)]


def refusal(scope: Scope, unit: int, limit: int, spent: int, held: int, mine: int, wanted: int) -> str:
    """Why a call may not be made, and what to do. All are in the unit of that number; `held` is reserved, `mine` of it
    by this process."""
    name, sums = _UNITS[unit], (spent, held, held - mine, wanted)
    digits = 4 if all(nanos == 0 or nanos >= NANO // 1000 for nanos in sums) else 9
    done, reserved, others, most = (f"{value / NANO:.{digits}f}" if unit == 0 else f"{value}" for value in sums)
    done, option = f"US$ {done}" if unit == 0 else f"{done} {name}", f"budget.{scope.kind}.{name}"
    cap, again = f"{getattr(scope.cap, name):.12g}", f"Raise {option} and start the same command again to go on"
    anew = f"Raise {option}, or start the same command again for a budget anew"
    if wanted > limit:
        return f"{option}={cap} is less than the next call may take ({most}); what was played is kept. {again}"
    advice = {"run": anew, "sweep": f"{anew} (a sweep goes on with its own where hydra.sweep.dir names its folder)",
              "day": f"{again}, or go on tomorrow (UTC)"}[scope.kind]
    others = f", {others} of it by other processes or by calls that were cut off,"
    whose = others if held > mine else " by calls under way,"
    return (f"{option}={cap} is reached: {done} are spent, {reserved} are reserved{whose} and the next call may take "
            f"up to {most}; what was played is kept. {advice}")
