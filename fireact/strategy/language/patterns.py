"""Reading a value out of an observation by a pattern: a sentence with one `*` in the value's place.

`...` stands for any words in between. Case and white space do not matter. A `*` at the end takes the text up to the end
of its clause; elsewhere the shortest text up to what follows it.
"""

import re
from collections.abc import Mapping

from fireact.strategy.language.templates import fill

MOST_GAPS = 2
"""How many `...` a pattern may have, so that it is found fast."""
_SIGNS = re.compile(r"(\*|\.\.\.)")
_CLAUSE = r"(?=\s*(?:[.,;:!?](?=\s|$)|\(|\"|\n|$))"
"""Where a clause ends: at a sign before a space, so never within 7,953,556, 72.9 or .bj."""
_LONGEST = 300
"""Characters that `*` or `...` may stand for."""


def find(pattern: str, observation: str, values: Mapping[str, str]) -> str | None:
    """The value, stripped; None where the pattern is not in the observation. `values` are those that it refers to."""
    found = re.search(_regex(pattern, values), observation, re.IGNORECASE)
    value = found["value"].strip() if found else ""
    return value or None


def signs(pattern: str) -> list[str]:
    """The signs of a pattern that stand for something, in their order."""
    return _SIGNS.findall(pattern)


def _regex(pattern: str, values: Mapping[str, str]) -> str:
    text = pattern.strip()
    parts = _SIGNS.split(text if text.endswith("...") else text.removesuffix("."))
    while parts and not parts[-1].strip():
        parts.pop()
    made = []
    for at, part in enumerate(parts):
        if part == "*":
            end = _CLAUSE if at == len(parts) - 1 else ""
            made.append(rf"(?P<value>[^\n]{{1,{_LONGEST}}}?){end}")
        elif part == "...":
            made.append(rf"[^\n]{{0,{_LONGEST}}}?")
        else:
            # Filled in only now: a sign within a value is a letter like any other.
            made.append(_words(fill(part, values)))
    return "".join(made)


def _words(text: str) -> str:
    words = r"\s+".join(map(re.escape, text.split()))
    before, after = (r"\s*" if end.isspace() else "" for end in (text[:1], text[-1:]))
    begins = r"\b" if text[:1].isalnum() else ""
    ends = r"\b" if text[-1:].isalnum() else ""
    return f"{before}{begins}{words}{ends}{after}" if words else before
