"""The lines of a reply, and the pieces that a line is cut into."""

import re
from typing import Literal

from fireact.errors import FormatError
from fireact.strategy.language.syntax import Comparison, Condition, Sign

_FENCE = re.compile(r"^\s*```\w*\s*$")
_BULLET = re.compile(r"^(?:[-*]\s+|\d{1,2}[.)]\s+)(?=\S)")
_STARTS = re.compile(r"(?:skill\s+\w+\s*\[|(?:if|elif)\s+\S|else\s*:|(?:finish|return)\s*\[|"
                     r"[A-Za-z_]\w*\s*=(?!=)\s*[A-Za-z_])", re.IGNORECASE)
"""What a statement begins with: whatever stands before the first is thought."""
_HEAD = re.compile(r"(if|elif|else)\b\s*", re.IGNORECASE)
_SIGN = re.compile(r"\s*(==|!=|<=|>=|<|>|\bcontains\b|(?<![<>=!])=(?!=))\s*", re.IGNORECASE)
_JOINS = re.compile(r"\s+(and|or)\s+", re.IGNORECASE)


def statements_of(text: str) -> tuple[str, list[str]]:
    """Cut a reply into its thought and its lines, without blank lines, comments and what markdown adds."""
    lines = [_clean(line) for line in text.strip().splitlines() if not _FENCE.match(line)]
    lines = [line for line in lines if line and not line.startswith("#")]
    start = next((at for at, line in enumerate(lines) if _STARTS.match(line)), len(lines))
    return "\n".join(lines[:start]), lines[start:]


def _clean(line: str) -> str:
    line = line.strip().strip("`")
    bullet = _BULLET.match(line)
    return line[bullet.end():] if bullet and _STARTS.match(line[bullet.end():]) else line


def head(line: str) -> tuple[Literal["if", "elif", "else"] | None, str]:
    """The word of a guard, and what follows it."""
    found = _HEAD.match(line)
    if found is None:
        return None, line
    word = found[1].lower()
    rest = line[found.end():]
    if word == "else":
        if not rest.startswith(":"):
            return (None, line) if not _STARTS.match(line) else _no_colon(line)
        return "else", rest[1:].strip()
    return ("if" if word == "if" else "elif"), rest


def _no_colon(line: str) -> tuple[None, str]:
    raise FormatError(f"{quoted(line)} has no colon; write e.g. else: finish[no]")


def condition(rest: str) -> tuple[Condition, str]:
    """Read a condition up to its colon, and return what follows that. Raises FormatError."""
    colon = _outside(rest, ":")
    if colon < 0:
        raise FormatError(f"the condition {quoted(rest)} has no colon behind it; write e.g. if {{E1}} > {{E2}}: "
                          "finish[yes]")
    groups: list[list[Comparison]] = [[]]
    at, text = 0, rest[:colon]
    for joint in [*(found for found in _JOINS.finditer(text) if not _in_quotes(text, found.start())), None]:
        groups[-1].append(_comparison(text[at: joint.start() if joint else len(text)]))
        if joint:
            at = joint.end()
            if joint[1].lower() == "or":
                groups.append([])
    return Condition(tuple(map(tuple, groups))), rest[colon + 1:].strip()


def _comparison(text: str) -> Comparison:
    signs = [found for found in _SIGN.finditer(text) if not _in_quotes(text, found.start())]
    left, right = (text[: signs[0].start()].strip(), text[signs[0].end():].strip()) if signs else ("", "")
    if len(signs) != 1 or not left or not right or right[0] in "=<>!" or left[-1] in "=<>!":
        raise FormatError(f"the comparison {quoted(text)} is not of the form a > b; write e.g. {{E1}} > {{E2}}, with "
                          "one of == != < <= > >= contains")
    word = signs[0][1].lower()
    sign: Sign = "==" if word == "=" else word  # pyright: ignore[reportAssignmentType]
    return Comparison(left, sign, right)


def bracketed(text: str, start: int) -> tuple[str, str]:
    """What stands in the bracket that opens at `start`, and what follows it. Raises FormatError."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"[": 1, "]": -1}.get(text[position], 0)
        if depth == 0:
            inside = text[start + 1: position].strip()
            if not inside:
                raise FormatError(f"there is nothing in the brackets of {quoted(text)}; write e.g. E1 = search[Paris]")
            return inside, text[position + 1:].strip()
    raise FormatError(f"the bracket opened in {quoted(text)} is never closed; write e.g. E1 = search[Paris]")


def quoted(text: str) -> str:
    """A text as refusals show it."""
    text = " ".join(text[:200].split())
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _outside(text: str, sign: str) -> int:
    """Where a sign stands outside of quotes; -1 where it does not."""
    return next((at for at, letter in enumerate(text) if letter == sign and not _in_quotes(text, at)), -1)


def _in_quotes(text: str, at: int) -> bool:
    return text.count('"', 0, at) % 2 == 1
