"""A step of a search in a tree: the children of some nodes are proposed by samples, acted on, and valued."""

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fireact.errors import FormatError
from fireact.requests import Act, Ask, Refuse
from fireact.strategy.grammar import STOPS, has_action, lead_on
from fireact.strategy.nodes import Node, proposed
from fireact.types import Message

VALUES = {"sure": 1.0, "maybe": 0.5, "likely": 0.5, "not sure": 0.5, "unsure": 0.5, "unlikely": 0.05,
          "impossible": 0.05}
"""What the words of a valuation are worth. Not 0: of several impossible ways one may have to be gone."""


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

    def expand(self, nodes: Sequence[Node]) -> Generator[Any, Any, list[Node]]:
        """Propose, act and value: the children of some nodes. Where no sample of a node is a step, its one child is
        that refusal, worth nothing."""
        asks = [Ask(node.talk, STOPS, self.prime, shots=self.shots, sample=sample,
                    temperature=self.temperature if sample else None, node=node.named(sample))
                for node in nodes for sample in range(self.k)]
        texts = yield from self._replies(asks)
        made: list[Node] = []
        refused: list[Node] = []
        requests: list[Act | Refuse] = []
        for at, node in enumerate(nodes):
            replies = texts[at * self.k: (at + 1) * self.k]
            try:
                steps = proposed(node, replies)
            except FormatError as refusal:
                refused.append(node.child(0, replies[0], votes=0.0))
                requests.append(Refuse(str(refusal), node=refused[-1].name))
                continue
            made += [child for child, _ in steps]
            requests += [Act(step.name, step.argument, node=child.name) for child, step in steps
                         if child.answer is None]
        seen = (yield list(requests)) if requests else []
        shown = {request.node: text for request, text in zip(requests, seen, strict=True)}
        valued = yield from self._valued([child if child.answer is not None else child.hearing(shown[child.name])
                                          for child in made])
        return [*valued, *(child.hearing(shown[child.name]) for child in refused)]

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

    def _valued(self, children: list[Node]) -> Generator[Any, Any, list[Node]]:
        """The children with what the model thinks of them, as far as there are calls left for that."""
        if not self.judge or self.left < len(children) or not children:
            return children
        self.left -= len(children)
        words = yield [Ask((*self.judge, Message("user", _transcript(child.talk[self.shots:]))), ("\n\n",), "Value:",
                           "value", len(self.judge), node=child.name) for child in children]
        return [replace(child, value=_value(word)) for child, word in zip(children, words, strict=True)]


def _transcript(talk: Sequence[Message]) -> str:
    return "\n".join([f"Question: {talk[0].content}", *(message.content for message in talk[1:])])


def _value(text: str) -> float:
    found = re.search(rf"\b({'|'.join(VALUES)})\b", text.casefold())
    return VALUES[found[0]] if found else VALUES["maybe"]
