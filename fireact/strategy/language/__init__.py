"""The little language of programs that search: parsed strictly, executed as a graph, never by Python.

    program = parse(text, tools=["search"])
    run = Execution(program)
    while calls := run.ready():
        for call in calls:                          # all of them at the same time
            run.settle(call.name, search(call.argument))
    print(run.answer, run.failures)

GRAMMAR.md explains it.
"""

from fireact.strategy.language.checks import check
from fireact.strategy.language.execution import Execution, Pending
from fireact.strategy.language.parser import MOST_LINES, parse, parse_skill, parse_skills
from fireact.strategy.language.syntax import Program, Skill

__all__ = ["MOST_LINES", "Execution", "Pending", "Program", "Skill", "check", "parse", "parse_skill", "parse_skills"]
