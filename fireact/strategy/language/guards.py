"""Reading the guard that a line begins with: `if {E1} > 5 and {E2} == blue:`, `elif ...:`, `else:`."""

import re
from typing import Literal

from fireact.errors import FormatError
from fireact.strategy.language.lines import is_statement, quoted
from fireact.strategy.language.syntax import Comparison, Condition, Guard, Sign

_HEAD = re.compile(r"(if|elif|else\s+if|else)\b\s*", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"?')
_JOINT = re.compile(r"(?<=\s)(and|or)(?=\s)", re.IGNORECASE)
_SIGN = re.compile(r"==|!=|<=|>=|[<>≤≥≠]|\bcontains\b|(?<![<>=!])=(?!=)", re.IGNORECASE)
_SIGNS: dict[str, Sign] = {"=": "==", "≤": "<=", "≥": ">=", "≠": "!="}
_CALCULATES = re.compile(r"\}\s*[-+*/]|[-+*/]\s*\{|^\s*not\b", re.IGNORECASE)


def read_guard(line: str, before: Guard | None, chain: int) -> tuple[Guard | None, str]:
    """The guard of a line, and the rest of the line; `before` is that of the line above, `chain` a new chain's number.

    Raises FormatError.
    """
    head = _HEAD.match(line)
    if head is None or not (is_statement(line) or (before and head[1].lower() != "if")):
        return None, line
    first = head[1].lower()
    word: Literal["if", "elif", "else"] = "if" if first == "if" else "else" if first == "else" else "elif"
    if word != "if" and (before is None or before.word == "else"):
        raise FormatError(f"{quoted(line)} has no if in the line before it; write e.g. if {{E1}} > {{E2}}: "
                          "finish[A], and under it else: finish[B]")
    number, place = (before.chain, before.place + 1) if word != "if" and before else (chain, 0)
    rest = line[head.end():]
    colon = _masked(rest).find(":")
    if colon < 0 or (word == "else" and colon > 0):
        raise FormatError(f"{quoted(line)} has no colon behind its condition; write e.g. if {{E1}} > {{E2}}: "
                          "finish[A], and under it else: finish[B]")
    condition = None if word == "else" else _condition(rest[:colon])
    return Guard(word, condition, number, place), rest[colon + 1:].strip()


def _condition(text: str) -> Condition:
    text = text.strip()
    if text.startswith("(") and text.endswith(")") and text.count("(") == 1:
        text = text[1:-1]
    groups: list[list[Comparison]] = [[]]
    at = 0
    for joint in _JOINT.finditer(_masked(text)):
        groups[-1].append(_comparison(text[at: joint.start()]))
        at = joint.end()
        if joint[1].lower() == "or":
            groups.append([])
    groups[-1].append(_comparison(text[at:]))
    return Condition(tuple(map(tuple, groups)))


def _comparison(text: str) -> Comparison:
    signs = list(_SIGN.finditer(_masked(text)))
    left, right = (text[: signs[0].start()].strip(), text[signs[0].end():].strip()) if signs else ("", "")
    if len(signs) != 1 or not left or not right or right[0] in "=<>!" or left[-1] in "=<>!":
        raise FormatError(f"the comparison {quoted(text)} is not of the form a > b; write e.g. {{E1}} > {{E2}}, with "
                          'one of == != < <= > >= contains, and "..." around a text with and or or in it')
    for side in map(_masked, (left, right)):
        if side.count("(") != side.count(")") or _CALCULATES.search(side):
            raise FormatError(f"the comparison {quoted(text)} is no plain one of two values: brackets, not and sums do "
                              "not work in conditions; write e.g. {E1} > {E2} and {E1} != 5")
    sign = signs[0][0].lower()
    return Comparison(left, _SIGNS.get(sign, sign), right)  # pyright: ignore[reportArgumentType]


def _masked(text: str) -> str:
    """The text with nothing in its quotes, so that no sign is found there; as long as before."""
    return _QUOTED.sub(lambda found: '"' * len(found[0]), text)
