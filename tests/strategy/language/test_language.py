"""The language of programs: what is read, what is refused, and what a run does."""

import json
import random
import re
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import FormatError
from fireact.strategy import language
from fireact.strategy.language import Execution, parse, parse_skill, parse_skills
from fireact.strategy.language.patterns import READ, find
from fireact.strategy.language.syntax import Call, Comparison, Condition, Finish, Guard, Program, Sign, Skill
from fireact.strategy.language.templates import fill, slots
from fireact.toolspec import LONGEST_NAME
from tests.strategy.language.programs import LONG, SIGNS, answer, observed, spoilt, well_formed

GRAMMAR = Path(language.__file__).parent / "GRAMMAR.md"
FIND = "skill find_by_capital[x]\nE1 = search[capital {x}] -> The capital of * is {x}\nreturn[{E1}]"


def run(text: str, seen=observed, dice: random.Random | None = None, **options) -> Execution:
    """Run a program; no call is handed out twice. With dice the calls under way end one by one, in any order."""
    execution, called, under_way = Execution(parse(text, **options)), set[str](), []
    for _ in range(2_000):
        pending = execution.ready()
        assert not called & {call.name for call in pending}
        called |= {call.name for call in pending}
        under_way += pending
        if not under_way:
            break
        assert not execution.done
        ending = [under_way.pop(dice.randrange(len(under_way)))] if dice else [under_way.pop() for _ in [*under_way]]
        for call in ending:
            execution.settle(call.name, seen(call.argument))
    assert execution.done
    assert execution.ready() == []
    return execution


def test_100_000_programs_are_read_or_refused() -> None:
    """Nothing but a refusal comes out, whatever is written; what is read is written and read again."""
    dice, read, refused = random.Random(0), 0, list[int]()
    for number in range(100_000):
        text = well_formed(dice) if number % 10 == 0 else spoilt(dice)
        try:
            program = parse(text, tools=("search",), most_calls=64)
        except FormatError as refusal:
            refused.append(len(str(refusal)))
            continue
        read += 1
        assert parse(str(program), tools=("search",), most_calls=64) == program, text
        assert read % 20 or run(text, tools=("search",), most_calls=64).done
    assert 10_000 < read < 90_000
    assert min(refused) > 20
    assert max(refused) < 300


def test_a_run_comes_to_the_answer_that_follows_from_its_end() -> None:
    dice, answered = random.Random(1), 0
    for _ in range(5_000):
        text = well_formed(dice)
        program = parse(text, tools=("search",), most_calls=64)
        execution = run(text, tools=("search",), most_calls=64)
        assert execution.answer == answer(program), text
        assert run(text, tools=("search",), most_calls=64, dice=dice).answer == execution.answer, text
        assert execution.answer is not None or execution.failures or not program.finishes, text
        answered += execution.answer is not None
    assert answered > 1_000


def test_calls_are_made_as_early_as_what_they_refer_to_is_known() -> None:
    """So those that do not need each other are handed out together, in whatever order their lines stand."""
    dice = random.Random(2)
    for _ in range(500):
        needs = {f"E{at}": dice.sample([f"E{before}" for before in range(at)], dice.randint(0, min(at, 3)))
                 for at in range(dice.randint(1, 12))}
        lines = [f"{name} = search[{name} {' '.join(f'{{{other}}}' for other in others)}]"
                 for name, others in needs.items()]
        execution, called = Execution(parse("\n".join(dice.sample(lines, len(lines))))), dict[str, int]()
        for level in range(len(needs) + 1):
            for call in execution.ready():
                called[call.name] = level
                assert call.argument == " ".join([call.name, *(f"<{other}>" for other in needs[call.name])])
                execution.settle(call.name, f"<{call.name}>")
        assert called == {name: _level(needs, name) for name in needs}


def _level(needs: dict[str, list[str]], name: str) -> int:
    return 1 + max((_level(needs, other) for other in needs[name]), default=-1)


@given(st.text(max_size=300))
def test_any_text_is_a_program_or_is_refused(text: str) -> None:
    try:
        program = parse(text)
    except FormatError:
        return
    assert parse(str(program)) == program


def _inside(signs: str) -> st.SearchStrategy[str]:
    """A text on one line that may stand in brackets."""
    letters = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="[]{}" + signs))
    return st.recursive(letters, lambda part: st.lists(part, max_size=3).map(lambda parts: f"[{' '.join(parts)}]"),
                        max_leaves=4).map(str.strip).filter(bool)


@given(_inside(""), _inside("*…").filter(lambda text: "..." not in text and re.search(r"\w", text)), _inside('"'),
       st.sampled_from(SIGNS[:7]), _inside(""), _inside(""))
def test_what_is_built_is_written_and_read_as_it_was(argument: str, pattern: str, side: str, sign: Sign, end: str,
                                                     given_argument: str) -> None:
    guard = Guard("if", Condition(((Comparison("{E1}", sign, f'"{side}"'),),)), 2, 0)
    skill = Skill("s", ("x",), (Call("E1", "search", f"{argument} {{x}}"), Finish("{E1}", None, "return")))
    program = Program("", (skill,), (
        Call("E1", "search", argument, " ".join(f"a {pattern} * {{E2}}".split())), Call("E2", "s", given_argument),
        Finish(end, guard), Finish(f"{end} {{E1}}", Guard("else", None, 2, 1))))
    assert parse(str(program)) == program
    assert parse_skill(str(skill)) == skill


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_long_texts_do_not_hang(text: str) -> None:
    started = time.monotonic()
    told = 0
    try:
        run(text, seen=lambda _: "0", most_calls=1_000)
    except FormatError as refusal:
        told = len(str(refusal))
    assert told < 300
    assert time.monotonic() - started < 20


def test_a_skill_that_calls_nothing_counts_as_a_call() -> None:
    skill = "skill same[x]\nreturn[{x}]\n"
    body = [f"E{number} = same[a]" for number in range(16)]
    assert run(skill + "\n".join([*body, "finish[{E15}]"])).answer == "a"
    with pytest.raises(FormatError, match="the program makes 17 calls, more than 16"):
        parse(skill + "\n".join([*body, "E16 = same[a]"]))
    skills = "".join(f"skill s{n}[x]\n" + "".join(f"E{m} = s{n + 1}[x]\n" for m in range(16)) + "return[a]\n"
                     for n in range(3))
    with pytest.raises(FormatError, match="the skill s1 makes 256 calls"):
        parse(f"{skills}skill s3[x]\nreturn[{{x}}]\nE1 = s0[x]")


def test_a_pattern_reads_no_more_than_the_beginning_of_a_long_observation() -> None:
    assert find("size is *", f"{'x ' * (READ // 2 - 50)} size is 5.", {}) == "5"
    assert find("size is *", f"{'x ' * (READ // 2)} size is 5.", {}) is None


def test_a_pattern_does_not_hang_on_a_long_observation() -> None:
    started = time.monotonic()
    find("The ... of ... is *", "The of is " * 20_000, {})
    find("a * b ... c", "a b " * 50_000, {})
    find(" x ... y is *", "x" + " " * 200_000, {})
    find("a ... a ... a *", "a " * 2_000_000, {})
    find("* is {E1}", "a. " * 50_000, {"E1": "a. " * 3_000})
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
    ("The capital of * is Thimphu", "The capital of Norway is Oslo. The capital of Bhutan is Thimphu.", "Bhutan"),
    ("* is the capital of Bhutan", "Long ago (in 1961), Thimphu is the capital of Bhutan", "Thimphu"),
    ("anthem of Eritrea is *", 'The anthem of Eritrea is "Ertra, Ertra, Ertra" (Eritrea).', "Ertra, Ertra, Ertra"),
    ("is * ... km", "It is big, very big, and has 5 km", "big"), ("is ... * km", "It is 5 km", "5"),
    ("... is *", "It is big", "big"), ("is * ...", "It is big.", "big"), ("is *", "It is\nbig", "big"),
    ("is * km", "It is 5 kmh, no, 6 km", "5 kmh, no, 6"), ("is *", "It is (so)", None), ("a*", "", None),
    ("is * now", "It is one\ntwo now", None),
])
def test_values_are_read_up_to_the_end_of_their_clause(pattern: str, observation: str, value: str | None) -> None:
    assert find(pattern, observation, {}) == value


@given(st.text("ab. ,", max_size=20), st.text("abc7,.é'-", min_size=1, max_size=20),
       st.sampled_from([". ", ", ", " (", "\n", ""]), st.text("ab. ,", max_size=20))
def test_a_value_is_found_whatever_stands_around_it(before: str, value: str, end: str, after: str) -> None:
    value = value.strip(".,") or "c"
    text = f"{before} The size  of X is {value}{end}{after if end else ''}"
    assert find("the size of {E1} is *", text, {"E1": "x"}) == value
    assert find("size of * is", text, {}) == "X"
    clause = f"{before} The size  of X".replace(", ", ". ").split(". ")[-1]
    assert find("* is {E1}", text, {"E1": value}) == clause.strip()


def test_a_sign_within_a_value_is_a_letter_like_any_other() -> None:
    assert find("{E1} is *", "a * b is c", {"E1": "a * b"}) == "c"
    assert find("{E1} ... {E1} *", "x", {"E1": ""}) is None
    execution = run("E1 = search[x]\nE2 = search[{E1}]\nfinish[{E2}]", seen=lambda asked: f"{{E2}} {asked}")
    assert execution.answer == "{E2} {E2} x"
    values = 'a; b * ... "c" {E1} [d] and > 5\n'
    skills = ("skill one[x; y]\nE1 = search[{x}{y}] -> {x} is *\nif {x} == {x}: return[{E1}]\n"
              "skill two[x]\nE1 = one[{x}; {x}]\nreturn[{E1}]\n")
    execution = run(f"{skills}E1 = search[x]\nE2 = two[{{E1}}]\nE3 = two[a; b * c]\nfinish[{{E2}} {{E3}}]",
                    seen=lambda asked: values if asked == "x" else f"{asked[: len(asked) // 2]} is {len(asked)}.")
    assert execution.answer == f"{2 * len(values)} {2 * len('a; b * c')}"


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
    ("E1 = search[a]\nif {E1} > 2: finish[a] else: finish[b]", "in a line of its own"),
    ("E1 = search[a]\nif {E1} > 2: finish[a]\nelse finish[b]", "no colon"),
    ("finish[a] if 2 > 1", "write conditions before"), ("finish[a] b]", "goes on with 'b]'"),
    ("E1 = search[a]\nE2: search[b]\nfinish[{E1}]", "'E2: search[b]' is no line"),
    ("E1 = search[a]\nif {E1} > 2:\n  E2 = search[b]\n  E3 = search[c]", "second line under a condition"),
    ("E1 = search[a]\nif {E1} > 2:\nfinish[a]", "nothing cannot follow a condition"),
    ("if ({E1} > 2 or 1 > 2) and 2 > 1: finish[a]\nE1 = search[a]", "no plain one"),
    ("E1 = search[a]\nif {E1} - 5 > 2: finish[a]", "no plain one"), ("if not 1 > 2: finish[a]", "no plain one"),
    ("skill a[x; x]\nreturn[{x}]\nfinish[a]", "does not begin a skill"),
    ("skill a[x; y]\nreturn[{x}]\nE1 = a[1; ]\nfinish[{E1}]", "takes 2 arguments"),
    ("skill a[x]\nE1 = search[{x}]\nwhat?\nreturn[{E1}]\nfinish[a]", "'what?' is no line"),
    ("\n".join(f"skill s{n}[x]\nE1 = s{n + 1}[{{x}}]\nreturn[{{E1}}]" for n in range(4))
     + "\nskill s4[x]\nreturn[{x}]\nE1 = s0[a]", "s0 calls skills 4 deep"),
])
def test_what_is_refused_says_why(wrong: str, told: str) -> None:
    with pytest.raises(FormatError, match=re.escape(told)):
        parse(wrong, tools=("search",))


def test_what_models_add_is_passed_over() -> None:
    plain = parse("Thought: I look.\nE1 = search[a]\nfinish[{E1}]")
    for text in ("Thought: I look.\n```python\nE1 = search[a]\n\nfinish[{E1}]\n```\nThat is it.",
                 "**Thought:** I look.\n1. E1 = search[a]\n2. finish[{E1}]",
                 "I look.\n# a comment\nE1=search[a]\nFinish[{E1}]",
                 "Thought: I look.\n- E1 = search[a]\n- finish[{E1}]\nObservation E1: b\nE2 = nonsense",
                 "I look.\n**E1 = search[a]**\n`finish[{E1}]`", "I look.\nE1 = search[a]  # a comment\nfinish[{E1}]."):
        assert parse(text) == plain, text


def test_conditions_are_read_as_other_languages_write_them() -> None:
    plain = parse("E1 = search[a]\nif {E1} >= 5: finish[A]\nelif {E1} == 3: finish[B]\nelse: finish[C]")
    for text in ("E1 = search[a]\nif {E1} >= 5:\n    finish[A]\nelif {E1} == 3:\n    finish[B]\nelse:\n\n    finish[C]",
                 "E1 = search[a]\nIF ({E1} ≥ 5): finish[A]\nelse if {E1} = 3: finish[B]\nElse: finish[C]"):
        assert parse(text) == plain, text


def test_a_thought_may_speak_of_conditions() -> None:
    program = parse("If I knew it, I could say. So:\nE1 = search[a]\nfinish[{E1}]")
    assert program.thought == "If I knew it, I could say. So:"


def test_a_program_that_the_model_goes_on_from_is_cut() -> None:
    assert str(parse("E1 = search[a]\nThis looks a up.")) == "E1 = search[a]"
    assert str(parse("E1 = search[a]\nObservation: b\nfinish[b]")) == "E1 = search[a]"


def test_branches_may_stand_for_the_same_name() -> None:
    text = ("E1 = search[x] -> v is * km\nif {E1} > 100: E2 = search[far]\nelse: E2 = search[near]\nfinish[{E2}]")
    assert run(text, seen=lambda asked: "v is 12 km" if asked == "x" else asked).answer == "near"
    assert run(text, seen=lambda asked: "v is 120 km" if asked == "x" else asked).answer == "far"


def test_an_end_counts_only_where_none_before_it_does() -> None:
    text = "E1 = search[x]\nif {E1} == yes: finish[first]\nfinish[second]"
    assert run(text, seen=lambda _: "yes").answer == "first"
    assert run(text, seen=lambda _: "no").answer == "second"


def test_a_value_that_grows_from_line_to_line_is_too_long() -> None:
    """As a text, as an argument of skills, in a condition and in a pattern; one value by itself is as long as it is."""
    skill = "skill d[x]\nreturn[" + "{x}" * 9 + "]\nA = d[aaaaaaaa]\n"
    names = "ABCDEFGHIJ"
    execution = run(skill + "".join(f"{name} = d[{{{before}}}]\n" for before, name in pairwise(names)) + "finish[{J}]")
    assert execution.answer is None
    assert execution.failures[0].startswith("D: '{C}{C}{C}")
    assert "comes to 52,515 characters with its values, and 10,000 is the most" in execution.failures[0]
    assert max(map(len, execution.values.values())) < 10_000
    nested = "".join(f"skill s{n}[x]\nE1 = s{n + 1}[{'{x}' * 200}]\nreturn[{{E1}}]\n" for n in range(3))
    with pytest.raises(FormatError, match="comes to 40,600 characters"):
        Execution(parse(f"{nested}skill s3[x]\nreturn[{{x}}]\nE1 = s0[a]"))
    for line in ("if {E1}{E1} == a: finish[a]", "E2 = search[{E1} {E1}]", "finish[{E1} {E1}]",
                 "E2 = search[x] -> {E1} {E1} *", "E2 = d[{E1}]"):
        execution = run(f"{skill}E1 = search[x]\n{line}", seen=lambda _: "a" * 9_000)
        assert execution.answer is None
        assert "is the most" in execution.failures[0], line
    assert run("E1 = search[x]\nif {E1} == a: finish[a]\nE2 = search[{E1}]\nfinish[{E2}]",
               seen=lambda _: "a" * 20_000).answer == "a" * 20_000


def test_an_end_that_is_too_long_counts_all_the_same() -> None:
    text = "E1 = search[x]\nif {E1} != b: finish[{E1} {E1}]\nelse: finish[no]"
    execution = run(text, seen=lambda _: "a" * 9_000)
    assert execution.answer is None
    assert len(execution.failures) == 1
    assert execution.failures[0].startswith("finish: ")
    skill = "skill d[x]\nif {x} != b: return[{x} {x}]\nreturn[no]\n"
    assert "E2" not in run(f"{skill}E1 = search[x]\nE2 = d[{{E1}}]", seen=lambda _: "a" * 9_000).values


JSON_TEXTS = st.text(max_size=20).filter(lambda text: not slots(text)) | st.sampled_from([
    'x", "days": 9, "city": "y', 'a "b"\nc\\', "3", "-1.5e3", "true", '"q"', '3, "city": "y"', "a {E2}", "]", "\ud800"])


NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null")


@given(JSON_TEXTS, _inside("").filter(lambda text: "{" not in text))
def test_values_stay_in_their_places_in_a_json_object(value: str, other: str) -> None:
    """Whatever they hold, as the argument of a tool and through a skill."""
    call = f'weather[{{"city": "in {{E1}}", "days": {{E1}}, "note": {json.dumps(other)}}}]'
    for text in (f"E1 = search[x]\nE2 = {call}", f"skill s[E1]\nE2 = {call}\nreturn[{{E2}}]\nE1 = search[x]\n"
                 "E3 = s[{E1}]", f"skill s[x]\nE2 = weather[{{x}}]\nreturn[{{E2}}]\nE1 = search[x]\nE3 = s{call[7:]}"):
        assert str(parse(text)) == text
        execution = Execution(parse(text, tools=("search", "weather")))
        [search] = execution.ready()
        execution.settle(search.name, value)
        [weather] = execution.ready()
        given_to = json.loads(weather.argument)
        assert given_to == {"city": f"in {value}", "days": given_to["days"], "note": other}
        assert given_to["days"] in (value, json.loads(value) if NUMBER.fullmatch(value) else value)


def test_a_number_stays_one_in_a_json_object() -> None:
    for value, written in (("3", "3"), ("-1.5e3", "-1.5e3"), ("true", "true"), ("7,953", '"7,953"'), ("03", '"03"'),
                           ('3, "b": 4', r'"3, \"b\": 4"'), ("a\nb", r'"a\nb"')):
        assert fill('{"a": {x}, "b": "{x}"}', {"x": value}).partition(', "b"')[0] == f'{{"a": {written}', value
    assert fill('{x} "{x}"', {"x": 'a "b"'}) == 'a "b" "a "b""'


def test_brackets_within_the_texts_of_a_json_object_are_letters() -> None:
    call = parse('E1 = weather[{"city": "a]b\\"]", "more": [[1], "["]}] -> is *').statements[0]
    assert isinstance(call, Call)
    assert (call.argument, call.pattern) == ('{"city": "a]b\\"]", "more": [[1], "["]}', "is *")
    assert parse('E1 = search["a]') == parse('E1 = search["a]  # b"')
    with pytest.raises(FormatError, match="never closed"):
        parse('E1 = weather[{"city": "a]}]')


def test_names_of_tools_are_read_in_any_case() -> None:
    """As those of a step are. What is written again has the tool's name; a skill's name is its own."""
    text = "skill Search_it[x]\nE1 = SEARCH[{x}]\nreturn[{E1}]\nE1 = Search[a]\nE2 = Search_it[b]"
    program = parse(text, tools=("search",))
    assert str(program) == text.replace("SEARCH", "search").replace("Search[", "search[")
    assert parse(str(program), tools=("search",)) == program
    assert str(parse(text)) == text
    known = {skill.name: skill for skill in parse_skills(text.partition("E1 = Search")[0])}
    assert parse("E2 = Search_it[b]", tools=("search",), skills=known).known == program.skills
    name = "t" * LONGEST_NAME
    assert run(f"E1 = {name}[a]\nfinish[{{E1}}]", tools=(name,), seen=str.upper).answer == "A"


def test_what_cannot_be_compared_is_told() -> None:
    execution = run("E1 = search[x]\nif {E1} > 5: finish[a]\nelse: finish[b]", seen=lambda _: "blue")
    assert execution.answer is None
    assert execution.failures == ["{E1} > 5 compares numbers or dates, but the values are 'blue' and '5'"]


def test_an_end_that_is_not_reached_is_told() -> None:
    text = "E1 = search[x]\nif {E1} == yes: E2 = search[y]\nfinish[{E2}]"
    assert run(text, seen=lambda _: "no").failures == ["no finish was reached, for there is no E2"]
    text = "E1 = search[x]\nif {E1} == yes: finish[a]"
    assert run(text, seen=lambda _: "no").failures == ["no finish was reached, for no condition of one holds"]


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
    guarded = FIND.replace("return", "if {E1} == a: return[b]\nreturn")
    assert parse(f"{guarded}\n{guarded.replace('capital', 'code')}\nfinish[a]").skills[1] == parse_skill(
        guarded.replace("capital", "code"))
    program = parse("E1 = find_by_capital[Baku]\nfinish[{E1}]", tools=("search",), skills={skill.name: skill})
    assert program.known == (skill,)
    assert Execution(program).ready()[0].argument == "capital Baku"


@pytest.mark.parametrize("example", re.findall(r"```\n(.*?)```", GRAMMAR.read_text(encoding="utf-8"), re.DOTALL))
def test_every_example_of_the_grammar_is_one(example: str) -> None:
    program = parse(example, tools=("search", "weather"))
    assert parse(str(program), tools=("search", "weather")) == program
