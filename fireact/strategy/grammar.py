"""The grammar of one ReAct step: `Thought: ...` then `Action: name[argument]`.

Reading is tolerant where the meaning is certain (case, spaces, quotes of markdown, both parts on one line) and strict
where it is not: brackets must balance, nothing is guessed. What is refused is refused with a text that teaches the
model the form. `format_step` writes the canonical form, and `parse_step(format_step(s)) == s`, brackets balanced.
"""

import re
from dataclasses import dataclass

from fireact.errors import FormatError

OBSERVATION = "Observation:"
STOPS = ("\nObservation", "\nQuestion:")
"""A reply ends where the model would begin to write the world's part."""

_STARS = r"(?:(?<!\*\*)\*+)?"
"""Of markdown before a label. Looked for from where they begin only: a long row of them takes no longer than others."""
_ACTION = re.compile(rf"(?:^|(?<=[\s.!?*])){_STARS}action\**(?:\s*\d+)?\s*:\**", re.IGNORECASE)
_THOUGHT = re.compile(rf"{_STARS}thought\**(?:\s*\d+)?\s*:\**", re.IGNORECASE)
_OBSERVATION = re.compile(r"(?<!\s)[^\S\n]*(\n)\s*\**observation\**(?:\s*\d+)?\s*:", re.IGNORECASE)
_NAME = re.compile(r"[\s*`]*([A-Za-z_][\w-]*)\s*")
_ANSWER = re.compile(rf"(?:^|(?<=[\s.!?*])){_STARS}(?:final\s+)?answer\**\s*:\**", re.IGNORECASE)

_OBJECT = re.compile(r'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:')
_BRACKETS = re.compile(r"[][]")
_BRACKETS_AND_TEXTS = re.compile(r'\\.|["\][]')


@dataclass(frozen=True)
class ParsedStep:
    """A thought, and an action with its argument. `name` is in lower case."""

    thought: str
    name: str
    argument: str


def parse_step(text: str) -> ParsedStep:
    """Read the first step of a reply; what follows it (an observation the model made up) is ignored.

    Raises FormatError, whose text is meant for the model.
    """
    text = cut_at_observation(text)
    refusal = FormatError(f'no "Action: name[argument]" in {_quote(text)}; write e.g. Action: search[Paris]')
    for number, action in enumerate(_ACTION.finditer(text)):
        try:
            return _step(text[: action.start()], text[action.end():])
        except FormatError as error:
            # A thought may speak of an "action: ..." too, before the real one; the first refusal is the one to show.
            refusal = refusal if number else error
    raise refusal


def _step(before: str, rest: str) -> ParsedStep:
    thought = clean_thought(before)
    name = _NAME.match(rest)
    if name is None or not rest[name.end():].startswith("["):
        raise FormatError(f"the action {_quote(rest)} is not of the form name[argument]; "
                          "write e.g. Action: search[Paris]")
    return ParsedStep(thought, name[1].lower(), _bracketed(rest, name.end()))


def parse_answer(text: str) -> tuple[str, str]:
    """Read `Thought: ... Answer: ...`, or a step that finishes; return the thought and the answer.

    Raises FormatError where there is neither.
    """
    answers = list(_ANSWER.finditer(text))
    if answers:
        thought, answer = text[: answers[-1].start()], text[answers[-1].end():]
        first_line = answer.strip().split("\n")[0].strip(" *")
        if first_line:
            return clean_thought(thought), first_line
    try:
        step = parse_step(text)
    except FormatError:
        step = None
    if step is None or step.name != "finish":
        raise FormatError(f'no "Answer: ..." in {_quote(text)}; end with e.g. Answer: Paris')
    return step.thought, step.argument


def format_step(step: ParsedStep) -> str:
    """Write a step in the canonical form."""
    action = f"Action: {step.name}[{step.argument}]"
    return f"Thought: {step.thought}\n{action}" if step.thought else action


def format_observation(text: str) -> str:
    """Write what the world answered, as the model will read it."""
    return f"{OBSERVATION} {text}"


def join_prime(prime: str, text: str) -> str:
    """Put a reply behind the words it was made to begin with; a model that repeats the label is not doubled."""
    text, prime = text.strip(), prime.strip()
    if not prime or text.startswith(prime):
        return text
    if has_action(prime) and has_action(text):
        return text
    label = _THOUGHT.match(text)
    return f"{prime} {text[label.end():].strip() if label else text}"


def has_action(text: str) -> bool:
    """Whether a reply gets as far as an action, well-formed or not."""
    return _ACTION.search(cut_at_observation(text)) is not None


def lead_on(text: str) -> str:
    """The words with which a reply that stops after its thought is led on, as in the notebook of ReAct's authors."""
    return f"{cut_at_observation(text).rstrip()}\nAction:"


def cut_at_observation(text: str) -> str:
    """Drop an observation that the model wrote itself, and all that follows it."""
    found = _OBSERVATION.search(text)
    return text[: found.start(1)] if found else text


def clean_thought(text: str) -> str:
    """Strip labels and white space from a thought and put it on one line."""
    text = _THOUGHT.sub(" ", text)
    return " ".join(text.replace("**", " ").split())


def is_object(text: str, start: int = 0) -> bool:
    """Whether a text begins like a JSON object at `start`."""
    return _OBJECT.match(text, start) is not None


def closing(text: str, start: int) -> int | None:
    """Where the bracket that opens at `start` is closed; in a JSON object brackets within texts do not count."""
    depth, within = 0, False
    for sign in (_BRACKETS_AND_TEXTS if is_object(text, start + 1) else _BRACKETS).finditer(text, start):
        within ^= sign[0] == '"'
        if not within:
            depth += {"[": 1, "]": -1}.get(sign[0], 0)
        if depth == 0:
            return sign.start()
    return None


def _bracketed(text: str, start: int) -> str:
    """Return what stands between the bracket at `start` and the one that closes it."""
    end = closing(text, start)
    if end is None:
        raise FormatError(f"the bracket opened in {_quote(text)} is never closed; write e.g. Action: search[Paris]")
    return text[start + 1: end].strip()


def _quote(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 60 else text[:57] + "...")
