"""Programs that use a library of skills, and add to it (after Voyager, Wang et al., 2023, arXiv 2305.16291).

What is recalled stands behind the question. A program may call those skills, and define others before its own lines:

    user:  What is the currency of the country whose capital is Thimphu?

           Skills:
           skill find_by_capital[x]
           E1 = search[capital {x}] -> The capital of * is {x}
           return[{E1}]
    model: Thought: I need to find the country whose capital is Thimphu, then its currency.
           skill currency_of[x]
           E1 = search[currency of {x}] -> The currency of {x} is the *
           return[{E1}]
           E1 = find_by_capital[Thimphu]
           E2 = currency_of[{E1}]
           finish[{E2}]

Once a program has come to an answer, the skills that it defined are kept for questions to come.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fireact.errors import FormatError
from fireact.options import Count
from fireact.requests import Ask, Learn, Play, Recall, Refuse
from fireact.strategy.grammar import STOPS
from fireact.strategy.language import Execution, Skill, parse, parse_skills
from fireact.strategy.program import execute
from fireact.strategy.prompts import preamble
from fireact.strategy.turns import Event, heard, said, with_skills
from fireact.toolspec import ToolSpec
from fireact.types import Message


@dataclass(kw_only=True)
class Skills:
    """Programs with a library."""

    uses_library: ClassVar[bool] = True
    """The run keeps a library for it."""

    prompt: str | None = None
    """The few-shot text: a name in strategy/prompts/skills/, or the path of a file of your own; None: the dataset's."""
    max_programs: Count = 4
    """Replies of the model; one that only finishes is a program too."""
    most_calls: Count = 16
    """Of a program, with those in its skills."""
    longest: Count = 384
    """Tokens that a program may take; the model's own max_tokens counts where it is larger."""

    def play(self, question: str, *, few_shot: bool, tools: tuple[ToolSpec, ...] = ()) -> Play:
        """See `protocols.Strategy`."""
        talk = preamble("skills", self.prompt, tools) if few_shot else []
        shots, actions = len(talk), [spec.name for spec in tools] or None
        shown: str = yield Recall(question)
        known: Mapping[str, Skill] = {skill.name: skill for skill in parse_skills(shown)}
        talk = [*talk, Message("user", with_skills(question, shown))]
        for _ in range(self.max_programs):
            text = yield Ask(tuple(talk), STOPS, "Thought:" if few_shot else "", "skills", shots,
                             room=self.longest)
            try:
                program = parse(text, tools=actions, skills=known, most_calls=self.most_calls)
                run = Execution(program)
            except FormatError as error:
                events = [Event((yield Refuse(str(error))))]
            else:
                events = yield from execute(run)
                if run.answer is not None:
                    if program.skills:
                        yield [Learn(str(skill)) for skill in program.skills]
                    return run.answer
                known = {**known, **{skill.name: skill for skill in program.skills}}
            reply = said(text, "skills")
            talk += [reply, *heard(events, reply)]
        return None
