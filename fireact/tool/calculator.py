"""Works out an expression, exactly where that is possible.

    calculator[(7,953,556 - 7,900,000) / 2]     26778
    calculator[round(2 / 3, 2)]                 0.67
    calculator[15% of 80]                       12

    expression = term (("+" | "-") term)*
    term       = sign (("*" | "/" | "//" | "%" | "of") sign)*
    sign       = ("-" | "+") sign | power
    power      = value "%"* ("**" sign)?
    value      = NUMBER | "(" expression ")" | NAME "(" expression ("," expression)* ")"

As in Python, `%` between two values is the remainder, `//` rounds down, and `**` (or `^`) binds closer than a sign
before it, and from right to left. A `%` that no value follows is a hundredth. Halves are rounded away from zero.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, DivisionByZero, InvalidOperation, Overflow, Underflow
from fractions import Fraction
from math import ceil, floor, isqrt
from typing import ClassVar

from fireact.errors import ToolError
from fireact.requests import Act
from fireact.toolspec import ToolSpec, text_argument
from fireact.types import Observation

LONGEST = 500
"""Characters of an expression."""
DEEPEST = 40
"""Brackets, signs and powers within each other."""
LARGEST = 4096
"""Bits of a number's numerator or denominator: about 1,200 digits."""
DIGITS = 15
"""Of a result that has no end, or none before these."""

_EXAMPLE = "write e.g. calculator[(1,250 - 3.5) * 2]"
_NEARLY = Context(prec=30, Emin=-2000, Emax=2000, traps=[InvalidOperation, DivisionByZero, Overflow, Underflow])
"""For roots and fractional powers."""
_GROUPED = r"\d{1,3}(?:,\d{3})+(?![\d,])"
"""Digits in groups of thousands, as in 7,953,556."""
_TOKEN = re.compile(rf"\s*(?:(?P<number>(?:{_GROUPED}|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z]\w*)|"
                    r"(?P<sign>\*\*|//|[-+*/%(),]))")
_SAME = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "^": "**", "√": "sqrt"})  # noqa: RUF001


@dataclass(kw_only=True)
class Calculator:
    """Adds, multiplies, compares and rounds numbers."""

    actions: ClassVar[tuple[str, ...]] = ("calculator",)
    specs: ClassVar[tuple[ToolSpec, ...]] = (ToolSpec(
        "calculator", "works out numbers with + - * / // % ** ( ) and sqrt, abs, round, floor, ceil, min, max.",
        text_argument("expression", "what to work out, e.g. (1,250 - 3.5) * 2")),)
    stateless: ClassVar[tuple[str, ...]] = ("calculator",)
    """The actions that are answered alike in every episode."""

    async def __call__(self, act: Act) -> Observation:
        """Work it out. Raises ToolError for what is no expression, has no result, or is too large."""
        return Observation(written(evaluate(act.argument)))


def evaluate(text: str) -> Fraction:
    """The value of an expression; exact but for roots and fractional powers, which have 30 digits. Raises ToolError."""
    if len(text) > LONGEST:
        raise ToolError(f"the expression has {len(text)} characters, and {LONGEST} is the most; work out its parts")
    parser = _Parser(_tokens(text.translate(_SAME)))
    value = parser.expression()
    if parser.next:
        raise ToolError(f"{parser.next!r} cannot stand there in {_quoted(text)}; {_EXAMPLE}")
    return value


def written(value: Fraction) -> str:
    """A number in decimal digits: in full where it ends within 15 decimals, else rounded to 15 digits."""
    if value.denominator == 1:
        return str(value.numerator)
    if 10**DIGITS % value.denominator == 0:
        digits = str(abs(value.numerator) * 10**DIGITS // value.denominator).rjust(DIGITS + 1, "0")
        return f"{'-' if value < 0 else ''}{digits[:-DIGITS]}.{digits[-DIGITS:].rstrip('0')}"
    near = Context(prec=DIGITS).divide(Decimal(value.numerator), Decimal(value.denominator))
    text = str(near)
    return text.rstrip("0").rstrip(".") if "." in text and "E" not in text else text


def _tokens(text: str) -> list[str]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        token = _TOKEN.match(text, at)
        if token is None:
            raise ToolError(f"{text[at:at + 10].strip()!r} is no number or sign that the calculator knows; {_EXAMPLE}")
        found.append(token[0].strip())
        at = token.end()
    if not found:
        raise ToolError(f"the expression was empty; {_EXAMPLE}")
    return found


class _Parser:
    """Works a list of tokens out, from left to right."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._at, self._depth = tokens, 0, 0
        self._arguments = False
        """Whether it is directly between the brackets of a function that takes several arguments."""

    @property
    def next(self) -> str:
        """The token to be read; empty at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self.next
        self._at += 1
        return token

    def expression(self) -> Fraction:
        value = self._term()
        while self.next in ("+", "-"):
            value = _two(self._take(), value, self._term())
        return value

    def _term(self) -> Fraction:
        value = self._sign()
        while self.next in ("*", "/", "//", "%", "of"):
            value = _two(self._take(), value, self._sign())
        return value

    def _sign(self) -> Fraction:
        if self.next not in ("+", "-"):
            return self._power()
        self._down()
        value = -self._sign() if self._take() == "-" else self._sign()
        self._depth -= 1
        return value

    def _power(self) -> Fraction:
        value = self._value()
        while self.next == "%" and not self._value_follows():
            self._take()
            value = _bounded(value / 100)
        if self.next != "**":
            return value
        self._take()
        self._down()
        exponent = self._sign()
        self._depth -= 1
        return _power(value, exponent)

    def _value_follows(self) -> bool:
        after = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ""
        return after == "(" or (after[:1].isalnum() and after != "of") or after[:1] == "."

    def _value(self) -> Fraction:
        token = self._take()
        if token[:1].isdigit() or token[:1] == ".":
            return _number(token, self._arguments)
        if token == "(":
            return self._bracketed(False)[0]
        if token in FUNCTIONS:
            function = FUNCTIONS[token]
            if self._take() != "(":
                raise ToolError(f"{token} takes {function.takes} in brackets; write e.g. {function.example}")
            given = self._bracketed(function.most > 1)
            if not function.least <= len(given) <= function.most:
                raise ToolError(f"{token} takes {function.takes}, got {len(given)} values; write e.g. "
                                f"{function.example}")
            return _bounded(function.of(*given))
        if token[:1].isalpha():
            raise ToolError(f"the calculator does not know {token[:20]!r}, only numbers, signs and "
                            f"{', '.join(FUNCTIONS)}; {_EXAMPLE}")
        raise ToolError(f"a number is missing {f'before {token!r}' if token else 'at the end'}; {_EXAMPLE}")

    def _bracketed(self, arguments: bool) -> list[Fraction]:
        """The values up to the closing bracket."""
        self._down()
        before, self._arguments = self._arguments, arguments
        values = [self.expression()]
        while arguments and self.next == ",":
            self._take()
            values.append(self.expression())
        if self.next != ")":
            what = f"{self.next!r} cannot stand within brackets" if self.next else "a bracket is not closed"
            raise ToolError(f"{what}; {_EXAMPLE}")
        self._take()
        self._arguments, self._depth = before, self._depth - 1
        return values

    def _down(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ToolError(f"more than {DEEPEST} brackets and signs are within each other; work out the parts")


@dataclass(frozen=True)
class _Function:
    of: Callable[..., Fraction]
    example: str
    takes: str = "one value"
    least: int = 1
    most: int = 1


def _root(value: Fraction) -> Fraction:
    if value < 0:
        raise ToolError("a negative number has no square root; give sqrt a number from 0 on")
    above, below = isqrt(value.numerator), isqrt(value.denominator)
    if above**2 == value.numerator and below**2 == value.denominator:
        return Fraction(above, below)
    return Fraction(_NEARLY.sqrt(_decimal(value)))


def _round(value: Fraction, digits: Fraction = Fraction(0)) -> Fraction:
    if digits.denominator != 1 or abs(digits) > LONGEST:
        raise ToolError("round takes a whole number of decimals; write e.g. round(3.14159, 2)")
    unit = Fraction(10) ** -digits.numerator
    whole = floor(abs(value) / unit + Fraction(1, 2)) * unit
    return whole if value >= 0 else -whole


FUNCTIONS = {
    "sqrt": _Function(_root, "sqrt(16)"),
    "abs": _Function(lambda value: abs(value), "abs(3 - 5)"),
    "round": _Function(_round, "round(3.14159, 2)", "a value and how many decimals it keeps", 1, 2),
    "floor": _Function(lambda value: Fraction(floor(value)), "floor(3.7)"),
    "ceil": _Function(lambda value: Fraction(ceil(value)), "ceil(3.2)"),
    "min": _Function(min, "min(3, 5)", "values", 1, LONGEST),
    "max": _Function(max, "max(3, 5)", "values", 1, LONGEST),
}
"""By their names."""


def _number(token: str, argument: bool) -> Fraction:
    if argument and "," in token:
        raise ToolError(f"{token} may be one number or several values of a function; write "
                        f"{token.replace(',', '')} or {token.replace(',', ', ')}")
    digits, _, exponent = token.lower().partition("e")
    if exponent and abs(int(exponent)) > LARGEST:
        raise ToolError(_too_large())
    return _bounded(Fraction(digits.replace(",", "")) * Fraction(10) ** int(exponent or 0))


def _two(sign: str, one: Fraction, other: Fraction) -> Fraction:
    if sign in ("/", "//", "%") and other == 0:
        raise ToolError("nothing can be divided by 0; check the number after the sign")
    ways: dict[str, Callable[[], Fraction]] = {
        "+": lambda: one + other, "-": lambda: one - other, "*": lambda: one * other, "of": lambda: one * other,
        "/": lambda: one / other, "//": lambda: Fraction(one // other), "%": lambda: one % other}
    return _bounded(ways[sign]())


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if base == 0 and exponent < 0:
        raise ToolError("nothing can be divided by 0; 0 has no negative power")
    if exponent.denominator == 1:
        bits = max(abs(base.numerator), base.denominator).bit_length() - 1
        if bits * abs(exponent) > LARGEST:
            raise ToolError(_too_large())
        whole = exponent.numerator
        return _bounded(base ** (whole % 2 if abs(base) == 1 else whole))
    if base < 0:
        raise ToolError("a negative number has no fractional power; check the brackets")
    try:
        return _bounded(Fraction(_NEARLY.power(_decimal(base), _decimal(exponent))))
    except DecimalException:
        raise ToolError(_too_large()) from None


def _decimal(value: Fraction) -> Decimal:
    return _NEARLY.divide(Decimal(value.numerator), Decimal(value.denominator))


def _bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator).bit_length() > LARGEST:
        raise ToolError(_too_large())
    return value


def _too_large() -> str:
    return "the number has more than 1,200 digits, which is too large for the calculator; work with smaller numbers"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
