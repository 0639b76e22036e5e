"""Make a conversation fit: its middle observations are shortened first, the model's own words never."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from fireact.strategy.grammar import OBSERVATION
from fireact.types import Example, Message

FEW = 8
"""An observation is left at least so many words."""
MORE = "..."
"""Written in the place of what was left out."""

Build = Callable[[Sequence[Message]], Example]
"""Makes the example of a conversation."""


def shorten(tokenizer: Any, messages: Sequence[Message], window: int, build: Build) -> Example | None:
    """Return the example of `messages` with at most `window` tokens, None where no shortening gets it there.

    Observations lose their ends: first those in the middle, the longest of them first, then the first one, at last the
    last one, which most often holds the answer.
    """
    messages = list(messages)
    for number in _order(messages):
        over = len(build(messages).ids) - window
        if over <= 0:
            break
        messages[number] = replace(messages[number], content=_cut(tokenizer, messages[number].content, over))
    example = build(messages)
    return example if len(example.ids) <= window else None


def _order(messages: Sequence[Message]) -> Iterator[int]:
    seen = [number for number, message in enumerate(messages) if _is_observation(message)]
    yield from sorted(seen[1:-1], key=lambda number: -len(messages[number].content))
    yield from dict.fromkeys([*seen[:1], *seen[-1:]])


def _is_observation(message: Message) -> bool:
    return message.role == "tool" or (message.role == "user" and message.content.startswith(OBSERVATION))


def _cut(tokenizer: Any, text: str, over: int) -> str:
    """Leave out so many words at the end that at least `over` tokens go, if `FEW` words remain."""
    words = text.split(" ")
    low, high = min(FEW + 1, len(words)), len(words)
    wanted = _size(tokenizer, text) - over
    while low < high:
        middle = (low + high + 1) // 2
        if _size(tokenizer, _joined(words, middle)) <= wanted:
            low = middle
        else:
            high = middle - 1
    return _joined(words, low)


def _joined(words: Sequence[str], count: int) -> str:
    return " ".join([*words[:count], MORE] if count < len(words) else words)


def _size(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False).input_ids)
