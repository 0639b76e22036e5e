"""ReAct: think, act, observe, until the model finishes (Yao et al., 2023, arXiv 2210.03629).

    model: Thought: I need the capital of France.
           Action: search[capital of France]
    world: Observation: The capital of France is Paris.
    model: Thought: The capital is Paris.
           Action: finish[Paris]

With `strategy.wire=tools` actions are functions that the model calls, several at once if it likes.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fireact.errors import FormatError
from fireact.options import ADDED, Count
from fireact.requests import Act, Ask, Play, Refuse
from fireact.strategy.calling import FINISH, read_calls
from fireact.strategy.grammar import STOPS, has_action, lead_on, parse_step
from fireact.strategy.plans import has_plan
from fireact.strategy.prompts import few_shots
from fireact.strategy.turns import Event, Reply, Wire, heard, said
from fireact.toolspec import ToolSpec
from fireact.types import Form, Message


@dataclass(kw_only=True)
class React:
    """The loop of the paper."""

    prompt: str | None = None
    """The few-shot text: a name in strategy/prompts/react/, or the path of a file of your own; None: the dataset's."""
    max_rounds: Count = 11
    """Replies of the model; FireAct's generation.py has 11."""
    wire: Annotated[Wire, ADDED] = "text"
    """text: actions are words. tools: they are functions that the model calls."""

    def play(self, question: str, *, few_shot: bool, tools: tuple[ToolSpec, ...] = ()) -> Play:
        """See `protocols.Strategy`."""
        offered = (*tools, FINISH) if self.wire == "tools" else ()
        talk = few_shots("react", self.prompt, tools, offered) if few_shot else []
        if offered:
            return rounds_of_calls(question, talk, offered, self.max_rounds)
        return rounds(question, talk, {}, self.max_rounds, "Thought:" if few_shot else "")


def rounds(question: str, talk: list[Message], reflections: Mapping[int, str], max_rounds: int, prime: str) -> Play:
    """Play ReAct's rounds after the messages in `talk`.

    `reflections` maps a round, counted from 1, to a sentence with which its thought is made to begin.
    """
    shots = len(talk)
    talk = [*talk, Message("user", question)]
    for number in range(1, max_rounds + 1):
        reflection = reflections.get(number)
        text = yield from reply_in_words(talk, f"Thought: {reflection}" if reflection else prime, shots,
                                         lead=bool(prime))
        try:
            step = parse_step(text)
        except FormatError as error:
            seen = yield Refuse(str(error))
        else:
            if step.name == "finish":
                return step.argument
            seen = yield Act(step.name, step.argument)
        shown = said(text)
        talk += [shown, *heard([Event(seen)], shown)]
    return None


def reply(talk: Sequence[Message], prime: str, shots: int, form: Form,
          offered: tuple[ToolSpec, ...]) -> Generator[Ask, Any, Reply]:
    """Ask for a step, by a call where functions are offered."""
    if offered:
        return (yield Ask(tuple(talk), form=form, shots=shots, tools=offered))
    return (yield from reply_in_words(talk, prime, shots, form, lead=bool(prime)))


def reply_in_words(talk: Sequence[Message], prime: str, shots: int, form: Form = "react", *,
                   lead: bool) -> Generator[Ask, Any, str]:
    """Ask for a step in words. With `lead` a reply that stops after its thought is led on."""
    text = yield Ask(tuple(talk), STOPS, prime, form, shots)
    if lead and not (has_action(text) or (form == "plan" and has_plan(text))):
        text = yield Ask(tuple(talk), STOPS, lead_on(text), form, shots)
    return text


def rounds_of_calls(question: str, talk: list[Message], offered: tuple[ToolSpec, ...], max_rounds: int) -> Play:
    """The same where actions are functions: those that a reply calls are called at the same time."""
    shots = len(talk)
    talk = [*talk, Message("user", question)]
    for _ in range(max_rounds):
        got = yield Ask(tuple(talk), shots=shots, tools=offered)
        try:
            steps = read_calls(got, offered)
        except FormatError as error:
            seen = [(yield Refuse(str(error)))]
        else:
            answer = next((step.argument for step in steps if step.name == FINISH.name), None)
            if answer is not None:
                return answer
            seen = yield [Act(step.name, step.argument) for step in steps]
        shown = said(got)
        talk += [shown, *heard([Event(text) for text in seen], shown)]
    return None
