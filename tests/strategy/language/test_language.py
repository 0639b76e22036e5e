"""The language of programs: what is read, what is refused, and what a run does."""

import random
import re
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import FormatError
from fireact.strategy import language
from fireact.strategy.language import Execution, parse, parse_skill, parse_skills
from fireact.strategy.language.patterns import find
from tests.strategy.language.programs import answer, observed, spoilt, well_formed

GRAMMAR = Path(language.__file__).parent / "GRAMMAR.md"
FIND = "skill find_by_capital[x]\nE1 = search[capital {x}] -> The capital of * is {x}\nreturn[{E1}]"


def run(text: str, seen=observed, **options) -> Execution:
    """Run a program; no call is handed out twice, or before what it refers to."""
    program = parse(text, **options)
    execution, called = Execution(program), []
    for _ in range(100):
        pending = execution.ready()
        if not pending:
            break
        for call in pending:
            assert call.name not in called
            called.append(call.name)
            assert not re.search(r"\{E\d+\}", call.argument) or "{E" in str(execution.values)
            execution.settle(call.name, seen(call.argument))
    assert execution.done
    return execution


def test_100_000_programs_are_read_or_refused() -> None:
    """Nothing but a refusal comes out, whatever is written; what is read is written and read again."""
    dice, read, refused = random.Random(0), 0, list[int]()
    for number in range(100_000):
        text = well_formed(dice) if number % 10 == 0 else spoilt(dice)
        try:
            program = parse(text, tools=("search",))
        except FormatError as refusal:
            refused.append(len(str(refusal)))
            continue
        read += 1
        assert parse(str(program), tools=("search",)) == program, text
        assert read % 20 or run(text, tools=("search",)).done
    assert 10_000 < read < 90_000
    assert min(refused) > 20
    assert max(refused) < 500


def test_a_run_comes_to_the_answer_that_follows_from_its_end() -> None:
    dice, answered = random.Random(1), 0
    for _ in range(5_000):
        text = well_formed(dice)
        program = parse(text, tools=("search",))
        execution = run(text, tools=("search",))
        assert execution.answer == answer(program), text
        answered += execution.answer is not None
    assert answered > 500


@given(st.text(max_size=300))
def test_any_text_is_a_program_or_is_refused(text: str) -> None:
    try:
        program = parse(text)
    except FormatError:
        return
    assert parse(str(program)) == program


@pytest.mark.parametrize("text", ["[" * 100_000, "E1 = search" + "[" * 50_000, "E1 = search[" + "]" * 50_000,
                                  "if " + "a > b and " * 10_000, "if " + '"' * 50_001 + ": finish[x]", " " * 100_000,
                                  "finish[" + "{E1}" * 20_000 + "]", "\n".join(["E1 = search[x]"] * 20_000),
                                  "\n".join(f"E{n} = search[{{E{n + 1}}}]" for n in range(5_000)),
                                  "E1 = search[x] -> " + "... " * 5_000 + "*",
                                  "\n".join(f"skill s{n}[x]\nE1 = s{n + 1}[{{x}}]\nreturn[{{E1}}]" for n in range(2000))
                                  + "\nE1 = s0[x]\nfinish[{E1}]"], ids=range(11))
def test_long_texts_do_not_hang(text: str) -> None:
    started = time.monotonic()
    with suppress(FormatError):
        parse(text)
    assert time.monotonic() - started < 20


def test_a_pattern_does_not_hang_on_a_long_observation() -> None:
    started = time.monotonic()
    find("The ... of ... is *", "The of is " * 20_000, {})
    find("a * b ... c", "a b " * 50_000, {})
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(("pattern", "observation", "value"), [
    ("The capital of * is Baku", "According to X, the capital of Azerbaijan is Baku. More.", "Azerbaijan"),
    ("The population of Chad is *", "The population of Chad is 17,963,211.", "17,963,211"),
    ("The population of Chad is *", "The population of Chad is 17.9 million (2024), and grows", "17.9 million"),
    ("life is * years", "The life is 72.9 years (2024 est).", "72.9"),
    ("domain of Benin is *", "The internet domain of Benin is .bj.", ".bj"),
    ('anthem of Eritrea is "*"', 'The anthem of Eritrea is "Ertra, Ertra, Ertra" (Eritrea).', "Ertra, Ertra, Ertra"),
    ("highest point of Peru is ... (*)", "The highest point of Peru is Huascaran (6,746 m).", "6,746 m"),
    ("the * of gold", "The\n  price   of GOLD", "price"),
    ("is *", "What is", None),
    ("The capital of * is Baku", "The capital of Norway is Oslo.", None),
    ("border with *", "the longest border with the Democratic Republic of the Congo (2,646 km)",
     "the Democratic Republic of the Congo"),
    ("a.b is *", "axb is c", None),
])
def test_values_are_read_up_to_the_end_of_their_clause(pattern: str, observation: str, value: str | None) -> None:
    assert find(pattern, observation, {}) == value


def test_a_sign_within_a_value_is_a_letter_like_any_other() -> None:
    assert find("{E1} is *", "a * b is c", {"E1": "a * b"}) == "c"
    execution = run("E1 = search[x]\nE2 = search[{E1}]\nfinish[{E2}]", seen=lambda asked: f"{{E2}} {asked}")
    assert execution.answer == "{E2} {E2} x"


@pytest.mark.parametrize(("wrong", "told"), [
    ("", "there is no program"), ("I do not know.", "there is no program"),
    ("E1 = search Paris", "no brackets behind search"), ("E1 = search[Paris", "never closed"),
    ("E1 = search[]", "nothing in the brackets"), ("E1 = search[{E1}]", "in a circle"),
    ("E1 = search[{E2}]\nE2 = search[{E1}]", "E1 -> E2 -> E1"),
    ("E1 = search[a]\nif {E2} > 1: E2 = search[b]\nfinish[{E2}]", "in a circle"),
    ("E1 = guess[x]", "no tool or skill 'guess'"), ("E1 = serch[x]", "did you mean search?"),
    ("finish[{E9}]", "{E9}"), ("else: finish[a]", "has no if"), ("E1 = search[a]\nelif {E1} > 2: finish[b]", "no if"),
    ("if {E1}: finish[a]", "not of the form a > b"), ("if 1 > 2 finish[a]", "no colon"),
    ("if 1 > 2: if 2 > 3: finish[a]", "cannot follow a condition"),
    ("E1 = search[a]\nE1 = search[b]", "stands for two calls"), ("return[x]", "return belongs into a skill"),
    ("E1 = search[a] -> no value", "0 places"), ("E1 = search[a] -> * and *", "2 places"),
    ("E1 = search[a] -> *", "fits everything"), ("E1 = search[a] then", "only a pattern may follow"),
    ("skill a[x]\nE1 = search[{x}]\nfinish[{E1}]", "does not belong into a skill"),
    ("skill a[x]\nE1 = search[{x}]", "has no return"),
    ("skill a[x]\nE1 = a[{x}]\nreturn[{E1}]\nE1 = a[1]\nfinish[{E1}]", "calls itself"),
    ("skill search[x]\nE1 = search[{x}]\nreturn[{E1}]\nfinish[a]", "another name"),
    ("skill a[x; y]\nE1 = search[{x} {y}]\nreturn[{E1}]\nE1 = a[1]\nfinish[{E1}]", "takes 2 arguments"),
    ("\n".join(f"E{n} = search[a]" for n in range(17)), "17 calls"),
])
def test_what_is_refused_says_why(wrong: str, told: str) -> None:
    with pytest.raises(FormatError, match=re.escape(told)):
        parse(wrong, tools=("search",))


def test_what_models_add_is_passed_over() -> None:
    plain = parse("Thought: I look.\nE1 = search[a]\nfinish[{E1}]")
    for text in ("Thought: I look.\n```python\nE1 = search[a]\n\nfinish[{E1}]\n```\nThat is it.",
                 "**Thought:** I look.\n1. E1 = search[a]\n2. finish[{E1}]",
                 "I look.\n# a comment\nE1=search[a]\nFinish[{E1}]",
                 "Thought: I look.\n- E1 = search[a]\n- finish[{E1}]\nObservation E1: b\nE2 = nonsense"):
        assert parse(text) == plain, text


def test_branches_may_stand_for_the_same_name() -> None:
    text = ("E1 = search[x] -> v is * km\nif {E1} > 100: E2 = search[far]\nelse: E2 = search[near]\nfinish[{E2}]")
    assert run(text, seen=lambda asked: "v is 12 km" if asked == "x" else asked).answer == "near"
    assert run(text, seen=lambda asked: "v is 120 km" if asked == "x" else asked).answer == "far"


def test_an_end_counts_only_where_none_before_it_does() -> None:
    text = "E1 = search[x]\nif {E1} == yes: finish[first]\nfinish[second]"
    assert run(text, seen=lambda _: "yes").answer == "first"
    assert run(text, seen=lambda _: "no").answer == "second"


def test_what_cannot_be_compared_is_told() -> None:
    execution = run("E1 = search[x]\nif {E1} > 5: finish[a]\nelse: finish[b]", seen=lambda _: "blue")
    assert execution.answer is None
    assert execution.failures == ["{E1} > 5 compares numbers or dates, but the values are 'blue' and '5'"]


def test_a_program_without_an_end_has_no_answer() -> None:
    program = parse("E1 = search[x]")
    assert not program.finishes
    assert run("E1 = search[x]").answer is None


def test_skills_call_skills_under_guards() -> None:
    text = f"""{FIND}
skill bigger[a; b]
E1 = search[size {{a}}]
E2 = search[size {{b}}]
if {{E1}} > {{E2}}: return[{{a}}]
else: return[{{b}}]
E1 = find_by_capital[Baku]
if {{E1}} contains Azerbaijan: E2 = bigger[{{E1}}; Chad]
finish[{{E2}}]"""
    sizes = {"capital Baku": "The capital of Azerbaijan is Baku.", "size Azerbaijan": "9", "size Chad": "80"}
    assert run(text, seen=sizes.__getitem__).answer == "Chad"
    assert parse(str(parse(text))) == parse(text)
    sizes["capital Baku"] = "The capital of Norway is Baku."
    execution = run(text, seen=sizes.__getitem__)
    assert execution.answer is None
    assert "E2.E1" not in execution.values


def test_skills_are_read_from_their_own_text() -> None:
    skill = parse_skill(FIND)
    assert (skill.name, skill.params, str(skill)) == ("find_by_capital", ("x",), FIND)
    assert parse_skills(f"{FIND}\n\n{FIND.replace('capital', 'code')}")[1].name == "find_by_code"
    assert parse_skills("") == []
    program = parse("E1 = find_by_capital[Baku]\nfinish[{E1}]", tools=("search",), skills={skill.name: skill})
    assert program.known == (skill,)
    assert Execution(program).ready()[0].argument == "capital Baku"


@pytest.mark.parametrize("example", re.findall(r"```\n(.*?)```", GRAMMAR.read_text(encoding="utf-8"), re.DOTALL))
def test_every_example_of_the_grammar_is_one(example: str) -> None:
    program = parse(example, tools=("search", "calculator"))
    assert parse(str(program), tools=("search", "calculator")) == program
