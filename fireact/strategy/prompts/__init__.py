"""The few-shot texts, by method and task, and how they are shown: instructions, then examples as turns.

The instructions of ReAct name the tool's actions: search, and in `wikipedia` lookup. What else a tool can do is told
behind them.

A file begins with the instructions; each example after them is a paragraph:

    Question: Which city is the capital of France?
    Thought: I need the capital of France.
    Action: search[capital of France]
    Observation: The capital of France is Paris.
    Thought: The capital is Paris.
    Action: finish[Paris]

A line without a label goes on with what is above it: a question may have options, an observation several lines.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

from fireact.errors import ConfigError, FormatError, suggest
from fireact.jsonl import decode_text
from fireact.strategy.calling import as_calls
from fireact.strategy.grammar import OBSERVATION
from fireact.toolspec import ToolSpec
from fireact.types import Message

QUESTION = "Question: "
_CALLED = ("Answer the question in steps. In each step think in one sentence, then call one of the functions. Look up "
           "one fact at a time. End by calling finish with the answer, which is as short as possible.")
"""The instructions where actions are functions, which are described by themselves."""
_WRITTEN = ("Thought:", "Action:", "Answer:", "Plan:")
"""The labels of the lines that the model writes."""


@cache
def read_prompt(method: str, name: str) -> str:
    """Return the text of a prompt of this package, or of the file at the path `name`. Raises ConfigError."""
    if "/" in name:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"strategy.prompt={name}: there is no such file")
        return decode_text(path.read_bytes(), str(path)).strip()
    folder = resources.files(__name__) / method
    names = [entry.name.removesuffix(".txt") for entry in folder.iterdir() if entry.name.endswith(".txt")]
    if name not in names:
        raise ConfigError(f"strategy.prompt={name}: there is no few-shot text of that name for {method}"
                          f"{suggest(name, names)}; a path with a / names a file of your own")
    return (folder / f"{name}.txt").read_text(encoding="utf-8").strip()


def preamble(method: str, name: str | None, tools: Sequence[ToolSpec] = ()) -> list[Message]:
    """The messages that come before the question of a prompted episode; `tools` are told where the text names them not.

    Raises ConfigError.
    """
    if name is None:
        raise ConfigError("strategy.prompt is missing, and no dataset names one; set it, e.g. strategy.prompt=hotpotqa")
    instructions, *examples = read_prompt(method, name).split(f"\n\n{QUESTION}")
    label = "Action: " if "Action: " in instructions else ""
    talk = [Message("system", f"{instructions.strip()}{_more(tools, instructions, label)}")]
    for example in examples:
        turns = turns_of(example)
        if turns[-1].role != "assistant":
            question = turns[0].content.split("\n")[0]
            raise ConfigError(f"strategy.prompt={name}: the example {question!r} does not end with the model's turn; "
                              "end it with a line such as Action: finish[Paris] or Answer: Paris")
        talk += turns
    return talk


def value_preamble(name: str = "general") -> list[Message]:
    """The messages before a valuation: instructions, then examples whose last line is the model's."""
    instructions, *examples = read_prompt("value", name).split("\n\n")
    talk = [Message("system", instructions)]
    for example in examples:
        shown, _, word = example.strip().rpartition("\n")
        talk += [Message("user", shown), Message("assistant", word)]
    return talk


def few_shots(method: str, name: str | None, tools: Sequence[ToolSpec], offered: Sequence[ToolSpec],
              instructions: str = _CALLED) -> list[Message]:
    """What a prompted model is shown first, as calls with these `instructions` where functions are offered.

    Raises ConfigError.
    """
    return called_preamble(method, name, offered, instructions) if offered else preamble(method, name, tools)


def called_preamble(method: str, name: str | None, offered: Sequence[ToolSpec],
                    instructions: str = _CALLED) -> list[Message]:
    """The same where actions are functions that the model calls. Raises ConfigError."""
    _, *examples = preamble(method, name)
    try:
        return [Message("system", instructions), *as_calls(examples, offered)]
    except FormatError as error:
        raise ConfigError(f"strategy.prompt={name} cannot be shown with strategy.wire=tools: {error}; choose another "
                          "few-shot text, or a tool that has that action") from None


def _more(tools: Sequence[ToolSpec], instructions: str, label: str) -> str:
    """What is told of actions that the instructions do not name."""
    others = [spec for spec in tools if f"{spec.name}[" not in instructions]
    return "\nThere are more actions:\n" + "\n".join(f"{label}{spec}" for spec in others) if others else ""


def turns_of(example: str) -> list[Message]:
    """Cut an example into turns: the world asks and shows, the model thinks, acts and answers."""
    question, *lines = example.strip().splitlines()
    turns = [Message("user", question)]
    for line in lines:
        role = _writer(line) or turns[-1].role
        if turns[-1].role == role:
            turns[-1] = Message(role, f"{turns[-1].content}\n{line}")
        else:
            turns.append(Message(role, line))
    return turns


def _writer(line: str) -> Literal["user", "assistant"] | None:
    """Whose turn a line begins or goes on with; None for a line without a label."""
    if line.startswith(OBSERVATION):
        return "user"
    return "assistant" if line.startswith(_WRITTEN) else None
