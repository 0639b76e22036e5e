"""One prompting step that writes a whole program of searches (after ReWOO, Xu et al., 2023, arXiv 2305.18323, and
LLM-Compiler, Kim et al., 2024, arXiv 2312.04511). The language is explained in strategy/language/GRAMMAR.md.

    model: Thought: I need to find the country whose capital is Thimphu, then its currency.
           E1 = search[capital Thimphu] -> The capital of * is Thimphu
           E2 = search[currency of {E1}] -> The currency of {E1} is the *
           finish[{E2}]

Calls that do not need each other are made at the same time. Where a program does not come to its answer, what it found
and what went wrong is shown, and another one is written: one that only finishes, or one that repairs.

    world: Observation: E1: The capital of Bhutan is Thimphu.
           E2: The currency of Bhutan is the ngultrum.
           Now finish with the answer, or write another program.
    model: finish[ngultrum]
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fireact.errors import FormatError
from fireact.options import ADDED, Count
from fireact.requests import Act, Ask, Play, Refuse, Tell
from fireact.strategy.calling import FINISH, PROGRAM, read_program
from fireact.strategy.grammar import STOPS
from fireact.strategy.language import Execution
from fireact.strategy.prompts import few_shots
from fireact.strategy.turns import Event, Wire, heard, said
from fireact.toolspec import ToolSpec
from fireact.types import Message, Refusal

NEXT = "Now finish with the answer, or write another program."
_CALLED = ("Answer the question by a program of searches. Call program once with the whole of it, in the language that "
           "its description explains; what it found is shown. End by calling finish with the answer, which is as short "
           "as possible, unless the program has finished by itself.")


@dataclass(kw_only=True)
class Program:
    """Programs, until one finishes."""

    prompt: str | None = None
    """The few-shot text: a name in strategy/prompts/program/, or the path of your own; None: the dataset's."""
    max_programs: Count = 4
    """Replies of the model; one that only finishes is a program too."""
    most_calls: Count = 16
    """Of a program."""
    longest: Count = 256
    """Tokens that a program may take; the model's own max_tokens counts where it is larger."""
    wire: Annotated[Wire, ADDED] = "text"
    """text: a program is a reply. tools: it is the argument of a function that the model calls."""

    def play(self, question: str, *, few_shot: bool, tools: tuple[ToolSpec, ...] = ()) -> Play:
        """See `protocols.Strategy`."""
        offered = (*tools, PROGRAM, FINISH) if self.wire == "tools" else ()
        talk = few_shots("program", self.prompt, tools, offered, _CALLED) if few_shot else []
        shots, actions = len(talk), [spec.name for spec in tools] or None
        talk = [*talk, Message("user", question)]
        for _ in range(self.max_programs):
            got = yield Ask(tuple(talk), () if offered else STOPS, "Thought:" if few_shot and not offered else "",
                            "program", shots, room=self.longest, tools=offered)
            try:
                run = Execution(read_program(got, offered, actions, self.most_calls))
            except FormatError as error:
                events = [Event((yield Refuse(str(error))))]
            else:
                events = yield from execute(run)
                if run.answer is not None:
                    return run.answer
            shown = said(got, "program")
            talk += [shown, *heard(events, shown)]
        return None


def execute(run: Execution) -> Generator[Any, Any, list[Event]]:
    """Make all calls of a program, those that are ready at the same time; return what is shown of it."""
    events: list[Event] = []
    while pending := run.ready():
        seen: Sequence[str] = yield [Act(call.tool, call.argument, name=call.name) for call in pending]
        for call, text in zip(pending, seen, strict=True):
            if isinstance(text, Refusal):
                run.refuse(call.name)
            else:
                run.settle(call.name, text)
            events.append(Event(text, call.name))
    if run.answer is None:
        events.append(Event((yield Tell("\n".join([*run.failures, NEXT])))))
    return events
