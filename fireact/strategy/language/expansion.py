"""A program as flat lines: those of a skill stand in the place of its call, under names behind the call's, E1.E2."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fireact.strategy.language.checks import arguments
from fireact.strategy.language.syntax import Call, Comparison, Condition, Guard, Program, Skill, Statement
from fireact.strategy.language.templates import fill, slots


@dataclass(frozen=True)
class Line:
    """A call, or where it has no action the end of the program or of a skill."""

    name: str
    """Of its value; '' for that of the whole program."""
    action: str | None
    text: str
    """Its argument, or what is returned."""
    pattern: str | None
    guards: tuple[Guard, ...]
    """Its own, and those of the calls around it: all must hold."""
    given: Mapping[str, str]
    """The arguments of the skill's call by the names of its parameters, for the pattern: a `*` in them is no gap."""

    @property
    def needs(self) -> set[str]:
        """The names that it refers to, but for its guards."""
        return {*slots(self.text), *(needed for name in slots(self.pattern or "")
                                     for needed in (slots(self.given[name]) if name in self.given else [name]))}

    def known(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """The values that its pattern refers to. Raises FormatError."""
        return {**values, **{name: fill(self.given[name], values) for name in slots(self.pattern or "")
                             if name in self.given}}


def expand(program: Program) -> list[Line]:
    """The lines of a program. Raises FormatError for arguments that become too long within skills."""
    return _Expansion({skill.name: skill for skill in (*program.known, *program.skills)}).lines(
        program.statements, "", {}, ())


@dataclass
class _Expansion:
    skills: Mapping[str, Skill]
    chains: int = 0

    def lines(self, body: Sequence[Statement], name: str, given: Mapping[str, str],
              around: tuple[Guard, ...]) -> list[Line]:
        """The lines of a body whose value is `name`; `given` are arguments by the names of parameters."""
        prefix = f"{name}." if name else ""
        own = {call.name: f"{{{prefix}{call.name}}}" for call in body if isinstance(call, Call)}
        renamed = {**own, **given}
        numbers: dict[int, int] = {}
        found: list[Line] = []
        for statement in body:
            guards = (*around, *self._guard(statement.guard, numbers, renamed))
            if not isinstance(statement, Call):
                found.append(Line(name, None, fill(statement.text, renamed), None, guards, {}))
                continue
            full, skill = f"{prefix}{statement.name}", self.skills.get(statement.action)
            if skill is None:
                pattern = None if statement.pattern is None else fill(statement.pattern, own)
                found.append(Line(full, statement.action, fill(statement.argument, renamed), pattern, guards, given))
            else:
                # Cut before values are filled in, which may have a ; of their own.
                parts = [fill(part, renamed) for part in arguments(statement, skill)]
                found += self.lines(skill.body, full, dict(zip(skill.params, parts, strict=True)), guards)
        return found

    def _guard(self, guard: Guard | None, numbers: dict[int, int], renamed: Mapping[str, str]) -> tuple[Guard, ...]:
        if guard is None:
            return ()
        if guard.chain not in numbers:
            self.chains += 1
            numbers[guard.chain] = self.chains
        condition = guard.condition and Condition(tuple(
            tuple(Comparison(fill(one.left, renamed), one.sign, fill(one.right, renamed)) for one in group)
            for group in guard.condition.groups))
        return (Guard(guard.word, condition, numbers[guard.chain], guard.place),)
