"""Say what a strict replay lacks: the nearest recorded request, and in what it differs.

Requests are chains of texts. So the place at which one leaves all that is recorded is found link by link, and what is
recorded in that place is what it is compared with; where all its texts are there, it differs in an option.
"""

import json
import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fireact.tape.request import Link, Request

_MOST = 4
"""Differences that are told."""
_AROUND = 30
"""Characters shown on either side of a difference."""


def describe(path: Path, db: sqlite3.Connection, request: Request) -> str:
    """The sentence for a request that is not on the tape."""
    begin = f"{path} has no answer to this request, and tape.mode=strict asks for none"
    if not db.execute("SELECT 1 FROM calls LIMIT 1").fetchone():
        return f"{begin}: the tape is empty; record it with tape.mode=replay"
    differences = [*_texts(db, request), *_options(db, request)][:_MOST]
    return (f"{begin}; the nearest recorded one differs in {'; '.join(differences) or 'its key alone'}. "
            "Mend the configuration, or let what is missing be asked for with tape.mode=replay")


def _texts(db: sqlite3.Connection, request: Request) -> Iterator[str]:
    """Where the chains leave what is recorded."""
    for name, chain in request.chains.items():
        for number, link in enumerate(chain, 1):
            if db.execute("SELECT 1 FROM texts WHERE digest = ?", (link.digest,)).fetchone():
                continue
            place = name if name == "argument" else f"{name.removesuffix('s')} {number}"
            yield f"{place}: {_compared(db, link)}"
            break


def _compared(db: sqlite3.Connection, link: Link) -> str:
    recorded = [text for text, in db.execute("SELECT text FROM texts WHERE before = ?", (link.before,))]
    if not recorded:
        return f"nothing recorded, {_short(link.text)} asked"
    nearest = max(recorded, key=lambda text: _likeness(text, link.text))
    start = max(0, _common(nearest, link.text) - _AROUND)
    return f"{_short(nearest[start:])} recorded, {_short(link.text[start:])} asked"


def _options(db: sqlite3.Connection, request: Request) -> Sequence[str]:
    """In what the most similar of those requests differs that end as this one does; without any, only who was asked."""
    wanted = json.loads(request.told)
    ends = [(name, wanted[name]) for name in request.chains]
    where = " AND ".join("instr(request, ?)" for _ in ends)
    found = db.execute(f"SELECT DISTINCT party, request FROM calls WHERE {where}",
                       [f'"{name}":"{end}"' for name, end in ends]).fetchall()
    parties = dict(db.execute("SELECT digest, identity FROM parties"))
    asked = json.loads(request.party.identity)
    if not found:
        if request.party.digest in parties:
            return []
        found = [(digest, request.told) for digest in parties]
    unlike = {digest: list(_between(json.loads(identity), asked)) for digest, identity in parties.items()}
    return min(([*unlike[party], *_between(json.loads(told), wanted)] for party, told in found), key=len)


def _between(recorded: Any, asked: Any, name: str = "") -> Iterator[str]:
    """The values that are not the same."""
    if isinstance(recorded, dict) and isinstance(asked, dict):
        for part in sorted({*recorded, *asked}):
            yield from _between(recorded.get(part), asked.get(part), f"{name}.{part}".lstrip("."))
    elif recorded != asked:
        yield f"{name}: {_short(recorded)} recorded, {_short(asked)} asked"


def _short(value: Any) -> str:
    return repr(value[: 2 * _AROUND] if isinstance(value, str) else value)


def _common(one: str, other: str) -> int:
    """How many letters two texts begin with in common."""
    return bisect_left(range(min(len(one), len(other))), True, key=lambda at: one[: at + 1] != other[: at + 1])


def _likeness(one: str, other: str) -> float:
    """How much of two texts is the same before and behind the place in which they differ; 1 for equal ones."""
    start = _common(one, other)
    end = _common(one[start:][::-1], other[start:][::-1])
    return 2 * (start + end) / max(len(one) + len(other), 1)
