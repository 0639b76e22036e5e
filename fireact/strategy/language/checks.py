"""What must hold between the lines of a program: names, references, actions, how many calls."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from fireact.errors import FormatError, suggest
from fireact.strategy.language.syntax import Call, Finish, Program, Skill, Statement
from fireact.strategy.language.templates import slots

DEEPEST = 4
"""Skills within skills."""


def check(program: Program, tools: Collection[str] | None, given: Mapping[str, Skill], most: int) -> Program:
    """The program with the skills that it needs. Raises FormatError."""
    skills = {**given}
    for skill in program.skills:
        if tools and skill.name in tools:
            raise FormatError(f"a skill cannot be called {skill.name!r}, as a tool is; give it another name")
        if [other.name for other in program.skills].count(skill.name) > 1:
            raise FormatError(f"the skill {skill.name} is defined twice; give each a name of its own")
        skills[skill.name] = skill
    used = _used(program, skills)
    for skill in (*program.skills, *used):
        _check_body(skill.body, skill.params, f"the skill {skill.name}: ")
    _check_body(program.statements, (), "")
    bodies = [program.statements, *(skill.body for skill in (*program.skills, *used))]
    _check_actions(bodies, tools, skills)
    count = _count(program.statements, skills)
    if count > most:
        raise FormatError(f"the program makes {count} calls, more than {most}; write one with fewer")
    own = {skill.name for skill in program.skills}
    return replace(program, known=tuple(skill for skill in used if skill.name not in own))


def _used(program: Program, skills: Mapping[str, Skill]) -> list[Skill]:
    """The skills that are called, and those that these call. Raises FormatError for those that call themselves."""
    found: dict[str, Skill] = {}

    def walk(body: Sequence[Statement], way: tuple[str, ...]) -> None:
        for call in body:
            if isinstance(call, Call) and call.action in skills:
                if call.action in way:
                    raise FormatError(f"the skill {call.action} calls itself ({' -> '.join((*way, call.action))}); "
                                      "write it without that")
                if len(way) == DEEPEST:
                    raise FormatError(f"skills call skills {len(way) + 1} deep ({' -> '.join((*way, call.action))}), "
                                      f"and {DEEPEST} is the most; write it with fewer")
                found[call.action] = skills[call.action]
                walk(skills[call.action].body, (*way, call.action))

    walk(program.statements, ())
    for skill in program.skills:
        walk(skill.body, (skill.name,))
    return list(found.values())


def _check_body(body: Sequence[Statement], params: Sequence[str], where: str) -> None:
    names: dict[str, list[Call]] = {}
    for call in body:
        if isinstance(call, Call):
            _check_name(call, names.setdefault(call.name, []), params, where)
            names[call.name].append(call)
    known = {*names, *params}
    for statement in body:
        for name in references(statement):
            if name not in known:
                raise FormatError(f"{where}{{{name}}} in {str(statement)[:80]!r} is no call of the program"
                                  f"{suggest(name, known)}")
    _check_order(body, names, where)


def _check_name(call: Call, before: Sequence[Call], params: Sequence[str], where: str) -> None:
    """A name stands for one call, but in the branches of one chain."""
    if call.name in params:
        raise FormatError(f"{where}{call.name} is a parameter; give the call another name")
    for other in before:
        apart = call.guard and other.guard and call.guard.chain == other.guard.chain and (
            call.guard.place != other.guard.place)
        if not apart:
            raise FormatError(f"{where}{call.name} stands for two calls; give each a name of its own")


def _check_order(body: Sequence[Statement], names: Mapping[str, Sequence[Call]], where: str) -> None:
    """Refuse references that go round in a circle."""
    needs = {name: {needed for call in calls for needed in _needed(call, body) if needed in names}
             for name, calls in names.items()}
    state: dict[str, int] = {}

    def walk(name: str, way: tuple[str, ...]) -> None:
        if state.get(name) == 1:
            circle = " -> ".join((*way[way.index(name):], name))
            raise FormatError(f"{where}calls need each other in a circle ({circle}), so none can be made; "
                              "let each refer to those that can be made before it")
        if name not in state:
            state[name] = 1
            for other in sorted(needs[name]):
                walk(other, (*way, name))
            state[name] = 2

    for name in needs:
        walk(name, ())


def _needed(call: Call, body: Sequence[Statement]) -> list[str]:
    """What a call refers to, and what the conditions before it in its chain do."""
    return [*references(call), *(name for other in body if other.guard and call.guard
                                 and other.guard.chain == call.guard.chain and other.guard.place < call.guard.place
                                 for name in _of_guard(other))]


def references(statement: Statement) -> list[str]:
    """The names that a statement refers to."""
    texts = [statement.argument, statement.pattern or ""] if isinstance(statement, Call) else [statement.text]
    return [*(name for text in texts for name in slots(text)), *_of_guard(statement)]


def _of_guard(statement: Statement) -> list[str]:
    tested = statement.guard.condition if statement.guard else None
    return [name for side in (tested.sides if tested else ()) for name in slots(side)]


def _check_actions(bodies: Sequence[Sequence[Statement]], tools: Collection[str] | None,
                   skills: Mapping[str, Skill]) -> None:
    for call in (statement for body in bodies for statement in body if isinstance(statement, Call)):
        skill = skills.get(call.action)
        if skill is not None:
            given = len(arguments(call.argument)) if len(skill.params) > 1 else 1
            if given != max(len(skill.params), 1):
                raise FormatError(f"the skill {skill.name} takes {len(skill.params)} arguments, separated by ;, and "
                                  f"{str(call)[:80]!r} gives {given}")
            if call.pattern is not None:
                raise FormatError(f"{str(call)[:80]!r}: a skill returns its value; leave out what follows ->")
        elif tools is not None and call.action not in tools:
            raise FormatError(f"there is no tool or skill {call.action!r}{suggest(call.action, [*tools, *skills])}")


def arguments(text: str) -> list[str]:
    """The arguments of a skill's call."""
    return [part.strip() for part in text.split(";")]


def _count(body: Sequence[Statement], skills: Mapping[str, Skill]) -> int:
    """How many calls of tools there are at most, whichever branches are taken."""
    return sum(_count(skills[call.action].body, skills) if call.action in skills else 1
               for call in body if not isinstance(call, Finish))
