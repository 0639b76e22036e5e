"""Say what a strict replay lacks: the nearest recorded request, and in what it differs."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from fireact.tape.request import Request

_NEWEST = 50_000
"""So many recorded requests are looked at."""
_AROUND = 30
"""Characters shown on either side of a difference."""


def describe(path: Path, db: sqlite3.Connection, request: Request) -> str:
    """The sentence for a request that is not on the tape."""
    begin = f"{path} has no answer to this request, and tape.mode=strict asks for none"
    wanted = json.loads(request.rest)
    found = max(_recorded(db), key=lambda other: _alike(request, wanted, *other), default=None)
    if found is None:
        return f"{begin}: the tape is empty; record it with tape.mode=replay"
    party, rest = found
    differences = []
    if party != request.party.digest:
        differences += _between(_identity(db, party), json.loads(request.party.identity), "")
    differences += _texts(db, request, rest, wanted)
    return (f"{begin}; the nearest recorded one differs in {'; '.join(differences[:4]) or 'its key alone'}. "
            "Mend the configuration, or let what is missing be asked for with tape.mode=replay")


def _recorded(db: sqlite3.Connection) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for party, rest in db.execute(f"SELECT party, request FROM calls LIMIT {_NEWEST}"):
        yield party, json.loads(rest)


def _alike(request: Request, wanted: Mapping[str, Any], party: bytes, rest: Mapping[str, Any]) -> float:
    """How much two requests have in common: the fields, then the messages, then who was asked."""
    if wanted.keys() != rest.keys():
        return -1
    mine, theirs = wanted.get("messages", []), rest.get("messages", [])
    shared = len(set(mine) & set(theirs)) - abs(len(mine) - len(theirs)) / 2
    equal = sum(rest[name] == value for name, value in wanted.items())
    return 10 * shared + equal + (party == request.party.digest)


def _texts(db: sqlite3.Connection, request: Request, rest: Mapping[str, Any], wanted: Mapping[str, Any]
           ) -> Iterator[str]:
    """The differences of all but who was asked."""
    for name, value in wanted.items():
        other = rest[name]
        if value == other:
            continue
        if name in ("messages", "argument"):
            mine, theirs = ([value], [other]) if name == "argument" else (value, other)
            at = next((at for at, pair in enumerate(zip(theirs, mine, strict=False)) if pair[0] != pair[1]), None)
            if at is None:
                yield f"{name}: {len(theirs)} recorded, {len(mine)} asked"
            else:
                place = name if name == "argument" else f"message {at + 1}"
                yield f"{place}: {_shown(_text(db, theirs[at]), request.texts[bytes.fromhex(mine[at])])}"
        else:
            yield f"{name}: {other!r} recorded, {value!r} asked"


def _shown(recorded: str, asked: str) -> str:
    """The first difference of two texts, with a little of what is around it."""
    blocks = SequenceMatcher(None, recorded[:4000], asked[:4000], autojunk=False).get_matching_blocks()
    start = blocks[0].size if blocks[0].a == blocks[0].b == 0 else 0
    return (f"{recorded[max(0, start - _AROUND): start + _AROUND]!r} recorded, "
            f"{asked[max(0, start - _AROUND): start + _AROUND]!r} asked")


def _text(db: sqlite3.Connection, digest: str) -> str:
    row = db.execute("SELECT text FROM texts WHERE digest = ?", (bytes.fromhex(digest),)).fetchone()
    return row[0] if row else ""


def _identity(db: sqlite3.Connection, digest: bytes) -> Any:
    row = db.execute("SELECT identity FROM parties WHERE digest = ?", (digest,)).fetchone()
    return json.loads(row[0]) if row else {}


def _between(recorded: Any, asked: Any, name: str) -> Iterator[str]:
    """The options of a model or tool that are not the same."""
    if isinstance(recorded, dict) and isinstance(asked, dict):
        for part in sorted({*recorded, *asked}):
            yield from _between(recorded.get(part), asked.get(part), f"{name}.{part}".lstrip("."))
    elif recorded != asked:
        yield f"{name}: {recorded!r} recorded, {asked!r} asked"
