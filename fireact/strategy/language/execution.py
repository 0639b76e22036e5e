"""The run of a program: which calls can be made now, what became of those that were, and the answer."""

from dataclasses import dataclass, field

from fireact.errors import FormatError
from fireact.strategy.language import patterns
from fireact.strategy.language.conditions import Incomparable, holds
from fireact.strategy.language.expansion import Line, expand
from fireact.strategy.language.syntax import Condition, Guard, Program
from fireact.strategy.language.templates import fill, slots


@dataclass(frozen=True)
class Pending:
    """A call that can be made."""

    name: str
    tool: str
    argument: str


@dataclass
class Execution:
    """One run of a program. Raises FormatError for one whose arguments become too long within skills."""

    program: Program
    values: dict[str, str] = field(init=False, default_factory=dict)
    answer: str | None = field(init=False, default=None)
    failures: list[str] = field(init=False, default_factory=list)
    """Why there is no value where one was wanted; in the end also what was not called for want of one."""
    _left: list[Line] = field(init=False)
    """What is not done, in the program's order."""
    _under_way: dict[str, Line] = field(init=False, default_factory=dict)
    _conditions: dict[tuple[int, int], Condition] = field(init=False)
    """By the number of their chain and their place in it."""
    _held: dict[tuple[int, int], bool | None] = field(init=False, default_factory=dict)
    """What is known of them; None for those that compare what has no order."""

    def __post_init__(self) -> None:
        """Line up what is to be done."""
        self._left = expand(self.program)
        self._conditions = {(guard.chain, guard.place): guard.condition for line in self._left for guard in line.guards
                            if guard.condition}

    @property
    def done(self) -> bool:
        """Whether nothing can be called and nothing is waited for."""
        return not self._under_way and not self._callable()

    def ready(self) -> list[Pending]:
        """All calls that can be made and were not handed out before; none once the answer is known."""
        found: list[Pending] = []
        for line in self._callable():
            self._left.remove(line)
            argument = self._filled(line)
            if argument is not None:
                self._under_way[line.name] = line
                found.append(Pending(line.name, line.action or "", argument))
        if not found and not self._under_way and self.answer is None:
            self._give_up()
        return found

    def settle(self, name: str, observation: str) -> None:
        """Say what came of a call that was handed out."""
        line = self._under_way.pop(name)
        if line.pattern is None:
            self.values[name] = observation
            return
        try:
            known = line.known(self.values)
            told = " ".join(fill(line.pattern, known).split())
            value = patterns.find(line.pattern, observation, known)
        except FormatError as failure:
            self.failures.append(f"{name}: {failure}")
            return
        if value is None:
            self.failures.append(f'{name}: no "{told[:120]}" in the observation')
        else:
            self.values[name] = value

    def refuse(self, name: str) -> None:
        """Say that a call that was handed out was refused."""
        del self._under_way[name]
        self.failures.append(f"{name} has no value, for its call was refused")

    def _callable(self) -> list[Line]:
        while self.answer is None and self._ended():
            pass
        if self.answer is not None:
            return []
        return [line for line in self._left if line.action and self._open(line) and self._known(line)]

    def _ended(self) -> bool:
        """Drop what will not be done; take the first end, of the program or a skill, that is reached, if one is."""
        undecided: set[str] = set()
        for line in list(self._left):
            holds = self._open(line)
            if holds is False:
                self._left.remove(line)
            elif line.action is None and line.name not in undecided:
                if holds and self._known(line):
                    self._take(line)
                    return True
                # An end counts only where none before it does.
                undecided.add(line.name)
        return False

    def _take(self, end: Line) -> None:
        self._left = [line for line in self._left if line.action or line.name != end.name]
        text = self._filled(end)
        if text is not None and end.name:
            self.values[end.name] = text
        elif text is not None:
            self.answer = text

    def _filled(self, line: Line) -> str | None:
        """The text of a line with its values; None, and a failure, where that is too long."""
        try:
            return fill(line.text, self.values)
        except FormatError as failure:
            self.failures.append(f"{line.name or 'finish'}: {failure}")
            return None

    def _known(self, line: Line) -> bool:
        return line.needs <= self.values.keys()

    def _open(self, line: Line) -> bool | None:
        """Whether all guards of a line hold; None where that is not known yet, or cannot be."""
        found = [self._holds(guard) for guard in line.guards]
        return False if False in found else None if None in found else True

    def _holds(self, guard: Guard) -> bool | None:
        for place in range(guard.place):
            before = self._test(guard.chain, place)
            if before is None or before:
                return None if before is None else False
        return self._test(guard.chain, guard.place) if guard.condition else True

    def _test(self, chain: int, place: int) -> bool | None:
        where = chain, place
        if where not in self._held:
            condition = self._conditions[where]
            if not all(name in self.values for side in condition.sides for name in slots(side)):
                return None
            try:
                self._held[where] = holds(condition, self.values)
            except (Incomparable, FormatError) as failure:
                self._held[where] = None
                self.failures.append(str(failure))
        return self._held[where]

    def _give_up(self) -> None:
        """Say what was not called; where that tells nothing, why no end was reached."""
        missing = [(line, sorted(line.needs - self.values.keys())) for line in self._left]
        self.failures += [f"{line.name} was not called, for there is no {' and no '.join(names)}"
                          for line, names in missing if line.action and names]
        if self.program.finishes and not self.failures:
            names = sorted({name for line, needed in missing if not line.name for name in needed})
            self.failures.append(f"no finish was reached, for there is no {' and no '.join(names)}" if names else
                                 "no finish was reached, for no condition of one holds")
        self._left = []
