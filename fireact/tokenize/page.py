"""The audit as a page: sample rows, each token coloured by what it is part of, those that are trained on underlined."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fireact.examples import ROLES
from fireact.tokenize.audit import FAULTS
from fireact.tokenize.rows import Row

SAMPLE = 24
"""Rows that are shown: those with faults first, then the longest, then the first."""


def page(tokenizer: Any, rows: Sequence[Row], summary: dict[str, Any]) -> str:
    """Return the HTML of an audit; it needs no network, and all text of the rows is escaped."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    shown = [{"id": row.example.id, "tokens": len(row.example.ids), "notes": _notes(row),
              "trained": sum(weight > 0 for weight in row.example.mask), "runs": _runs(tokenizer, row)}
             for row in _sample(rows)]
    return environment.get_template("audit.html.j2").render(summary=summary, faults=FAULTS, roles=ROLES, rows=shown)


def _sample(rows: Sequence[Row]) -> list[Row]:
    longest = max(rows, key=lambda row: len(row.example.ids), default=None)
    order = sorted(range(len(rows)), key=lambda at: (not _notes(rows[at]), rows[at] is not longest, at))
    return [rows[at] for at in order[:SAMPLE]]


def _notes(row: Row) -> list[str]:
    told = [row.left_out] if row.left_out else []
    return told + [words for fault, words in FAULTS.items() if getattr(row, fault, False)]


def _runs(tokenizer: Any, row: Row) -> list[dict[str, Any]]:
    """Stretches of tokens with the same role and weight: their text, role and weight."""
    example = row.example
    tokens = zip(example.ids, example.roles, example.mask, strict=True)
    runs = [(role, weight, [token for token, _, _ in run])
            for (role, weight), run in groupby(tokens, key=lambda token: token[1:])]
    return [{"role": role, "weight": weight, "text": tokenizer.decode(ids)} for role, weight, ids in runs]
