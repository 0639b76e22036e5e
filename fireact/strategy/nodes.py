"""The nodes of a search tree, and how samples of a model's reply become the children of one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fireact.errors import FormatError
from fireact.strategy.calling import FINISH
from fireact.strategy.grammar import ParsedStep, parse_step
from fireact.strategy.turns import Event, heard, said
from fireact.types import Message


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

    def named(self, sample: int) -> str:
        """The name of the child that a sample makes."""
        return f"{self.name}.{sample}" if self.name else str(sample)

    def child(self, sample: int, text: str, votes: float, answer: str | None = None) -> "Node":
        """The place behind a reply."""
        return Node(self.named(sample), (*self.talk, said(text)), self.depth + 1, votes, votes, answer)

    def hearing(self, text: str) -> "Node":
        """The same with what came of its reply."""
        return replace(self, talk=(*self.talk, *heard([Event(text)], self.talk[-1])))


def proposed(node: Node, texts: Sequence[str]) -> list[tuple[Node, ParsedStep]]:
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
    return [(node.child(sample, texts[sample], votes[same] / len(texts),
                        step.argument if step.name == FINISH.name else None), step)
            for same, (sample, step) in found.items()]


def ranked(nodes: Sequence[Node]) -> list[Node]:
    """The best first; of equals the one with more votes, then the deeper one, then the one that was there before."""
    return sorted(nodes, key=lambda node: (-node.value, -node.votes, -node.depth))
