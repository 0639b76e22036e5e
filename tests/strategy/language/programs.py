"""Random programs, what becomes of them once a few letters are changed, and their answers by another way."""

import random
from collections.abc import Mapping, Sequence

from fireact.strategy.language import Program, Skill, patterns
from fireact.strategy.language.conditions import Incomparable, holds
from fireact.strategy.language.syntax import Call, Finish, Guard, Statement
from fireact.strategy.language.templates import fill, slots

WORDS = ("capital of France", "population {E1}", "{E2} and {E1}", "x [y] z", "a, b; c", "Côte d'Ivoire", '"quoted"',
         "{", "}", "{E9}", "12,345.6", "*", "...", "skill", "if a > b: c", "finish[x]", "->", "E1 = search[x]",
         "ä\u2028b")
SIGNS = ("==", "!=", "<", "<=", ">", ">=", "contains", "=", "=>", "≥", "not")
JUNK = ("", "\n", "[", "]", "{", "}", ":", "=", "->", "*", "if ", "else: ", "elif ", "else if ", "skill a[x]\n",
        "return[x]", "finish", "Thought: ", "```", "- ", "1. ", "#", "\t", "\x00", '"', " and ", " or ", "E1", "é",
        "**", "`", "\n  ", ":\n  ", "Thought", "(", ")", "…", "Observation: ")
CONSTANTS = ("5", '"blue sky"', "1 May 1960", "12.5 km")

LONG = (
    "[" * 100_000, "E1 = search" + "[" * 50_000, "E1 = search[" + "]" * 50_000, "if " + "a > b and " * 10_000,
    "if " + '"' * 50_001 + ": finish[x]", " " * 100_000, "finish[" + "{E1}" * 20_000 + "]",
    "E1 = search[x]\n" * 20_000, "\n".join(f"E{n} = search[{{E{n + 1}}}]" for n in range(5_000)),
    "E1 = search[x] -> " + "... " * 5_000 + "*", "`" * 100_000 + "E1", "*" * 100_000, "- " * 50_000,
    "Thought" * 15_000 + ":" * 15_000 + "\nfinish[a]", "if a" + " " * 100_000 + "b: finish[a]",
    "if a > b" + " \t" * 50_000 + "b: finish[a]", 'if "' + "<" * 100_000 + '" > 3: finish[a]',
    'if "' + ":" * 100_000 + '" == a: finish[a]', "E" * 100_000 + " = search[x]", "E1 = " + "s" * 100_000 + "[x]",
    "\n".join(f"E{n} = search[{{E{n + 1}}}]" for n in range(900)) + "\nE900 = search[a]",
    "skill s[x]\n" + "".join(f"E{n} = search[{{E{n + 1}}}]\n" for n in range(900)) + "E900 = search[a]\nreturn[{E1}]\n"
    "E1 = s[a]",
    "skill s[x]\nif {x} > 1: E1 = search[a]\n" + "elif {x} > 1: E1 = search[a]\n" * 900 + "return[{E1}]\nE1 = s[a]",
    "if {E1} > 1: finish[a]\n" + "elif {E1} > 1: finish[a]\n" * 900 + "E1 = search[a]",
    "".join(f"skill s{n}[x]\nE1 = s{n + 1}[{{x}}]\nreturn[{{E1}}]\n" for n in range(2_000)) + "E1 = s0[x]",
    "".join(f"skill s{n}[x]\n" + "".join(f"E{m} = s{n + 1}[x]\n" for m in range(200)) + "return[a]\n" for n in range(3))
    + "skill s3[x]\nreturn[{x}]\nE1 = s0[x]",
    "".join(f"skill s{n}[x]\nE1 = s{n + 1}[{'{x}' * 1_000}]\nreturn[{{E1}}]\n" for n in range(3))
    + "skill s3[x]\nreturn[{x}]\nE1 = s0[x]",
    "skill d[x]\nreturn[" + "{x}" * 9 + "]\nE0 = d[a]\n" + "".join(f"E{n + 1} = d[{{E{n}}}]\n" for n in range(99)),
    *(signs * 100_000 + "\nE1 = search[a]" for signs in ("*", "\n", "\n ", "** ", "thought*")),
    "E0 = search[x]\nif {E0} > 5: E1 = search[a]\n" + "\n".join(
        "elif " + " and ".join(["{E0} > 5"] * 60) + f": E1 = search[b{n}]" for n in range(990)),
    'E1 = search[{"a": ' + '\\"' * 100_000 + "]", 'E1 = search[{"a": "' + '"{E1}' * 20_000 + "]",
    'E1 = search[x]\nE2 = search[{"a": "' + '{E1}", "' * 20_000 + "]",
)
"""Texts that take long where anything is done once too often."""


def well_formed(dice: random.Random) -> str:
    """A program whose references go back, with skills, guards and ends."""
    lines = ["Thought: I think."] if dice.random() < 0.5 else []
    params: dict[str, int] = {}
    for number in range(dice.choice([0, 0, 1, 2])):
        own = ["x", "y"][: dice.randint(1, 2)]
        lines += [f"skill s{number}[{'; '.join(own)}]", *_body(dice, own, params, "return", 2)]
        params[f"s{number}"] = len(own)
    return "\n".join([*lines, *_body(dice, [], params, "finish", 5)])


def _body(dice: random.Random, params: Sequence[str], skills: Mapping[str, int], end: str, most: int) -> list[str]:
    lines: list[str] = []
    names = [f"E{number}" for number in range(1, dice.randint(1, most) + 1)]
    for at, name in enumerate(names):
        before = [*params, *names[:at]]
        guard = f"if {_comparison(dice, before)}: " if before and dice.random() < 0.2 else ""
        lines.append(f"{guard}{name} = {_call(dice, before, skills)}")
        if guard and dice.random() < 0.7:
            lines.append(f"else: {name} = {_call(dice, before, skills)}")
    known = [*params, *names]
    last = [f"{end}[so {{{dice.choice(known)}}}]"] if end == "return" or dice.random() < 0.8 else []
    if dice.random() < 0.5:
        joined = _comparison(dice, known) + (f" {dice.choice(['and', 'or'])} {_comparison(dice, known)}"
                                             if dice.random() < 0.4 else "")
        lines += [f"if {joined}: {end}[{{{dice.choice(known)}}}]"]
        if dice.random() < 0.4:
            lines.append(f"elif {_comparison(dice, known)}: {end}[second]")
        if dice.random() < 0.7:
            last = [f"else: {end}[no]"]
    return [*lines, *last]


def _call(dice: random.Random, before: Sequence[str], skills: Mapping[str, int]) -> str:
    words = [dice.choice(["a b", "c", "x [y]", "v * w", "{v} ..."])
             + (f" {{{dice.choice(before)}}}" if before and dice.random() < 0.6 else "") for _ in range(2)]
    if skills and dice.random() < 0.4:
        skill = dice.choice(sorted(skills))
        return f"{skill}[{words[0]}{dice.choice(['', '; w']) if skills[skill] == 1 else f'; {words[1]}'}]".replace(
            "{v}", "v")
    pattern = dice.choice(["", "", " -> the v of w is *", " -> v is * km", " -> * is blue", " -> the ... is *",
                           f" -> {{{dice.choice(before)}}} is *" if before else ""])
    return f"search[{words[0]}]{pattern}".replace("{v}", "v")


def _comparison(dice: random.Random, names: Sequence[str]) -> str:
    sides = [f"{{{dice.choice(names)}}}", dice.choice([f"{{{dice.choice(names)}}}", *CONSTANTS])]
    return f"{sides[0]} {dice.choice(SIGNS[:7])} {sides[1]}"


def spoilt(dice: random.Random) -> str:
    """A program, or its like, with anything in it."""
    if dice.random() < 0.3:
        lines = [dice.choice(["E{n} = search[{w}]", "finish[{w}]", "if {w} {s} {w}: finish[{w}]", "else: finish[{w}]",
                              "skill s{n}[x; y]", "return[{w}]", "E{n} = s{n}[{w}; {w}]", "{w}", "if {w} {s} {w}:",
                              "  finish[{w}]", "E{n} = search[{w}] -> {w} * {w}"])
                 .replace("{n}", str(dice.randint(1, 4))).replace("{s}", dice.choice(SIGNS))
                 .replace("{w}", dice.choice(WORDS)) for _ in range(dice.randint(1, 7))]
        return "\n".join(lines)
    text = well_formed(dice)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(text) + 1)
        kind = dice.random()
        if kind < 0.4:
            text = text[:at] + dice.choice(JUNK) + text[at:]
        elif kind < 0.7:
            text = text[:at] + text[at + dice.randint(1, 6):]
        else:
            text = text[:at] + dice.choice(WORDS) + text[at + 1:]
    return text


def observed(argument: str) -> str:
    """What a search finds, the same each time: sometimes a value, sometimes none."""
    dice = random.Random(argument)
    return dice.choice(["The v of w is 7,953,556. More.", "The v of w is blue (light), they say", "v is 12.5 km long",
                        "Nothing.", "The V of  W is 1 May 1960", f"v is {dice.randint(1, 9)} km", '{E1} is "*"; {x}',
                        f"{argument} is blue", "a\nb; c is ..."])


def answer(program: Program) -> str | None:
    """The answer by another way: from the end back to what it needs."""
    skills = {skill.name: skill for skill in (*program.known, *program.skills)}
    return _Scope(program.statements, skills, {}).end()


class _Scope:
    """The lines of a program or of a skill, and its parameters."""

    def __init__(self, body: Sequence[Statement], skills: Mapping[str, Skill], given: dict[str, str | None]) -> None:
        self.body, self.skills, self.known = body, skills, given

    def end(self) -> str | None:
        for end in self.body:
            if isinstance(end, Finish):
                opened = self._opened(end.guard)
                if opened is not False:
                    return self._filled(end.text) if opened else None
        return None

    def _value(self, name: str) -> str | None:
        if name not in self.known:
            self.known[name] = None
            for call in self.body:
                if isinstance(call, Call) and call.name == name and self._opened(call.guard):
                    self.known[name] = self._called(call)
        return self.known[name]

    def _called(self, call: Call) -> str | None:
        skill = self.skills.get(call.action)
        if skill is not None:
            parts = call.argument.split(";") if len(skill.params) > 1 else [call.argument]
            given = [self._filled(part.strip()) for part in parts]
            return _Scope(skill.body, self.skills, dict(zip(skill.params, given, strict=True))).end()
        argument, pattern = self._filled(call.argument), self._filled(call.pattern or "")
        if argument is None or pattern is None:
            return None
        return (observed(argument) if call.pattern is None else
                patterns.find(call.pattern, observed(argument), self._values([call.pattern]) or {}))

    def _values(self, templates: Sequence[str]) -> dict[str, str] | None:
        found = {name: self._value(name) for template in templates for name in slots(template)}
        texts = {name: text for name, text in found.items() if text is not None}
        return texts if len(texts) == len(found) else None

    def _filled(self, template: str) -> str | None:
        values = self._values([template])
        return None if values is None else fill(template, values)

    def _tested(self, guard: Guard, place: int) -> bool | None:
        other = next(each.guard for each in self.body if each.guard and each.guard.chain == guard.chain
                     and each.guard.place == place)
        if other.condition is None:
            return True
        values = self._values(other.condition.sides)
        try:
            return None if values is None else holds(other.condition, values)
        except Incomparable:
            return None

    def _opened(self, guard: Guard | None) -> bool | None:
        if guard is None:
            return True
        for place in range(guard.place):
            before = self._tested(guard, place)
            if before is None or before:
                return None if before is None else False
        return self._tested(guard, guard.place)
