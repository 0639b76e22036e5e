"""The expert's replies in the form of programs: one for the whole plan, then what joins or repairs it.

With skills each hop is one: a search with a pattern, by a name that tells what is found by what.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fireact.model.oracle.conclusion import UNKNOWN, conclusion
from fireact.model.oracle.state import State
from fireact.plan import SLOT, Hop, Plan, fill, read
from fireact.strategy.grammar import OBSERVATION
from fireact.types import Message

_SKILL = re.compile(r"^skill (\w+)\[", re.MULTILINE)
_GROUP = re.compile(r"\((?!\?)(?:[^()\\\[]|\\.|\[[^\]]*\]|\(\?:[^()]*\))*\)")
"""The group of a hop's regular expression that reads the value."""


def reply(state: State, turns: Sequence[Message], dice: random.Random, *, mistakes: float, skills: bool) -> str:
    """The next reply, from the question in `turns` on."""
    plan, shown = state.plan, [turn.content for turn in turns[2::2]]
    values = _read(plan, "\n".join(shown))
    if len(values) == len(plan.hops):
        thought, answer = conclusion(plan, values)
        return f"Thought: {' '.join([fill(plan.hops[-1].found, values), thought])}\nfinish[{answer}]"
    if len(shown) > 1:
        return f"Thought: I could not find the answer.\nfinish[{UNKNOWN}]"
    known = set(_SKILL.findall(turns[0].content)) if skills else None
    lines = _Writer(state, values, again=any("not called" in text or ": no " in text for text in shown)).lines(known)
    return _slip(lines, state, dice) if dice.random() < mistakes else "\n".join(lines)


def _read(plan: Plan, text: str) -> list[str]:
    """What the observations hold of the plan's values, in its order as far as they go."""
    values: list[str] = []
    for hop in plan.hops:
        value = read(hop, values, text.replace(OBSERVATION, " "))
        if value is None:
            break
        values.append(value)
    return values


@dataclass(frozen=True)
class _Writer:
    """Writes the program for what is left of a plan."""

    state: State
    values: list[str]
    again: bool
    """Whether a program failed before: what it looked for is asked in other words."""

    @property
    def hops(self) -> Sequence[Hop]:
        return self.state.plan.hops[len(self.values):]

    def lines(self, skills: set[str] | None) -> list[str]:
        """The program; `skills` are the names of those that are shown, None where there is no such thing."""
        defined, calls = {}, []
        for number, hop in enumerate(self.hops, 1):
            call = self._call(hop, number)
            skill = _Skill.of(hop, self.state.plan) if skills is not None and not self.again else None
            if skill is not None:
                call = f"{skill.name}[{self._fill(skill.constant)}]"
                if skill.name not in (skills or ()):
                    defined[skill.name] = skill.lines()
            calls.append(f"E{number} = {call}")
        return [f"Thought: {self._thought()}", *(line for body in defined.values() for line in body), *calls,
                *self._end()]

    def _call(self, hop: Hop, number: int) -> str:
        query = self._fill(hop.query)
        if self.again and number == 1:
            query = f"{query}: {self.state.question}"
        if self.state.plan.rule == "given":
            return f"search[{query}]"
        return f"search[{query}] -> {self._fill(pattern_of(hop))}"

    def _thought(self) -> str:
        told = [fill(hop.thought, [*self.values, *["that country"] * len(self.hops)]) for hop in self.hops]
        first = told[0].removesuffix(".")
        rest = [f", then {text.removeprefix('I need to ').removesuffix('.').removeprefix('find ')}"
                for text in told[1:]]
        return f"{'That did not help. ' if self.again else ''}{first}{''.join(rest)}."

    def _fill(self, text: str) -> str:
        """With the values that are known, and the names of calls for the others."""
        return SLOT.sub(lambda slot: self._name(int(slot[1])), text)

    def _name(self, number: int) -> str:
        return self.values[number - 1] if number <= len(self.values) else f"{{E{number - len(self.values)}}}"

    def _operand(self, number: int) -> str:
        return f'"{self.values[number - 1]}"' if number <= len(self.values) else self._name(number)

    def _end(self) -> list[str]:
        plan, last = self.state.plan, len(self.state.plan.hops)
        if plan.rule == "given":
            return []
        if plan.rule == "last":
            return [f"finish[{self._name(last)}]"]
        if plan.rule in ("largest", "smallest"):
            sign, first = (">" if plan.rule == "largest" else "<"), last - len(plan.choices) + 1
            places = range(first, last + 1)
            tests = [" and ".join(f"{self._operand(one)} {sign} {self._operand(other)}" for other in places
                                  if other != one) for one in places]
            answers = plan.choices
        else:
            sign = {"larger": ">", "smaller": "<", "same": "=="}[plan.rule]
            tests, answers = [f"{self._operand(last - 1)} {sign} {self._operand(last)}", ""], ("yes", "no")
        heads = [f"{'if' if at == 0 else 'elif'} {test}" for at, test in enumerate(tests[:-1])] + ["else"]
        return [f"{head}: finish[{answer}]" for head, answer in zip(heads, answers, strict=True)]


@dataclass(frozen=True)
class _Skill:
    """A hop as a skill: what is searched around the constant that it is called with."""

    name: str
    hop: Hop
    constant: str
    """A name of the question, or the slot of a value."""

    @classmethod
    def of(cls, hop: Hop, plan: Plan) -> "_Skill | None":
        """None where nobody can tell what of a query is its constant."""
        slot = SLOT.search(hop.query)
        if slot:
            before, constant = hop.query[: slot.start()], slot[0]
        elif len(plan.hops) > 1 and not any(SLOT.search(other.query) for other in plan.hops):
            shared = _shared([other.query.split() for other in plan.hops])
            before, constant = (" ".join(part) for part in (hop.query.split()[:shared], hop.query.split()[shared:]))
        else:
            words = hop.query.split()
            start = next((at for at in range(1, len(words)) if " ".join(words[at:]) in hop.found), None)
            if start is None:
                return None
            before, constant = " ".join(words[:start]), " ".join(words[start:])
        noun = re.sub(r"\W+", "_", before.strip().removesuffix(" of")).strip("_").lower()
        if not noun or not constant:
            return None
        if "..." in pattern_of(hop):
            noun = f"{noun}_figure"
        return cls(f"{noun}_of" if before.strip().endswith(" of") else f"find_by_{noun}", hop, constant)

    def lines(self) -> list[str]:
        """Its definition."""
        query, pattern = (text.replace(self.constant, "{x}") for text in (self.hop.query, pattern_of(self.hop)))
        return [f"skill {self.name}[x]", f"E1 = search[{query}] -> {pattern}", "return[{E1}]"]


def _shared(queries: Sequence[Sequence[str]]) -> int:
    """How many words all queries begin with."""
    return next((at for at, words in enumerate(zip(*queries, strict=False)) if len(set(words)) > 1), 0)


def pattern_of(hop: Hop) -> str:
    """What a hop reads as a pattern with one `*`: of the sentence in which it states what was found, where that is the
    sentence it reads, else of its regular expression."""
    read_from = _plain(hop.read)
    before = read_from.partition("*")[0]
    slots = [int(number) for number in SLOT.findall(hop.found)]
    own = max(slots, default=0)
    told = hop.found.replace(f"{{{own}}}", "*", 1).removesuffix(".")
    if own and told.partition("*")[0].casefold().strip() == before.casefold().strip():
        return told
    return read_from


def _plain(regex: str) -> str:
    text = re.sub(r"\(\?i\)|\\b", "", regex)
    text = _GROUP.sub("*", text, count=1)
    text = re.sub(r"\(\?:(?:[^()\\]|\\.)*\)|\$$", "", text)
    text = re.sub(r"\[[^\]]*\]\+|\\d\\d\? \[A-Z\]\[a-z\]\+", "...", text)
    text = re.sub(r"\\(.)", r"\1", text).replace("... *", "*").strip()
    return f"{text[:1].upper()}{text[1:]}"


def _slip(lines: list[str], state: State, dice: random.Random) -> str:
    """A program with a mistake as models make them."""
    calls = [at for at, line in enumerate(lines) if line.startswith("E") and "[" in line]
    at, kind = dice.choice(calls), dice.choice(["bracket", "vague", "reference", "pattern"])
    slipped = list(lines)
    if kind == "bracket":
        slipped[at] = slipped[at].replace("]", "", 1)
    elif kind == "vague":
        slipped[at] = f"E{calls.index(at) + 1} = search[{dice.choice(state.vague)}]{_pattern(slipped[at])}"
    elif kind == "reference":
        slipped[-1] = slipped[-1].replace("{E1}", "{E9}").replace("{E2}", "{E9}")
    else:
        slipped[at] = slipped[at].replace("The ", "The famous ", 1)
    return "\n".join(slipped)


def _pattern(line: str) -> str:
    _, arrow, pattern = line.partition(" -> ")
    return f"{arrow}{pattern}"
