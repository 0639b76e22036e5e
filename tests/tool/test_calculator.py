"""The calculator, held against Python's fractions; what it refuses, and that it is bounded."""

import ast
import asyncio
import operator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact.errors import ToolError
from fireact.requests import Act
from fireact.tool.calculator import FUNCTIONS, LONGEST, Calculator, evaluate, written
from fireact.types import Observation


def use(argument: str) -> str:
    told = asyncio.run(Calculator()(Act("calculator", argument)))
    assert told == Observation(told.text)
    return told.text


@pytest.mark.parametrize(("expression", "result"), [
    ("(7,953,556 - 7,900,000) / 2", "26778"), ("7,953,556.5 \u00d7 2", "15907113"), ("0.1 + 0.2", "0.3"),
    ("1/3", "0.333333333333333"), ("2/3", "0.666666666666667"), ("-2**2", "-4"), ("2**-1", "0.5"), ("2^3^2", "512"),
    ("7 // 2", "3"), ("-7 // 2", "-4"), ("-7 % 3", "2"), ("7%3", "1"), ("15% of 80", "12"), ("50%", "0.5"),
    ("200 * 10% + 1", "21"), ("50% - 3", "-2.5"), ("(20)%", "0.2"), ("5 % (3)", "2"), ("1e3 * 2", "2000"),
    ("sqrt(16)", "4"), ("sqrt(9/4)", "1.5"), ("sqrt(2)", "1.4142135623731"), ("sqrt(2,000,000)**2", "2000000"),
    ("2**0.5", "1.4142135623731"), ("8**(1/3)", "2"), ("abs(3 - 5)", "2"), ("round(2/3, 2)", "0.67"),
    ("round(2.5)", "3"), ("round(-2.5)", "-3"), ("round(1250, -2)", "1300"), ("min(3, 1, 2)", "1"),
    ("max(1, 200)", "200"), ("max((1,200), 3)", "1200"), ("max(3,4)", "4"), ("floor(-1.5)", "-2"), ("ceil(1.2)", "2"),
    ("--3", "3"), ("2 ** 100", str(2**100)), ("12345678901234567890.5 * 3", "37037036703703703671.5"),
    ("1e-20 + 1", "1"), ("1/7e20", "1.42857142857143E-21"), ("1**1e30", "1"), ("(-1)**1e30", "1"), ("0**0", "1"),
    ("5 · 4 ÷ 2 \u2212 1", "9"), ("0.000001", "0.000001"), ("1,000 - 1", "999"),
])
def test_results(expression: str, result: str) -> None:
    assert use(expression) == result


@pytest.mark.parametrize(("expression", "sentence"), [
    ("", r"the expression was empty; write e\.g\. calculator\[\(1,250 - 3\.5\) \* 2\]"),
    ("Paris", "does not know 'Paris', only numbers, signs and sqrt, abs, round"),
    ("__import__('os')", "'__import__' is no number or sign that"),
    ("1/0", "nothing can be divided by 0"), ("5 // (3 - 3)", "divided by 0"), ("5 % 0.0", "divided by 0"),
    ("0**-1", "0 has no negative power"), ("sqrt(-1)", "a negative number has no square root"),
    ("(-8)**(1/3)", "a negative number has no fractional power"),
    ("9**9**9**9", "more than 1,200 digits, which is too large"), ("2**1e9", "too large"), ("1e99999", "too large"),
    ("10**1200 * 10**1200", "too large"), ("10**1000.5**2", "too large"), ("(1e-300)**99", "too large"),
    ("0.5**9999.5", "too large"),
    ("(1,2", "',' cannot stand within brackets"), ("((1)", "a bracket is not closed"), ("1)", r"'\)' cannot stand"),
    ("1 2", "'2' cannot stand there"), ("2(3)", r"'\(' cannot stand there"), ("1,23", "',' cannot stand there"),
    ("1 +", "a number is missing at the end"), ("* 3", r"a number is missing before '\*'"), ("max()", "before '\\)'"),
    ("max(1,200)", r"1,200 may be one number or several values .*; write 1200 or 1, 200"),
    ("min 3", r"min takes values in brackets; write e\.g\. min\(3, 5\)"),
    ("round(1, 2, 3)", "round takes a value and how many decimals it keeps, got 3 values"),
    ("round(1, 0.5)", "round takes a whole number of decimals"),
    ("(" * 41 + "1" + ")" * 41, "more than 40 brackets"), ("-" * 99 + "1", "more than 40"),
    ("2**" * 60 + "1", "more than 40"), ("1+" * LONGEST + "1", "has 1001 characters, and 500 is the most"),
    ("ten", "does not know 'ten'"), ("$5", r"'\$5' is no number or sign"),
])
def test_what_is_refused_is_told_to_the_model(expression: str, sentence: str) -> None:
    with pytest.raises(ToolError, match=sentence) as refusal:
        use(expression)
    assert "\n" not in str(refusal.value)


numbers = st.one_of(st.integers(0, 10**9).map(str), st.integers(1000, 10**9).map("{:,}".format),
                    st.decimals(0, 10**6, places=3).map(str))
expressions = st.recursive(numbers, lambda inner: st.one_of(
    st.tuples(inner, st.sampled_from([" + ", "-", "*", " / ", "//"]), inner).map("".join),
    inner.map("({})".format), inner.map("-({})".format), inner.map("({})**2".format), inner.map("abs({})".format)),
    max_leaves=12)
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
             ast.FloorDiv: lambda one, other: Fraction(one // other), ast.Pow: operator.pow}


def value_or_refusal(text: str) -> Fraction | str:
    try:
        return evaluate(text)
    except ToolError as refusal:
        return str(refusal)


def by_python(text: str) -> Fraction:
    """What Python's grammar and its fractions make of an expression."""
    def value(node: ast.AST) -> Fraction:
        if isinstance(node, ast.BinOp):
            left, right = value(node.left), value(node.right)
            return OPERATORS[type(node.op)](left, right)
        if isinstance(node, ast.UnaryOp):
            return -value(node.operand)
        if isinstance(node, ast.Call):
            return abs(value(node.args[0]))
        assert isinstance(node, ast.Constant)
        source = ast.get_source_segment(plain, node)
        assert source is not None
        return Fraction(source.replace("_", ""))

    plain = text.replace(",", "_")
    return value(ast.parse(plain.strip(), mode="eval").body)


@settings(max_examples=400, deadline=None)
@given(expressions)
def test_it_says_what_python_says(text: str) -> None:
    told = value_or_refusal(text)
    try:
        expected = by_python(text)
    except ZeroDivisionError:
        expected = None
    if isinstance(told, str):
        assert expected is None or any(why in told for why in ("too large", "within each other", "characters"))
    else:
        assert told == expected


@settings(max_examples=400, deadline=None)
@given(st.fractions(max_denominator=10**9))
def test_a_written_number_is_the_number_to_15_digits(value: Fraction) -> None:
    assert abs(Fraction(written(value)) - value) <= abs(value) / 10**14
    assert Fraction(written(Fraction(value.numerator, 1000))) == Fraction(value.numerator, 1000)


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(
    ["1", "9", "0.5", "1e300", "9,999", "+", "-", "*", "**", "/", "//", "%", "(", ")", ",", "^", "of ", *FUNCTIONS]),
    max_size=40).map(" ".join)))
def test_anything_is_answered_or_refused_at_once(text: str) -> None:
    told = value_or_refusal(text)
    assert 0 < len(told if isinstance(told, str) else written(told)) < 2000
