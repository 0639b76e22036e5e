"""An episode's steps as labelled texts: thought, action, observation."""

from fireact.errors import FormatError
from fireact.strategy.grammar import parse_answer, parse_step
from fireact.strategy.language import MOST_LINES, parse
from fireact.strategy.plans import format_plan, has_plan, parse_plan
from fireact.types import Step

LONGEST = 4000
"""Characters of one step that are shown."""
_LABELS = {"act": "Observation", "refuse": "Refused", "tell": "Told", "choose": "Chosen", "recall": "Skills",
           "learn": "Learnt"}


def shown(step: Step) -> list[tuple[str, str]]:
    """Return a step as labelled texts. A reply is taken apart only where that loses none of its words.

    Behind a label stands the name of an observation where it has one, and its place in a search tree.
    """
    where = f" {step.name}" if step.name else f" at {step.node}" if step.node and step.kind != "choose" else ""
    return [(f"{label}{where}", clip(text)) for label, text in _parts(step)]


def _parts(step: Step) -> list[tuple[str, str]]:
    if step.kind == "learn":
        return [(_LABELS["learn"], f"{step.argument}\n{step.text}")]
    if step.kind != "ask":
        return [(_LABELS[step.kind], step.text)]
    if step.completion and step.completion.calls:
        thought = [("Thought", step.text)] if step.text else []
        return [*thought, *(("Action", str(call)) for call in step.completion.calls)]
    parts = _parsed(step)
    whole = " ".join(f"{label}: {text}" for label, text in parts)
    return parts if parts and _words(whole) == _words(step.text) else [("Reply", step.text)]


def _parsed(step: Step) -> list[tuple[str, str]]:
    try:
        thought, last = _step(step)
    except FormatError:
        return []
    return [("Thought", thought), last] if thought else [last]


def _step(step: Step) -> tuple[str, tuple[str, str]]:
    """The thought of a reply, and what it comes to. Raises FormatError."""
    if step.form in ("program", "skills"):
        program = parse(step.text, most_calls=MOST_LINES)
        return program.thought, ("Program", str(program).partition("\n")[2] if program.thought else str(program))
    if step.form == "plan" and has_plan(step.text):
        thought, steps = parse_plan(step.text)
        return thought, ("Plan", format_plan("", steps).partition("\n")[2])
    if step.form in ("react", "plan"):
        react = parse_step(step.text)
        return react.thought, ("Action", f"{react.name}[{react.argument}]")
    thought, answer = parse_answer(step.text)
    return thought, ("Answer", answer)


def _words(text: str) -> list[str]:
    return [word for word in text.casefold().split() if word != "program:"]


def clip(text: str) -> str:
    """Cut a text to what a page shows of it, and say so."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"
