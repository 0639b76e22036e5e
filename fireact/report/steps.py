"""An episode's steps as labelled texts: thought, action, observation."""

from fireact.errors import FormatError
from fireact.strategy.grammar import parse_answer, parse_step
from fireact.types import Step

LONGEST = 4000
"""Characters of one step that are shown."""


def shown(step: Step) -> list[tuple[str, str]]:
    """Return a step as labelled texts. A reply is taken apart only where that loses none of its words."""
    if step.kind == "act":
        return [("Observation", clip(step.text))]
    if step.kind == "refuse":
        return [("Refused", clip(step.text))]
    parts = _parsed(step)
    whole = " ".join(f"{label}: {text}" for label, text in parts)
    if not parts or _words(whole) != _words(step.text):
        return [("Reply", clip(step.text))]
    return [(label, clip(text)) for label, text in parts]


def _parsed(step: Step) -> list[tuple[str, str]]:
    try:
        if step.form == "react":
            react = parse_step(step.text)
            thought, last = react.thought, ("Action", f"{react.name}[{react.argument}]")
        else:
            thought, answer = parse_answer(step.text)
            last = ("Answer", answer)
    except FormatError:
        return []
    return [("Thought", thought), last] if thought else [last]


def _words(text: str) -> list[str]:
    return text.casefold().split()


def clip(text: str) -> str:
    """Cut a text to what a page shows of it, and say so."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"
