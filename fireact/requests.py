"""What a strategy may ask of the driver: a reply, a call of a tool, and what is only recorded or told."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from fireact.toolspec import ToolSpec
from fireact.types import Episode, Form, Message, Step


@dataclass(frozen=True)
class Ask:
    """A strategy's request for one reply of the model."""

    messages: tuple[Message, ...]
    stop: tuple[str, ...] = ()
    prime: str = ""
    """The words with which the reply is made to begin. The completion's text leaves them out."""
    form: Form = "react"
    shots: int = 0
    """How many of the messages, from the first, are instructions and examples; the question is the one after them."""
    max_tokens: int | None = None
    """The longest reply; None leaves it to the model's setting."""
    episode: Episode | None = None
    """Stamped by the driver; a strategy leaves it empty."""
    tools: tuple[ToolSpec, ...] = field(default=(), repr=False)
    """The functions that the model is offered. A reply that calls some is sent back as a whole `Completion`."""
    sample: int = field(default=0, repr=False)
    """Which sample of the same request it is, counted from 0."""
    temperature: float | None = field(default=None, repr=False)
    """None leaves it to the model's setting."""
    room: int = field(default=0, repr=False)
    """How many tokens such a reply may take; the model's own setting counts where that is larger."""
    node: str = field(default="", repr=False)
    """Where in a search tree it stands: "0.2" is the third child of the first child of the root; see `Choose`."""


@dataclass(frozen=True)
class Act:
    """A strategy's request for one call of a tool."""

    tool: str
    """One of the tool's actions, e.g. search."""
    argument: str
    episode: Episode | None = None
    """Stamped by the driver; a strategy leaves it empty."""
    past: tuple[Step, ...] = ()
    """What the episode did before, stamped by the driver: a tool keeps no memory of its own."""
    place: int = 0
    """Its number among the calls that are made at the same time, stamped by the driver."""
    name: str = ""
    """What its observation is called where several are shown together, e.g. E1."""
    node: str = ""
    """See `Ask`."""


@dataclass(frozen=True)
class Refuse:
    """A reply that broke the grammar: recorded and counted by the driver, and sent back as an observation."""

    text: str
    node: str = ""
    """See `Ask`."""


@dataclass(frozen=True)
class Tell:
    """What the strategy itself tells the model, e.g. which step of a plan is next: recorded, and sent back as it is."""

    text: str
    node: str = ""
    """See `Ask`."""


@dataclass(frozen=True)
class Recall:
    """Look for skills that may help with a question; their programs are sent back, one below the other."""

    question: str


@dataclass(frozen=True)
class Learn:
    """Keep a skill that has helped."""

    skill: str
    """Its program."""


@dataclass(frozen=True)
class Choose:
    """The end of a search: what was done on the way to this node, from the root, is what a student learns."""

    node: str


Request = Ask | Act | Refuse | Tell | Choose | Recall | Learn
"""What a strategy may yield, singly or as a list that is done concurrently."""
Play = Generator[Request | list[Request], Any, str | None]
"""One running strategy: yields requests, is sent what came of each, returns the answer or None.

A reply is a text, or a `Completion` that calls functions; an observation is a text, or a `Refusal`, which is one too.
"""
