"""Show what a tape holds, or copy the calls of some jobs onto a new one, to be given away.

    python -m fireact.tape outputs/store/tape.sqlite
    python -m fireact.tape outputs/store/tape.sqlite --job 0123456789abcdef --to paper.sqlite

A job is named by its key, which is the name of its folder in the store's generate/.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fireact.errors import DataError
from fireact.process import guard
from fireact.tape.copying import copy
from fireact.tape.file import VERSION, database


@dataclass
class Calls:
    """Calls that have something in common."""

    calls: int = 0
    first: str = ""
    """When the first of them was recorded, in UTC."""
    last: str = ""
    usd: float | None = None
    """What they cost, as far as that is known; None where nothing is."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, at: str, answer: Mapping[str, Any]) -> None:
        """Count one, with its answer as it is on the tape."""
        self.calls += 1
        self.first, self.last = min(self.first or at, at), max(self.last, at)
        if answer.get("cost") is not None:
            self.usd = (self.usd or 0.0) + answer["cost"]
        self.prompt_tokens += answer.get("prompt_tokens", 0)
        self.completion_tokens += answer.get("completion_tokens", 0)


@dataclass
class Holdings:
    """What a tape holds."""

    version: int
    bytes: int
    whole: Calls = field(default_factory=Calls)
    parties: dict[str, Calls] = field(default_factory=dict)
    """By the models and tools that were called, each by its identity as JSON."""
    jobs: dict[str, Calls] = field(default_factory=dict)


def holdings(path: Path) -> Holdings:
    """Count what is on a tape, which others may be writing. Raises DataError."""
    tape = database(path)
    with closing(tape.read()) as db, tape.sentence():
        found = Holdings(VERSION, sum(part.stat().st_size for part in (path, Path(f"{path}-wal")) if part.exists()))
        identities = dict(db.execute("SELECT digest, identity FROM parties"))
        for party, job, at, answer in db.execute("SELECT party, job, at, answer FROM calls"):
            try:
                told = json.loads(answer)
            except ValueError:
                raise DataError(f"{path} has an answer of {at} that is no JSON; the file is damaged") from None
            for calls in (found.whole, found.parties.setdefault(identities[party], Calls()),
                          found.jobs.setdefault(job, Calls())):
                calls.add(at, told)
    return found


def name(identity: str) -> str:
    """What a model or tool is called in a table."""
    told = json.loads(identity)
    node = told.get("model") or told.get("tool")
    if not isinstance(node, dict):
        return identity[:60]
    adapter = f" + {told['adapter']}" if told.get("adapter") else ""
    return f"{node.get('name') or node.get('model') or _tool(node)}{adapter}"


def _tool(node: Mapping[str, Any]) -> str:
    inner = node.get("tool") or node.get("tools")
    parts = ", ".join(_tool(part) for part in (inner if isinstance(inner, list) else [inner]) if isinstance(part, dict))
    return str(node.get("_target_")).rpartition(".")[2] + (f" of {parts}" if parts else "")


def _show(path: Path, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    found = holdings(path)
    if as_json:
        print(json.dumps({**asdict(found), "parties": [{"name": name(party), "identity": json.loads(party),
                                                        **asdict(calls)} for party, calls in found.parties.items()]},
                         indent=2))
        return
    console = Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False, highlight=False)
    console.print(f"{path}: {found.whole.calls:,} calls, {found.bytes / 1e6:,.1f} MB, version {found.version}")
    named = [(name(party), calls) for party, calls in found.parties.items()]
    for head, rows in (("model or tool", named), ("job", list(found.jobs.items()))):
        table = Table(box=None, pad_edge=False)
        for column in (head, "calls", "first", "last", "US$", "tokens in / out"):
            table.add_column(column, justify="left" if column == head else "right", overflow="fold")
        for label, calls in sorted(rows, key=lambda row: row[1].last, reverse=True):
            tokens = f"{calls.prompt_tokens:,} / {calls.completion_tokens:,}" if calls.completion_tokens else ""
            usd = "" if calls.usd is None else f"{calls.usd:,.4f}"
            table.add_row("".join(filter(str.isprintable, label)), f"{calls.calls:,}", calls.first[:16],
                          calls.last[:16], usd, tokens)
        if rows:
            console.print()
            console.print(table)


def _copy(path: Path, jobs: Sequence[str], to: Path) -> None:
    print(f"{copy(path, jobs, to):,} calls are on {to}; play from it with tape.mode=strict tape.file={to}")


def main(argv: Sequence[str]) -> int:
    """Show a tape or copy from it, and return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m fireact.tape", description="Show what a tape holds, or copy it.")
    parser.add_argument("file", type=Path, help="e.g. outputs/store/tape.sqlite")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--job", nargs="+", metavar="KEY", help="copy the calls of these jobs ...")
    parser.add_argument("--to", type=Path, metavar="OTHER.sqlite", help="... onto this new tape")
    given = parser.parse_args(argv)
    if (given.job is None) != (given.to is None):
        parser.error("--job and --to go together")
    return guard(lambda: _copy(given.file, given.job, given.to) if given.to else _show(given.file, given.json))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
