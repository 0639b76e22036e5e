"""The few-shot texts, by method and task, and how they are shown: instructions, then examples as turns.

The instructions of ReAct name the tool's actions: search, and in `wikipedia` lookup. Other actions need another text.

A file begins with the instructions; each example after them is a paragraph:

    Question: Which city is the capital of France?
    Thought: I need the capital of France.
    Action: search[capital of France]
    Observation: The capital of France is Paris.
    Thought: The capital is Paris.
    Action: finish[Paris]

A line without a label goes on with what is above it: a question may have options, an observation several lines.
"""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

from fireact.errors import ConfigError, suggest
from fireact.jsonl import decode_text
from fireact.strategy.grammar import OBSERVATION
from fireact.types import Message

QUESTION = "Question: "
_WRITTEN = ("Thought:", "Action:", "Answer:")
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


def preamble(method: str, name: str | None) -> list[Message]:
    """The messages that come before the question of a prompted episode. Raises ConfigError."""
    if name is None:
        raise ConfigError("strategy.prompt is missing, and no dataset names one; set it, e.g. strategy.prompt=hotpotqa")
    instructions, *examples = read_prompt(method, name).split(f"\n\n{QUESTION}")
    talk = [Message("system", instructions.strip())]
    for example in examples:
        turns = _turns(example)
        if turns[-1].role != "assistant":
            question = turns[0].content.split("\n")[0]
            raise ConfigError(f"strategy.prompt={name}: the example {question!r} does not end with the model's turn; "
                              "end it with a line such as Action: finish[Paris] or Answer: Paris")
        talk += turns
    return talk


def _turns(example: str) -> list[Message]:
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
