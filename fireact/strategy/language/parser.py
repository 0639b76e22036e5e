"""The parser: from a reply's text to a program. Strict, and no line of it is ever executed by Python."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fireact.errors import FormatError
from fireact.strategy.grammar import clean_thought, cut_at_observation
from fireact.strategy.language.checks import check
from fireact.strategy.language.guards import read_guard
from fireact.strategy.language.lines import bracketed, is_statement, quoted, statements_of
from fireact.strategy.language.patterns import MOST_GAPS
from fireact.strategy.language.syntax import Call, Finish, Guard, Program, Skill, Statement

MOST_LINES = 1000
"""Of a program with its skills."""
_SKILL = re.compile(r"skill\s+([A-Za-z_]\w{0,63})\s*(?=\[)", re.IGNORECASE)
_CALL = re.compile(r"([A-Za-z_]\w{0,39})\s*=(?!=)\s*([A-Za-z_][\w.-]{0,63})(?![\w.-])\s*")
_END = re.compile(r"(finish|return)\s*(?=\[)", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_]\w{0,39}")
_GOES_ON = re.compile(r"\W*(?:if|elif|else|unless)\b|.*[][]", re.IGNORECASE)
_ARROW = re.compile(r"(?:->|→)\s*")


def parse(text: str, tools: Collection[str] | None = None, skills: Mapping[str, Skill] | None = None,
          most_calls: int = 16) -> Program:
    """Read a program that may call `tools` (None: any) and `skills`. Raises FormatError, which the model is shown."""
    thought, lines = statements_of(cut_at_observation(text))
    if not lines:
        raise FormatError(f"there is no program in {quoted(text)}; write lines such as E1 = search[Paris], and at the "
                          "end finish[{E1}]")
    reader = _Reader(lines)
    defined = reader.skills()
    program = Program(_thought(thought), tuple(defined), tuple(reader.body("finish")))
    return check(program, tools, skills or {}, most_calls)


def parse_skill(text: str) -> Skill:
    """Read one skill. Raises FormatError."""
    found = parse_skills(text)
    if len(found) != 1:
        raise FormatError(f"there are {len(found)} skills in {quoted(text)}; expected one, from its line skill name[x] "
                          "to its line return[...]")
    return found[0]


def parse_skills(text: str) -> list[Skill]:
    """Read skills, one below the other. Raises FormatError."""
    _, lines = statements_of(text)
    return _Reader(lines).skills()


def _thought(text: str) -> str:
    cleaned = clean_thought(text)
    # "ThoughtThought: :" leaves a label behind, which would be taken for one when the program is read again.
    if clean_thought(cleaned) != cleaned:
        cleaned = " ".join(cleaned.translate({ord(":"): " ", ord("*"): " "}).split())
    return cleaned


@dataclass
class _Reader:
    lines: Sequence[str]
    at: int = 0

    def skills(self) -> list[Skill]:
        """The skills that come first."""
        found: list[Skill] = []
        while self.at < len(self.lines) and (named := _SKILL.match(self.lines[self.at])):
            inside, rest = bracketed(self.lines[self.at], named.end())
            params = tuple(part.strip() for part in re.split("[;,]", inside))
            if rest not in ("", ":") or not all(map(_NAME.fullmatch, params)) or len({*params}) < len(params):
                raise FormatError(f"{quoted(self.lines[self.at])} does not begin a skill; write e.g. "
                                  "skill currency_of[country]")
            self.at += 1
            body = self.body("return")
            if not body or not isinstance(body[-1], Finish):
                raise FormatError(f"the skill {named[1]} has no return[...]; end it with e.g. return[{{E1}}]")
            found.append(Skill(named[1], params, tuple(body)))
        return found

    def body(self, end: str) -> list[Statement]:
        """Statements up to the last of them: an end without a guard, or one that ends a chain with `else`."""
        found: list[Statement] = []
        guard: Guard | None = None
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if self.at == MOST_LINES:
                raise FormatError(f"the program has more than {MOST_LINES} lines; write one with fewer")
            if _SKILL.match(line):
                if end == "finish":
                    raise FormatError(f"{quoted(line)} stands behind the program's lines; define skills before them")
                break
            guard, rest = read_guard(line, guard, len(found))
            statement = _statement(rest, guard, end)
            if statement is None:
                if found and end == "finish" and not any(map(is_statement, self.lines[self.at:])):
                    # A model that goes on to explain what it wrote.
                    break
                raise FormatError(f"{quoted(line)} is no line of a program; write e.g. E1 = search[Paris], "
                                  "if {E1} > {E2}: finish[A], or finish[{E1}]")
            self.at += 1
            found.append(statement)
            if isinstance(statement, Finish) and (guard is None or guard.word == "else"):
                break
        return found


def _statement(text: str, guard: Guard | None, end: str) -> Statement | None:
    """One simple statement; None for a line that is none."""
    ended = _END.match(text)
    if ended:
        word = ended[1].lower()
        if word != end:
            raise FormatError(f"{quoted(text)}: " + ("return belongs into a skill; write finish[...]" if end == "finish"
                                                     else "finish does not belong into a skill; write return[...]"))
        inside, rest = bracketed(text, ended.end())
        if _GOES_ON.match(rest):
            raise FormatError(f"{quoted(text)} goes on with {quoted(rest)}; write conditions before, e.g. "
                              "if {E1} > {E2}: finish[A], and else: finish[B] in a line of its own")
        return Finish(inside, guard, "finish" if word == "finish" else "return")
    call = _CALL.match(text)
    if call is None:
        if guard is not None:
            raise FormatError(f"{quoted(text) if text else 'nothing'} cannot follow a condition; write a call or "
                              "finish[...] on the same line")
        return None
    if not text[call.end():].startswith("["):
        raise FormatError(f"{quoted(text)} has no brackets behind {call[2]}; write e.g. {call[1]} = {call[2]}[Paris]")
    inside, rest = bracketed(text, call.end())
    return Call(call[1], call[2], inside, _pattern(rest, text), guard)


def _pattern(rest: str, line: str) -> str | None:
    if not rest or rest.startswith("#"):
        return None
    arrow = _ARROW.match(rest)
    if arrow is None:
        raise FormatError(f"{quoted(line)} goes on with {quoted(rest)}; after a call only a pattern may follow, "
                          "e.g. -> The capital of * is Paris")
    pattern = " ".join(rest[arrow.end():].replace("…", "...").split())
    if pattern.startswith('"') and pattern.endswith('"') and pattern.count('"') == 2 and not pattern.startswith('"*'):
        pattern = pattern[1:-1].strip()
    if pattern.count("*") != 1:
        raise FormatError(f"the pattern {quoted(pattern)} has {pattern.count('*')} places for its value; mark one with "
                          "*, e.g. -> The capital of * is Paris")
    if pattern.count("...") > MOST_GAPS:
        raise FormatError(f"the pattern {quoted(pattern)} has more than {MOST_GAPS} gaps ...; write more of its words")
    if not re.search(r"\w", pattern):
        raise FormatError(f"the pattern {quoted(pattern)} fits everything; write the words around the value, "
                          "e.g. -> The capital of * is Paris")
    return pattern
