"""Reading a value out of an observation by a pattern: a sentence with one `*` in the value's place.

`...` stands for any words in between. Case and white space do not matter. A `*` at the end takes the text up to the end
of its clause, one at the beginning from the beginning of its clause; elsewhere the shortest text up to what follows it.
"""

import re
from collections.abc import Mapping, Sequence

from fireact.strategy.language.templates import fill

MOST_GAPS = 2
"""How many `...` a pattern may have."""
_GAP = re.compile(r"(\*|\.\.\.)")
_END = re.compile(r"\s*(?:[.,;:!?](?=\s|$)|[(\"\n]|$)")
"""Where a clause ends: at a sign before a space, so never within 7,953,556, 72.9 or .bj."""
_BEGINNING = re.compile(r"[.,;:!?]\s|[()\"\n]")
_SENTENCE = re.compile(r"[.!?]\s|\n")
_QUOTED = re.compile(r'"([^"\n]*)"')
READ = 50_000
"""Characters of an observation that are looked through."""
_LONGEST = 300
"""Characters that `*` or `...` may stand for."""

Part = str | re.Pattern[str]
"""A gap, `*` or `...`, or words to look for."""


def find(pattern: str, observation: str, values: Mapping[str, str]) -> str | None:
    """The value, stripped; None where the pattern is not in the observation. `values` are those that it refers to.

    All words are looked for behind those before them, and the first place counts: no pattern takes long.
    Raises FormatError for values that make the pattern too long.
    """
    observation = observation[:READ]
    parts = _parts(pattern, values)
    first = next((at for at, part in enumerate(parts) if isinstance(part, re.Pattern)), None)
    if first is None:
        return None
    words, rest = parts[first], parts[first + 1:]
    assert isinstance(words, re.Pattern)
    for place in words.finditer(observation):
        value = _behind(words, rest, observation, place.end())
        if value is not None and "*" not in rest:
            value = _BEGINNING.split(observation[max(0, place.start() - _LONGEST): place.start()])[-1]
        if value and value.strip() and "\n" not in value.strip():
            return value.strip()
    return None


def _parts(pattern: str, values: Mapping[str, str]) -> list[Part]:
    text = pattern.strip()
    pieces = _GAP.split(text if text.endswith("...") else text.removesuffix("."))
    # Filled in only now: a sign within a value is a letter like any other.
    filled = [piece if _GAP.fullmatch(piece) else fill(piece, values) for piece in pieces]
    parts = [part if _GAP.fullmatch(piece) else _words(part)
             for piece, part in zip(pieces, filled, strict=True) if part.strip()]
    while parts and parts[-1] == "...":
        parts.pop()
    return parts


def _behind(words: re.Pattern[str], parts: Sequence[Part], text: str, at: int) -> str | None:
    """The value of the parts behind `words`, which end at `at`; '' where they hold no `*`, None where they are not
    there."""
    value, gap = "", ""
    for part in (*parts, ""):
        if gap == "*" and isinstance(part, str):
            value, at = _clause(text, at)
        elif isinstance(part, re.Pattern):
            place = part.search(text, at, at + _LONGEST + 2 * len(part.pattern))
            if place is None or place.start() - at > _LONGEST:
                return None
            if gap == "*":
                value = text[at: place.start()]
                if _SENTENCE.search(value):
                    # Of sentences that begin in the same way, the last one goes on as the pattern does.
                    value = words.split(value)[-1]
            words, at = part, place.end()
        gap = part
    return value


def _clause(text: str, at: int) -> tuple[str, int]:
    """The text from `at` up to the end of its clause, and where that is. What stands in quotes is a clause."""
    rest = text[at: at + 2 * _LONGEST]
    at += len(rest) - len(rest.lstrip())
    rest = rest.lstrip()
    quoted = _QUOTED.match(rest)
    if quoted:
        return quoted[1], at + quoted.end()
    end = _END.search(rest)
    length = end.start() if end else 0
    return (rest[:length] if length <= _LONGEST else ""), at + length


def _words(text: str) -> re.Pattern[str]:
    words = text.split()
    begins, ends = (r"\b" if letter.isalnum() else "" for letter in (words[0][0], words[-1][-1]))
    return re.compile(begins + r"\s+".join(map(re.escape, words)) + ends, re.IGNORECASE)
