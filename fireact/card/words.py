"""What others wrote, made fit to stand in a card: no markup, no paths of this machine, no keys."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fireact.keys import SECRET, hidden

_PATH = re.compile(r"(?<![\w/:<.~])(?:~|[A-Za-z]:(?=[\\/]))?[\\/](?:[^\s'\",=\[\]{}\\/]+[\\/])*([^\s'\",=\[\]{}\\/]+)")
_CONTROL = re.compile("[^\t\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKUP = re.compile(r"([\\`*_\[\]<>|#&$~!])")
_SECRET = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)


def public(text: Any) -> str:
    """One line without control characters, keys of the environment, and the folders of absolute paths."""
    line = _CONTROL.sub(" ", " ".join(str(text).split()))
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= SECRET:
            line = hidden(line, value)
    return _PATH.sub(r"\1", line)


def plain(text: Any) -> str:
    """The same as markdown that shows it as it is."""
    return _MARKUP.sub(r"\\\1", public(text))


def code(text: Any) -> str:
    """The same between backticks, of which it may hold some itself."""
    line = public(text).strip()
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"{fence}{line}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """A markdown table and an empty line; nothing without rows."""
    body = [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]
    return [f"| {' | '.join(plain(cell) for cell in head)} |", f"|{'---|' * len(head)}", *body, ""] if body else []


def facts(rows: Iterable[tuple[str, Any]]) -> list[str]:
    """A table of names and values; what has no value is left out."""
    return table(("", ""), [(name.replace("_", " "), shown(value)) for name, value in rows if value is not None])


def shown(value: Any) -> str:
    """A value as people write it."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(shown, value)) if isinstance(value, list) else str(value)


def base_name(source: str) -> tuple[str, bool]:
    """How others call a base model, and whether that is its id on the hub; of a folder only the last part is told."""
    is_id = re.fullmatch(r"[\w][\w.-]*/[\w][\w.-]*", source) is not None and not Path(source).is_dir()
    return (source, True) if is_id else (public(Path(source).name or "an unnamed model"), False)
