"""What was spent: the ten latest days, sweeps and runs of a ledger.

    python -m fireact.ledger outputs/store/ledger.sqlite
    python -m fireact.ledger outputs/store/ledger.sqlite --json         # all that is in it
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from fireact.ledger import Account, Amount, Kind, read
from fireact.process import guard

SHOWN = 10
_HEAD = ("", "", "US$", "tokens", "calls", "reserved US$", "tokens", "calls", "saved US$")


def main(argv: Sequence[str]) -> int:
    """Show a ledger, and return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m fireact.ledger", description="Show what was spent.")
    parser.add_argument("file", type=Path, help="e.g. outputs/store/ledger.sqlite")
    parser.add_argument("--json", action="store_true", help="print all that is in it")
    given = parser.parse_args(argv)
    return guard(lambda: (_print_json if given.json else _show)(read(given.file)))


def _print_json(accounts: Sequence[Account]) -> None:
    print(json.dumps([{"kind": account.kind, "id": account.id, "opened": account.opened, **asdict(account.total)}
                      for account in accounts], indent=2))


def _show(accounts: Sequence[Account]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140, markup=False, emoji=False, highlight=False)
    if not accounts:
        console.print("nothing is booked yet")
        return
    table = Table(box=None, pad_edge=False)
    for head in _HEAD:
        table.add_column(head, justify="right" if head else "left", header_style="dim", overflow="fold")
    shown = [account for kind in get_args(Kind) for account in
             [each for each in accounts if each.kind == kind][:SHOWN]]
    for account in shown:
        table.add_row(*_row(account))
    console.print(table)
    if any("?" in (_usd(each.total.spent), _usd(each.total.held), _usd(each.total.saved)) for each in shown):
        console.print("?  no price was known, or it was 0")


def _row(account: Account) -> tuple[str, ...]:
    spent, held, saved = account.total.spent, account.total.held, account.total.saved
    return (account.kind, "".join(filter(str.isprintable, account.id)), _usd(spent), f"{spent.tokens:,}",
            f"{spent.calls:,}", _usd(held), f"{held.tokens:,}", f"{held.calls:,}", _usd(saved))


def _usd(amount: Amount) -> str:
    return "?" if amount.tokens and not amount.usd else f"{amount.usd:,.4f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
