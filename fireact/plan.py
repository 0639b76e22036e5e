"""A question's gold plan, and how it is followed: fill in what is known, read what an observation says, conclude.

Used by the scripted expert, which plays such plans through the real tool, and by the embedded dataset, which keeps
only questions that can be answered this way.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

HEAD = 40
"""So many characters of a sentence, to the end of a word, tell that it was shown, though a snippet may cut it off."""

SLOT = re.compile(r"\{(\d+)\}")
"""Where a template stands for a value that a hop has read."""
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_DATE = re.compile(r"\b(\d{1,2} [A-Z][a-z]+) (\d{3,4})\b")


@dataclass(frozen=True)
class Hop:
    """One step of a gold plan. `{1}` stands for the value that hop 1 read, `{2}` for that of hop 2, and so on."""

    thought: str
    """Why this search: 'I need the country whose capital is Thimphu.'"""
    query: str
    """What to search: 'currency of {1}'."""
    read: str
    """A regular expression with one group, found in the observation: 'The capital of (.+?) is Thimphu'."""
    found: str
    """What was learnt: 'Thimphu is the capital of {1}.'"""


@dataclass(frozen=True)
class Plan:
    """How a question is answered with the search tool.

    But for the rule `given` it holds neither an intermediate value nor the answer: these can only be found.
    """

    hops: tuple[Hop, ...]
    rule: Literal["last", "largest", "smallest", "larger", "smaller", "same", "given"] = "last"
    """How the answer follows: the last value read; the choice whose value is `largest` or `smallest`; or yes/no,
    whether the first value is `larger` or `smaller` than the second, or the `same`; or it is `given`, to be told only
    once every hop's evidence was found."""
    choices: tuple[str, ...] = ()
    """For the rules `largest` and `smallest`: what each hop's value belongs to."""
    answer: str = ""
    """For the rule `given`."""


def fill(template: str, values: Sequence[str]) -> str:
    """Replace `{1}`, `{2}`, ... by the values read so far. Raises IndexError for a value not read yet."""
    return SLOT.sub(lambda slot: _value(slot, values), template)


def read(hop: Hop, values: Sequence[str], observation: str) -> str | None:
    """Return the value that `hop` looks for, or None where the observation does not hold it."""
    pattern = SLOT.sub(lambda slot: re.escape(_value(slot, values)), hop.read)
    found = re.search(pattern, observation)
    return found[1].strip() if found and found[1] else None


def conclude(plan: Plan, values: Sequence[str]) -> str:
    """Return the answer that follows from one value a hop.

    Raises ValueError where values cannot be compared, or where a `given` answer is not yet backed by every hop.
    """
    if plan.rule == "given":
        if len(values) < len(plan.hops):
            raise ValueError(f"{len(values)} of {len(plan.hops)} sources were found")
        return plan.answer
    if plan.rule == "last":
        return values[-1]
    if plan.rule == "same":
        return "yes" if values[-1] == values[-2] else "no"
    if plan.rule in ("larger", "smaller"):
        first, second = magnitude(values[-2]), magnitude(values[-1])
        return "yes" if (first > second if plan.rule == "larger" else first < second) else "no"
    compared = values[-len(plan.choices):]
    best = (max if plan.rule == "largest" else min)(range(len(compared)), key=lambda i: magnitude(compared[i]))
    return plan.choices[best]


def source_hop(title: str, cited: Sequence[str], number: int) -> Hop:
    """Look for the source `title`, as hop `number` (from 1), and read whichever sentence of `cited` is shown first.

    What was read is told word for word: where a snippet cuts the sentence off, what comes after is not known.
    """
    thought, query = f"I need to read about {title}.", title
    shown = "|".join(_shown(sentence) for sentence in sorted(cited, key=len, reverse=True) if sentence.strip())
    return Hop(thought, query, f"({shown})", f"{{{number}}}")


def _shown(sentence: str) -> str:
    """A pattern for the sentence, whole or cut off after its head, with any white space between its words."""
    words = sentence.split()
    head = 1
    while head < len(words) and len(" ".join(words[:head])) < HEAD:
        head += 1
    begun, rest = (r"\s+".join(map(re.escape, part)) for part in (words[:head], words[head:]))
    return rf"{begun}(?:\s+{rest}|[^\n]*?\.\.\.)?" if rest else begun


def magnitude(value: str) -> float:
    """Read a number ('31,122,387', '8,849 m') or a date ('26 January 1950', as days) for comparison.

    Raises ValueError where there is neither.
    """
    date = _DATE.search(value)
    if date:
        return float(datetime.strptime(f"{date[1]} {date[2]:0>4}", "%d %B %Y").toordinal())
    number = _NUMBER.search(value)
    if number is None:
        raise ValueError(f"no number or date in {value!r}")
    return float(number[0].replace(",", ""))


def _value(slot: re.Match[str], values: Sequence[str]) -> str:
    number = int(slot[1])
    if not 1 <= number <= len(values):
        raise IndexError(f"{slot[0]} stands for a value that is not read yet; there are {len(values)}")
    return values[number - 1]
