"""The parts of a program, and how each is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Sign = Literal["==", "!=", "<", "<=", ">", ">=", "contains"]


@dataclass(frozen=True)
class Comparison:
    """`{E1} > {E2}`; each side is a template, in which `{NAME}` stands for a value."""

    left: str
    sign: Sign
    right: str

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.left} {self.sign} {self.right}"


@dataclass(frozen=True)
class Condition:
    """Comparisons of which all of one group must hold: groups are joined by `or`, comparisons in a group by `and`."""

    groups: tuple[tuple[Comparison, ...], ...]

    def __str__(self) -> str:
        """As it is written."""
        return " or ".join(" and ".join(map(str, group)) for group in self.groups)

    @property
    def sides(self) -> tuple[str, ...]:
        """All that is compared, as templates."""
        return tuple(side for group in self.groups for one in group for side in (one.left, one.right))


@dataclass(frozen=True)
class Guard:
    """One branch of a chain of conditions; it holds where its condition does and none before it in the chain."""

    word: Literal["if", "elif", "else"]
    condition: Condition | None
    """None for `else`."""
    chain: int
    """The number of its chain in the program."""
    place: int
    """Its own number in the chain."""

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.word} {self.condition}: " if self.condition else "else: "


@dataclass(frozen=True)
class Call:
    """`E1 = search[capital Thimphu] -> The capital of * is Thimphu`"""

    name: str
    action: str
    """A tool's action, or a skill."""
    argument: str
    pattern: str | None = None
    """Reads the value out of the observation; None: the value is the observation."""
    guard: Guard | None = None

    def __str__(self) -> str:
        """As it is written."""
        pattern = f" -> {self.pattern}" if self.pattern is not None else ""
        return f"{self.guard or ''}{self.name} = {self.action}[{self.argument}]{pattern}"


@dataclass(frozen=True)
class Finish:
    """`finish[{E2}]`, or in a skill `return[{E2}]`."""

    text: str
    guard: Guard | None = None
    word: Literal["finish", "return"] = "finish"

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.guard or ''}{self.word}[{self.text}]"


Statement = Call | Finish


@dataclass(frozen=True)
class Skill:
    """A named program with parameters: `skill currency_of[country]`, its statements, and what it returns."""

    name: str
    params: tuple[str, ...]
    body: tuple[Statement, ...]

    def __str__(self) -> str:
        """As it is written."""
        return "\n".join([f"skill {self.name}[{'; '.join(self.params)}]", *map(str, self.body)])


@dataclass(frozen=True)
class Program:
    """A thought, the skills that are defined, and the statements."""

    thought: str
    skills: tuple[Skill, ...]
    statements: tuple[Statement, ...]
    known: tuple[Skill, ...] = ()
    """The skills that it calls without defining them, and those that these call."""

    def __str__(self) -> str:
        """As it is written."""
        thought = [f"Thought: {self.thought}"] if self.thought else []
        return "\n".join([*thought, *map(str, self.skills), *map(str, self.statements)])

    @property
    def finishes(self) -> bool:
        """Whether it has a `finish`; else what it finds has to be joined by another reply."""
        return any(isinstance(statement, Finish) for statement in self.statements)
