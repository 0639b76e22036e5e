"""The nodes of a search tree, and how they are made: proposed by samples, acted on, and valued."""

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fireact.errors import FormatError
from fireact.requests import Act, Ask, Refuse
from fireact.strategy.calling import FINISH
from fireact.strategy.grammar import STOPS, ParsedStep, has_action, lead_on, parse_step
from fireact.strategy.turns import Event, heard, said
from fireact.types import Message

VALUES = {"sure": 1.0, "maybe": 0.5, "likely": 0.5, "not sure": 0.5, "unsure": 0.5, "unlikely": 0.05,
          "impossible": 0.05}
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

    def expand(self, nodes: Sequence[Node]) -> Generator[Any, Any, list[Node]]:
        """Propose, act and value: the children of some nodes. Where no sample of a node is a step, its one child is
        that refusal, worth nothing."""
        asks = [Ask(node.talk, STOPS, self.prime, shots=self.shots, sample=sample,
                    temperature=self.temperature if sample else None, node=_name(node, sample))
                for node in nodes for sample in range(self.k)]
        texts = yield from self._replies(asks)
        made: list[Node] = []
        refused: list[Node] = []
        requests: list[Act | Refuse] = []
        for at, node in enumerate(nodes):
            replies = texts[at * self.k: (at + 1) * self.k]
            try:
                proposed = _proposed(node, replies)
            except FormatError as refusal:
                refused.append(_child(node, 0, replies[0], votes=0.0))
                requests.append(Refuse(str(refusal), node=refused[-1].name))
                continue
            made += [child for child, _ in proposed]
            requests += [Act(step.name, step.argument, node=child.name) for child, step in proposed
                         if step.name != FINISH.name]
        seen = (yield list(requests)) if requests else []
        shown = {request.node: text for request, text in zip(requests, seen, strict=True)}
        valued = yield from self._valued([_with(child, shown) for child in made])
        return [*valued, *(_with(child, shown) for child in refused)]

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


def _proposed(node: Node, texts: Sequence[str]) -> list[tuple[Node, ParsedStep]]:
    """What was proposed, each once, under the name of the first sample that did.

    Raises FormatError, which the model is shown, where no sample is a step.
    """
    found: dict[tuple[str, str], tuple[int, ParsedStep]] = {}
    votes: dict[tuple[str, str], int] = {}
    refusal: FormatError | None = None
    for sample, text in enumerate(texts):
        try:
            step = parse_step(text)
        except FormatError as error:
            refusal = refusal or error
            continue
        same = step.name, " ".join(step.argument.casefold().split())
        found.setdefault(same, (sample, step))
        votes[same] = votes.get(same, 0) + 1
    if refusal and not found:
        raise refusal
    return [(_child(node, sample, texts[sample], votes[same] / len(texts),
                    step.argument if step.name == FINISH.name else None), step)
            for same, (sample, step) in found.items()]


def _child(node: Node, sample: int, text: str, votes: float, answer: str | None = None) -> Node:
    return Node(_name(node, sample), (*node.talk, said(text)), node.depth + 1, votes, votes, answer)


def _name(node: Node, sample: int) -> str:
    return f"{node.name}.{sample}" if node.name else str(sample)


def _with(child: Node, shown: Mapping[str, str]) -> Node:
    """A node with what came of its step; an answer has nothing."""
    if child.name not in shown:
        return child
    return replace(child, talk=(*child.talk, *heard([Event(shown[child.name])], child.talk[-1])))


def ranked(nodes: Sequence[Node]) -> list[Node]:
    """The best first; of equals the one with more votes, then the deeper one, then the one that was there before."""
    return sorted(nodes, key=lambda node: (-node.value, -node.votes, -node.depth))


def _transcript(talk: Sequence[Message]) -> str:
    return "\n".join([f"Question: {talk[0].content}", *(message.content for message in talk[1:])])


def _value(text: str) -> float:
    found = re.search(rf"\b({'|'.join(VALUES)})\b", text.casefold())
    return VALUES[found[0]] if found else VALUES["maybe"]
