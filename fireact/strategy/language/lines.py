"""The lines of a reply, without what models and markdown put around them, and what stands in brackets."""

import re
from collections.abc import Sequence

from fireact.errors import FormatError
from fireact.strategy.grammar import closing

_FENCE = re.compile(r"\s*```\w*\s*$")
_BULLET = re.compile(r"^(?:[-*]|\d{1,2}[.)])\s+")
_STATEMENT = re.compile(r"skill\s+\w+\s*\[|else\s*:|(?:else\s+)?(?:finish|return)\s*\[|"
                        r"(?:elif|(?:else\s+)?if)\b(?=.*[{=<>]|.*:\s*(?:finish|return)\b)|"
                        r"(?:else\s+)?[A-Za-z_]\w*\s*=(?!=)\s*[A-Za-z_]", re.IGNORECASE)
_OPEN_GUARD = re.compile(r"(?:if|elif|else)\b(?:.*\S)?\s*:$", re.IGNORECASE)
_WRAPPERS = ("**", "`")


def statements_of(text: str) -> tuple[str, list[str]]:
    """Cut a reply into its thought and its lines, without blank lines, comments and what markdown adds.

    Raises FormatError for several lines that are indented under a condition.
    """
    lines = [line for line in text.splitlines() if not _FENCE.match(line)]
    cleaned = [(len(line) - len(line.lstrip()), _clean(line)) for line in lines]
    kept = [(indent, line) for indent, line in cleaned if line and not line.startswith("#")]
    start = next((at for at, (_, line) in enumerate(kept) if is_statement(line)), len(kept))
    return "\n".join(line for _, line in kept[:start]), _joined(kept[start:])


def is_statement(line: str) -> bool:
    """Whether a line begins like a statement: what stands before the first of them is thought."""
    return _STATEMENT.match(line) is not None


def _clean(line: str) -> str:
    line = line.strip()
    bare = _BULLET.sub("", line, count=1)
    for sign in _WRAPPERS:
        if bare.startswith(sign) and bare.endswith(sign):
            bare = bare[len(sign): -len(sign)].strip()
    return bare if is_statement(bare) else line


def _joined(lines: Sequence[tuple[int, str]]) -> list[str]:
    """Lines of which one that is indented under a condition stands behind it."""
    found: list[str] = []
    under: int | None = None
    for at, (indent, line) in enumerate(lines):
        open_guard = lines[at - 1] if at and _OPEN_GUARD.match(lines[at - 1][1]) else None
        if under is not None and indent > under:
            raise FormatError(f"{quoted(line)} is the second line under a condition; write the condition before each "
                              "line, e.g. if {E1} > {E2}: finish[A]")
        under = open_guard[0] if open_guard and indent > open_guard[0] else None
        if under is None:
            found.append(line)
        else:
            found[-1] = f"{found[-1]} {line}"
    return found


def bracketed(text: str, start: int) -> tuple[str, str]:
    """What stands in the bracket that opens at `start`, and what follows it. Raises FormatError."""
    end = closing(text, start)
    if end is None:
        raise FormatError(f"the bracket opened in {quoted(text)} is never closed; write e.g. E1 = search[Paris]")
    inside = text[start + 1: end].strip()
    if not inside:
        raise FormatError(f"there is nothing in the brackets of {quoted(text)}; write e.g. E1 = search[Paris]")
    return inside, text[end + 1:].strip()


def quoted(text: str) -> str:
    """A text as refusals show it."""
    text = " ".join(text[:200].split())
    return repr(text if len(text) <= 60 else text[:57] + "...")
