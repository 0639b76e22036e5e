"""Clean text of the World Factbook: no markup, no notes, plain ASCII letters, and how to find it in a record."""

import html
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

_NO_ACCENT = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201b": "'", "\u02bb": "'", "\u02bc": "'", "`": "'", "\u201c": '"', "\u201d": '"',
    "\u2013": "-", "\u2014": "-", "\u2026": "...", "\u0131": "i", "\u0142": "l", "\u0141": "L", "\u00f8": "o",
    "\u00d8": "O", "\u00e6": "ae", "\u00c6": "Ae", "\u0153": "oe", "\u00df": "ss", "\u0111": "d", "\u0110": "D",
    "\u00f0": "d", "\u00d0": "D", "\u00fe": "th", "\u00de": "Th", "\u0126": "H", "\u0127": "h", "\u0259": "a",
})
_TAG = re.compile(r"<[^>]*>")
_BREAK = re.compile(r"<br\s*/?>|</p>|<p>")
_NOTE = re.compile(r"(?:;\s*|\b)note(?:\s*\d+)?\s*[-:].*", re.DOTALL)
_NAME = re.compile(r"[A-Z][A-Za-z0-9' -]*[A-Za-z0-9']")
_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")

LONGEST_NAME = 40
"""Characters. Longer names are hard to copy and are left out of questions."""


def fold(text: str) -> str:
    """Write accented letters and typographic quotes in ASCII; drop what has no such form."""
    plain = unicodedata.normalize("NFKD", text.translate(_NO_ACCENT))
    return plain.encode("ascii", "ignore").decode()


def unmark(text: str) -> str:
    """Resolve entities, drop tags and squeeze white space; accents stay."""
    text = html.unescape(text)
    return " ".join(_TAG.sub("", _BREAK.sub(" ", text)).split())


def clean(text: str) -> str:
    """`unmark`, then `fold`."""
    return fold(unmark(text))


def without_notes(text: str) -> str:
    """Drop a trailing 'note: ...' or '; note - ...'."""
    return _NOTE.sub("", text).strip(" ;,")


def without_brackets(text: str) -> str:
    """Drop what stands in brackets, two levels deep."""
    return " ".join(_BRACKETS.sub("", _BRACKETS.sub("", text)).split())


def in_brackets(text: str) -> list[str]:
    """Return the names given in brackets as alternatives: 'Tirana (Tirane)', 'Pristina (Prishtine, Prishtina)'."""
    inner = re.findall(r"\(([^()]*)\)", text)
    parts = [part.strip() for group in inner for part in re.split(r"[,/]", re.sub(r"^(aka|or) | is .*", "", group))]
    return [part for part in parts if is_name(part)]


def is_name(text: str) -> bool:
    """Whether a text can be a proper name that is short and easy to copy."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def dig(record: Mapping[str, Any], *path: str) -> str:
    """Return the text at a path of the raw record, '' where there is none or it is 'NA' or 'none'."""
    node: Any = record
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    text = node.get("text", "") if isinstance(node, Mapping) else ""
    text = text.strip() if isinstance(text, str) else ""
    return "" if text.lower() in ("na", "none") else text


def latest(record: Mapping[str, Any], *path: str) -> str:
    """Return the text of the newest year under a path whose keys end in years ('Exports 2024')."""
    node: Any = record
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    years = [key for key in node if re.search(r"\d{4}$", key)] if isinstance(node, Mapping) else []
    return dig(record, *path, max(years)) if years else ""
