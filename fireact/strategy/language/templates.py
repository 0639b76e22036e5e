"""Texts in which `{NAME}` stands for a value."""

import json
import re
from collections.abc import Mapping

from fireact.errors import FormatError
from fireact.strategy.grammar import is_object

LONGEST = 10_000
"""Characters of a text with values in it: else a few lines that double a value would take all memory."""
_SLOT = re.compile(r"\{([A-Za-z_]\w*(?:\.\w+)*)\}")
_IN_OBJECT = re.compile(rf'\\["\\]|"|{_SLOT.pattern}')
_PLAIN = re.compile(rf"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null|{_SLOT.pattern}")
"""Values that stand in JSON as they are."""


def slots(template: str) -> list[str]:
    """The names that a text refers to, in its order."""
    return _SLOT.findall(template)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values in the places of their names; what has none stays. In a JSON object each stays within its place.

    Raises FormatError where the text becomes longer than LONGEST; a single `{NAME}` may be any value.
    """
    used = [values[name] for name in slots(template) if name in values]
    if not used or _SLOT.fullmatch(template):
        return used[0] if used else template
    length = len(template) + sum(map(len, used))
    if length > LONGEST:
        raise FormatError(f"{template[:60]!r} comes to {length:,} characters with its values, and {LONGEST:,} is the "
                          "most; write a shorter text")
    if is_object(template):
        return _fill_object(template, values)
    return _SLOT.sub(lambda slot: values.get(slot[1], slot[0]), template)


def _fill_object(template: str, values: Mapping[str, str]) -> str:
    within = False

    def part(found: re.Match[str]) -> str:
        nonlocal within
        within ^= found[0] == '"'
        value = values.get(found[1] or "")
        if value is None:
            return found[0]
        written = json.dumps(value, ensure_ascii=False)
        return written[1:-1] if within else value if _PLAIN.fullmatch(value) else written

    return _IN_OBJECT.sub(part, template)
