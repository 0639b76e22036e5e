"""Texts in which `{NAME}` stands for a value."""

import re
from collections.abc import Mapping

_SLOT = re.compile(r"\{([A-Za-z_]\w*(?:\.\w+)*)\}")


def slots(template: str) -> list[str]:
    """The names that a text refers to, in its order."""
    return _SLOT.findall(template)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values in the places of their names; what has none stays."""
    return _SLOT.sub(lambda slot: values.get(slot[1], slot[0]), template)
