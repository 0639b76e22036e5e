"""Reading a value out of an observation by a pattern: a sentence with one `*` in the value's place.

`...` stands for any words in between. Case and white space do not matter. A `*` at the end takes the text up to the end
of its clause; elsewhere the shortest text up to what follows it.
"""

import re
from collections.abc import Mapping, Sequence

from fireact.strategy.language.templates import fill

MOST_GAPS = 2
"""How many `...` a pattern may have, so that it is found fast."""
_SIGNS = re.compile(r"(\*|\.\.\.)")
_END = re.compile(r"\s*(?:[.,;:!?](?=\s|$)|[(\"\n]|$)")
"""Where a clause ends: at a sign before a space, so never within 7,953,556, 72.9 or .bj."""
_BEGINNING = re.compile(r"(?:.*[.,;:!?]\s|.*[)\"])?", re.DOTALL)
_LONGEST = 300
"""Characters that `*` or `...` may stand for."""


def find(pattern: str, observation: str, values: Mapping[str, str]) -> str | None:
    """The value, stripped; None where the pattern is not in the observation. `values` are those that it refers to.

    Every part is looked for behind the one before it, and the first place counts: no pattern takes long.
    """
    text = pattern.strip()
    parts = _SIGNS.split(text if text.endswith("...") else text.removesuffix("."))
    found = [part if part in _GAPS else _words(fill(part, values)) for part in parts if part.strip()]
    while found and found[-1] == "...":
        found.pop()
    first = next((at for at, part in enumerate(found) if not isinstance(part, str)), None)
    if first is None:
        return None
    words = found[first]
    assert isinstance(words, re.Pattern)
    for start in words.finditer(observation):
        value = _behind(found[first + 1:], observation, start.end())
        if "*" in found[:first]:
            before = observation[max(0, start.start() - _LONGEST): start.start()].rpartition("\n")[2]
            value = before[_BEGINNING.match(before).end():] if value is not None else None  # pyright: ignore
        if value is not None and value.strip() and "\n" not in value:
            return value.strip()
    return None


_GAPS = ("*", "...")


def _behind(parts: Sequence["str | re.Pattern[str]"], text: str, at: int) -> str | None:
    """The value of the parts behind `at`; '' where they hold no `*`, None where they do not follow."""
    value, gap = "", ""
    begin = at
    for part in parts:
        if isinstance(part, str):
            gap, begin = part, at
            continue
        place = part.search(text, at, at + _LONGEST + 200) if gap else part.match(text, at)
        if place is None or place.start() - at > _LONGEST:
            return None
        if gap == "*":
            value = text[begin: place.start()]
        gap, at = "", place.end()
    if gap == "*":
        rest = text[at: at + _LONGEST + 1]
        end = _END.search(rest, 1)
        return rest[: end.start()] if end and end.start() <= _LONGEST else None
    return value


def _words(text: str) -> "re.Pattern[str]":
    words = r"\s+".join(map(re.escape, text.split()))
    before, after = (r"\s*" if end.isspace() else "" for end in (text[:1], text[-1:]))
    begins = r"\b" if text.strip()[:1].isalnum() else ""
    ends = r"\b" if text.strip()[-1:].isalnum() else ""
    return re.compile(f"{before}{begins}{words}{ends}{after}", re.IGNORECASE)
