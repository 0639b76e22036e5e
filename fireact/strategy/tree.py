"""Tree of Thoughts over actions: propose several next steps, value them, go on from the best
(Yao et al., 2023, arXiv 2305.10601; with actions as in LATS, Zhou et al., 2024, arXiv 2310.04406).

Every node is a step of ReAct, `k` samples of what the model does next, of which equal ones are one. Its value is the
model's own word on it (sure, maybe, impossible), or the share of the samples that proposed it. `breadth` keeps the
`beam` best of each depth; `best` goes on from the best node of the whole tree. The search ends with an answer that
nothing open outdoes, or when the `calls` are used up. What was done on the way to that answer is what a student learns.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from fireact.errors import ConfigError
from fireact.options import Count, Positive
from fireact.requests import Choose, Play
from fireact.strategy.nodes import Node, ranked
from fireact.strategy.prompts import preamble, value_preamble
from fireact.strategy.tree_search import Search
from fireact.toolspec import ToolSpec
from fireact.types import Message


@dataclass(kw_only=True)
class Tree:
    """A search over ReAct's steps."""

    prompt: str | None = None
    """The few-shot text: a name in strategy/prompts/react/, or the path of a file of your own; None: the dataset's."""
    k: Count = 3
    """Samples of the next step at each node."""
    beam: Count = 2
    """Nodes of each depth from which a search in breadth goes on."""
    search: Literal["breadth", "best"] = "best"
    value: Literal["auto", "model", "votes"] = "auto"
    """model: it is asked for its word on each step. votes: a step is worth the share of samples that proposed it.
    auto: model with few-shot examples, votes without, for a student learns steps and no valuations."""
    temperature: Positive = 0.7
    """Of all samples of a step but the first, which has the model's own."""
    depth: Count = 8
    """Steps to an answer."""
    calls: Count = 40
    """Replies of the model, valuations among them."""

    def __post_init__(self) -> None:
        """Refuse a budget for not even one step. Raises ConfigError."""
        if self.calls < self.k:
            raise ConfigError(f"strategy.calls={self.calls} is too few for one step of strategy.k={self.k} samples; "
                              "raise calls, or lower k")

    @staticmethod
    def counted(values: dict[str, Any]) -> dict[str, Any]:
        """See `store.identity`: the text that valuations begin with counts too, for no first request shows it."""
        return {**values, "judge": blake2b(repr(value_preamble()).encode(), digest_size=8).hexdigest()}

    def play(self, question: str, *, few_shot: bool, tools: tuple[ToolSpec, ...] = ()) -> Play:
        """See `protocols.Strategy`."""
        talk = preamble("react", self.prompt, tools) if few_shot else []
        judge = value_preamble() if self.value == "model" or (self.value == "auto" and few_shot) else []
        search = Search(self.k, self.temperature, self.calls, len(talk), "Thought:" if few_shot else "", judge)
        open_nodes, ended = [Node("", (*talk, Message("user", question)))], []
        while open_nodes and search.left >= self.k:
            if self.search == "best":
                chosen, rest = open_nodes[:1], open_nodes[1:]
            else:
                chosen, rest = open_nodes[: min(self.beam, search.left // self.k)], []
            children = yield from search.expand(chosen)
            ended = ranked([*ended, *(child for child in children if child.answer is not None)])
            open_nodes = ranked([*rest, *(child for child in children
                                           if child.answer is None and child.depth < self.depth)])
            if ended and (not open_nodes or ended[0].value >= open_nodes[0].value):
                break
        if not ended:
            return None
        yield Choose(ended[0].name)
        return ended[0].answer
