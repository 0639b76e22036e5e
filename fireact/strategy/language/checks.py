"""What must hold between the lines of a program: names, references, actions, how many calls."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from fireact.errors import FormatError, suggest
from fireact.strategy.language.syntax import Call, Program, Skill, Statement
from fireact.strategy.language.templates import slots

DEEPEST = 4
"""Skills within skills."""


def check(program: Program, tools: Collection[str] | None, given: Mapping[str, Skill], most: int) -> Program:
    """The program with the skills that it needs. Raises FormatError."""
    own: dict[str, Skill] = {}
    for skill in program.skills:
        if tools and skill.name in tools:
            raise FormatError(f"a skill cannot be called {skill.name!r}, as a tool is; give it another name")
        if skill.name in own:
            raise FormatError(f"the skill {skill.name} is defined twice; give each a name of its own")
        own[skill.name] = skill
    known = {**given, **own}
    skills = {name: replace(skill, body=_spelt(skill.body, tools, known)) for name, skill in known.items()}
    program = replace(program, skills=tuple(skills[name] for name in own),
                      statements=_spelt(program.statements, tools, skills))
    used = _used(program, skills)
    _check_calls(program, used, most)
    for skill in used.values():
        _check_body(skill.body, skill.params, f"the skill {skill.name}: ")
    _check_body(program.statements, (), "")
    _check_actions([program.statements, *(skill.body for skill in used.values())], tools, skills)
    return replace(program, known=tuple(skill for name, skill in used.items() if name not in own))


def _spelt(body: Sequence[Statement], tools: Collection[str] | None, skills: Collection[str]) -> tuple[Statement, ...]:
    """A body with the names of tools in lower case, as those of a step are: Search[x]."""
    return tuple(replace(line, action=line.action.lower())
                 if isinstance(line, Call) and line.action not in {*(tools or ()), *skills}
                 and line.action.lower() in (tools or ()) else line for line in body)


def _used(program: Program, skills: Mapping[str, Skill]) -> dict[str, Skill]:
    """The skills that are defined or called, and those that these call, by their names."""
    found = {skill.name: skill for skill in program.skills}
    bodies = [program.statements, *(skill.body for skill in program.skills)]
    while bodies:
        for name in _actions(bodies.pop()):
            if name in skills and name not in found:
                found[name] = skills[name]
                bodies.append(skills[name].body)
    return found


def _check_calls(program: Program, used: Mapping[str, Skill], most: int) -> None:
    """Refuse skills that call themselves, skills too deep in skills, and too many calls."""
    order, circle = _sorted({name: [action for action in _actions(skill.body) if action in used]
                             for name, skill in used.items()})
    if circle:
        raise FormatError(f"the skill {circle[0]} calls itself ({_way(circle)}); write it without that")
    depth: dict[str, int] = {}
    calls: dict[str, int] = {}
    for name in order:
        actions = _actions(used[name].body)
        depth[name] = 1 + max((depth.get(action, 0) for action in actions), default=0)
        # One that calls nothing counts too: it is a line of the run all the same.
        calls[name] = max(1, sum(calls.get(action, 1) for action in actions))
        if depth[name] > DEEPEST:
            raise FormatError(f"the skill {name} calls skills {depth[name] - 1} deep, and {DEEPEST - 1} is the most; "
                              "write it with fewer")
        if calls[name] > most:
            raise FormatError(f"the skill {name} makes {calls[name]} calls, more than {most}; write it with fewer")
    count = sum(calls.get(action, 1) for action in _actions(program.statements))
    if count > most:
        raise FormatError(f"the program makes {count} calls, more than {most}; write one with fewer")


def _actions(body: Sequence[Statement]) -> list[str]:
    return [call.action for call in body if isinstance(call, Call)]


def _sorted(needs: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """The names, each behind those that it needs; or else a circle of them."""
    try:
        return list(TopologicalSorter(needs).static_order()), []
    except CycleError as error:
        circle: list[str] = error.args[1][:0:-1]
        first = circle.index(min(circle))
        return [], [*circle[first:], *circle[:first], circle[first]]


def _way(names: Sequence[str]) -> str:
    return " -> ".join(names if len(names) < 6 else [*names[:3], "...", names[-1]])


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


def _check_order(body: Sequence[Statement], names: Collection[str], where: str) -> None:
    """Refuse references that go round in a circle."""
    tested: dict[int, dict[str, None]] = {}
    needs: dict[str, list[str]] = {name: [] for name in names}
    for statement in body:
        before = tested.setdefault(statement.guard.chain, {}) if statement.guard else {}
        if isinstance(statement, Call):
            # A call waits for the conditions before it in its chain too.
            needs[statement.name] += [name for name in {**dict.fromkeys(references(statement)), **before}
                                      if name in names]
        before.update(dict.fromkeys(_of_guard(statement)))
    _, circle = _sorted(needs)
    if circle:
        raise FormatError(f"{where}calls need each other in a circle ({_way(circle)}), so none can be made; "
                          "let each refer to those that can be made before it")


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
            if len([text for text in arguments(call, skill) if text]) != len(skill.params):
                raise FormatError(f"the skill {skill.name} takes {len(skill.params)} arguments, separated by ;, not "
                                  f"those of {str(call)[:80]!r}; write e.g. "
                                  f"{skill.name}[{'; '.join(skill.params)[:40]}]")
            if call.pattern is not None:
                raise FormatError(f"{str(call)[:80]!r}: a skill returns its value; leave out what follows ->")
        elif tools is not None and call.action not in tools:
            raise FormatError(f"there is no tool or skill {call.action!r}{suggest(call.action, [*tools, *skills])}")


def arguments(call: Call, skill: Skill) -> list[str]:
    """The arguments of a skill's call. A skill with one parameter takes the whole text."""
    return [part.strip() for part in call.argument.split(";")] if len(skill.params) > 1 else [call.argument]

