"""Whether a comparison holds: of numbers and dates by their size, of other texts by their words."""

from collections.abc import Mapping

from fireact.dataset.scoring import normalize
from fireact.plan import magnitude
from fireact.strategy.language.syntax import Comparison, Condition
from fireact.strategy.language.templates import fill


class Incomparable(Exception):
    """Two values that have no order; the text tells which."""


def holds(condition: Condition, values: Mapping[str, str]) -> bool:
    """Whether a condition holds for values that are all known. Raises Incomparable."""
    return any(all(_compare(comparison, values) for comparison in group) for group in condition.groups)


def _compare(comparison: Comparison, values: Mapping[str, str]) -> bool:
    left, right = (_operand(side, values) for side in (comparison.left, comparison.right))
    if comparison.sign == "contains":
        return f" {normalize(right)} " in f" {normalize(left)} "
    if comparison.sign in ("==", "!="):
        return (normalize(left) == normalize(right)) == (comparison.sign == "==")
    try:
        first, second = magnitude(left), magnitude(right)
    except ValueError:
        raise Incomparable(f"{comparison} compares numbers or dates, but the values are {left[:40]!r} and "
                           f"{right[:40]!r}") from None
    return {"<": first < second, "<=": first <= second, ">": first > second, ">=": first >= second}[comparison.sign]


def _operand(template: str, values: Mapping[str, str]) -> str:
    text = fill(template, values).strip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and template.strip()[:1] == '"'
    return text[1:-1] if quoted else text
