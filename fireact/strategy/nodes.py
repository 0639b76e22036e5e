"""The nodes of a search tree, and how they are made: proposed by samples, acted on, and valued."""

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fireact.errors import FormatError
from fireact.requests import Act, Ask
from fireact.strategy.calling import FINISH
from fireact.strategy.grammar import STOPS, ParsedStep, has_action, lead_on, parse_step
from fireact.strategy.turns import Event, heard, said
from fireact.types import Message

VALUES = {"sure": 1.0, "maybe": 0.5, "likely": 0.5, "impossible": 0.05}
"""What the words of a valuation are worth. Not 0: of several impossible ways one may have to be gone."""


@dataclass(frozen=True)
class Node:
    """A place in the tree: the conversation up to it, and what it is worth."""

    name: str
    talk: tuple[Message, ...]
    depth: int = 0
    votes: float = 1.0
    """The share of samples that proposed it."""
    value: float = 1.0
    answer: str | None = None


@dataclass
class Search:
    """What a search has left, and how it takes its steps."""

    k: int
    temperature: float
    left: int
    """Replies that may still be asked for."""
    shots: int
    prime: str
    judge: Sequence[Message]
    """The few-shot text of valuations; empty where samples vote."""
    refusal: str = ""
    """Why the last reply that was no step is none."""

    def expand(self, nodes: Sequence[Node]) -> Generator[Any, Any, list[Node]]:
        """Propose, act and value: the children of some nodes."""
        asks = [Ask(node.talk, STOPS, self.prime, shots=self.shots, sample=sample,
                    temperature=self.temperature if sample else None, node=_child(node, sample))
                for node in nodes for sample in range(self.k)]
        texts = yield from self._replies(asks)
        made = [child for at, node in enumerate(nodes)
                for child in self._children(node, texts[at * self.k: (at + 1) * self.k])]
        acting = [(child, step) for child, step in made if step.name != FINISH.name]
        seen = (yield [Act(step.name, step.argument, node=child.name) for child, step in acting]) if acting else []
        shown = {child.name: heard([Event(text)], child.talk[-1])
                 for (child, _), text in zip(acting, seen, strict=True)}
        children = [Node(child.name, (*child.talk, *shown.get(child.name, ())), child.depth, child.votes,
                         child.votes, step.argument if step.name == FINISH.name else None) for child, step in made]
        return (yield from self._valued(children))

    def _replies(self, asks: Sequence[Ask]) -> Generator[Any, Any, list[str]]:
        """What is replied; where there is a prime, a reply that stops after its thought is led on to the action."""
        self.left -= len(asks)
        texts = yield list(asks)
        halfway = [at for at, text in enumerate(texts) if self.prime and not has_action(text)]
        if halfway:
            self.left -= len(halfway)
            led = yield [replace(asks[at], prime=lead_on(texts[at])) for at in halfway]
            for at, text in zip(halfway, led, strict=True):
                texts[at] = text
        return texts

    def _children(self, node: Node, texts: Sequence[str]) -> list[tuple[Node, ParsedStep]]:
        """What was proposed, each once, under the name of the first sample that did."""
        found: dict[tuple[str, str], tuple[int, str, ParsedStep]] = {}
        votes: dict[tuple[str, str], int] = {}
        for sample, text in enumerate(texts):
            try:
                step = parse_step(text)
            except FormatError as refusal:
                self.refusal = str(refusal)
                continue
            same = step.name, " ".join(step.argument.casefold().split())
            found.setdefault(same, (sample, text, step))
            votes[same] = votes.get(same, 0) + 1
        return [(Node(_child(node, sample), (*node.talk, said(text)), node.depth + 1, votes[same] / len(texts)), step)
                for same, (sample, text, step) in found.items()]

    def _valued(self, children: list[Node]) -> Generator[Any, Any, list[Node]]:
        """The children with what the model thinks of them, as far as there are calls left for that."""
        if not self.judge or self.left < len(children) or not children:
            return children
        self.left -= len(children)
        words = yield [Ask((*self.judge, Message("user", _transcript(child.talk[self.shots:]))), ("\n\n",), "Value:",
                           "value", len(self.judge), node=child.name) for child in children]
        return [Node(child.name, child.talk, child.depth, child.votes, _value(word), child.answer)
                for child, word in zip(children, words, strict=True)]


def _child(node: Node, sample: int) -> str:
    return f"{node.name}.{sample}" if node.name else str(sample)


def ranked(nodes: Sequence[Node]) -> list[Node]:
    """The best first; of equals the one with more votes, then the deeper one, then the one that was there before."""
    return sorted(nodes, key=lambda node: (-node.value, -node.votes, -node.depth))


def _transcript(talk: Sequence[Message]) -> str:
    return "\n".join([f"Question: {talk[0].content}", *(message.content for message in talk[1:])])


def _value(text: str) -> float:
    found = re.search("|".join(VALUES), text.casefold())
    return VALUES[found[0]] if found else VALUES["maybe"]
