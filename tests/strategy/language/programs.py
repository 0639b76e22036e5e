"""Random programs, and what is wrong with them once a few of their letters are changed."""

import random

from fireact.strategy.language import Program, patterns
from fireact.strategy.language.conditions import Incomparable, holds
from fireact.strategy.language.syntax import Call, Finish, Guard
from fireact.strategy.language.templates import fill, slots

WORDS = ("capital of France", "population {E1}", "{E2} and {E1}", "x [y] z", "a, b; c", "Côte d'Ivoire", '"quoted"',
         "{", "}", "{E9}", "12,345.6", "*", "...", "skill", "if a > b: c", "finish[x]", "->", "E1 = search[x]",
         "ä\u2028b")
SIGNS = ("==", "!=", "<", "<=", ">", ">=", "contains", "=", "=>")
JUNK = ("", "\n", "[", "]", "{", "}", ":", "=", "->", "*", "if ", "else: ", "elif ", "skill a[x]\n", "return[x]",
        "finish", "Thought: ", "```", "- ", "1. ", "#", "\t", "\x00", '"', " and ", " or ", "E1", "é")


def well_formed(dice: random.Random) -> str:
    """A program whose references go back, with guards and finishes."""
    lines = ["Thought: I think."] if dice.random() < 0.5 else []
    names = [f"E{number}" for number in range(1, dice.randint(1, 5) + 1)]
    for at, name in enumerate(names):
        before = names[:at]
        words = dice.choice(["a b", "c", "x [y]"]) + (f" {{{dice.choice(before)}}}" if before and dice.random() < 0.6
                                                      else "")
        pattern = dice.choice(["", "", " -> the v of w is *", " -> v is * km"])
        guard = f"if {_comparison(dice, before)}: " if before and dice.random() < 0.2 else ""
        lines.append(f"{guard}{name} = search[{words}]{pattern}")
        if guard and dice.random() < 0.7:
            lines.append(f"else: {name} = search[other]")
    if dice.random() < 0.5:
        joined = _comparison(dice, names) + (f" {dice.choice(['and', 'or'])} {_comparison(dice, names)}"
                                             if dice.random() < 0.4 else "")
        lines += [f"if {joined}: finish[{{{dice.choice(names)}}}]"]
        if dice.random() < 0.4:
            lines.append(f"elif {_comparison(dice, names)}: finish[second]")
        if dice.random() < 0.7:
            lines.append("else: finish[no]")
            return "\n".join(lines)
    if dice.random() < 0.8:
        lines.append(f"finish[so {{{dice.choice(names)}}}]")
    return "\n".join(lines)


def _comparison(dice: random.Random, names: list[str]) -> str:
    sides = [f"{{{dice.choice(names)}}}", dice.choice([f"{{{dice.choice(names)}}}", "5", '"blue sky"', "1 May 1960"])]
    return f"{sides[0]} {dice.choice(SIGNS[:7])} {sides[1]}"


def spoilt(dice: random.Random) -> str:
    """A program, or its like, with anything in it."""
    if dice.random() < 0.3:
        lines = [dice.choice(["E{n} = search[{w}]", "finish[{w}]", "if {w} {s} {w}: finish[{w}]", "else: finish[{w}]",
                              "skill s{n}[x; y]", "return[{w}]", "E{n} = s{n}[{w}; {w}]", "{w}"])
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
                        "Nothing.", "The V of  W is 1 May 1960", f"v is {dice.randint(1, 9)} km"])


def answer(program: Program) -> str | None:
    """The answer by another way: from the finish back to what it needs."""
    known: dict[str, str | None] = {}

    def value(name: str) -> str | None:
        if name not in known:
            known[name] = None
            for call in program.statements:
                if isinstance(call, Call) and call.name == name and opened(call.guard):
                    known[name] = found(call)
        return known[name]

    def found(call: Call) -> str | None:
        argument, pattern = filled(call.argument), filled(call.pattern or "")
        if argument is None or pattern is None:
            return None
        seen = observed(argument)
        values = {name: given for name in slots(call.pattern or "") if (given := value(name)) is not None}
        return seen if call.pattern is None else patterns.find(call.pattern, seen, values)

    def filled(template: str) -> str | None:
        values = {name: value(name) for name in slots(template)}
        return None if None in values.values() else fill(template, {name: str(text) for name, text in values.items()})

    def tested(guard: Guard, place: int) -> bool | None:
        other = next(each.guard for each in program.statements if each.guard and each.guard.chain == guard.chain
                     and each.guard.place == place)
        if other.condition is None:
            return True
        values = {name: value(name) for side in other.condition.sides for name in slots(side)}
        if None in values.values():
            return None
        try:
            return holds(other.condition, {name: str(text) for name, text in values.items()})
        except Incomparable:
            return None

    def opened(guard: Guard | None) -> bool | None:
        if guard is None:
            return True
        for place in range(guard.place):
            before = tested(guard, place)
            if before is None:
                return None
            if before:
                return False
        return tested(guard, guard.place)

    for end in program.statements:
        if isinstance(end, Finish):
            holds_now = opened(end.guard)
            if holds_now is False:
                continue
            return filled(end.text) if holds_now else None
    return None
