"""The search tool over a corpus of passages: BM25, no network.

    python main.py tool=corpus tool.corpus=my/passages.jsonl
"""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from fireact.errors import ConfigError, ToolError
from fireact.options import RUNTIME, Count
from fireact.requests import Act
from fireact.retrieval import INDEX_VERSION, Excerpt, Index, Passage, excerpts, render
from fireact.toolspec import SEARCH, ToolSpec
from fireact.types import Observation


@dataclass(kw_only=True)
class Corpus:
    """Searches a corpus and shows what fits best."""

    actions: ClassVar[tuple[str, ...]] = ("search",)
    """What the model calls the tool."""
    specs: ClassVar[tuple[ToolSpec, ...]] = (SEARCH,)
    stateless: ClassVar[tuple[str, ...]] = ("search",)
    """The actions that are answered alike in every episode."""
    revision: ClassVar[int] = INDEX_VERSION
    """Raised when the same options would no longer give the same observations."""

    corpus: Path | None
    """A jsonl file of {id, title, text}; None where the dataset brings no corpus, and then no search is possible."""
    home: Annotated[Path, RUNTIME]
    """Where indexes are kept; each is built once and found again by its corpus's content."""
    k: Count = 2
    """How many passages are looked at."""
    show: Literal["snippet", "passages"] = "snippet"
    """Show the sentences that fit best, as a search engine does, or the passages whole."""
    snippet_chars: Count = 200
    """About how long a snippet may be, in characters."""

    _opening: asyncio.Lock = field(init=False, repr=False, compare=False, default_factory=asyncio.Lock)

    @cached_property
    def index(self) -> Index:
        """The corpus's index, built or opened on first use. Raises ConfigError, DataError."""
        if self.corpus is None:
            raise ConfigError("the search tool has nothing to search, for this dataset brings no corpus; "
                              "name one with tool.corpus=path/to/passages.jsonl, or choose another tool")
        return Index.open(self.corpus, self.home)

    async def __call__(self, act: Act) -> Observation:
        """Search once. Raises ToolError for an empty argument, and what `index` raises."""
        query = " ".join(act.argument.split())
        if not query:
            raise ToolError("the search was empty; write what to look up, e.g. search[Paris]")
        if "index" not in vars(self):
            # To build one may take minutes, which what is under way elsewhere must not wait for.
            async with self._opening:
                await asyncio.to_thread(getattr, self, "index")
        passages = [passage for passage, _ in self.index.search(query, self.k)]
        if not passages:
            return Observation(f"Nothing was found for {query[:60]!r}; try other words.")
        if self.show == "passages":
            return Observation("\n".join(map(_whole, passages)), tuple(passage.id for passage in passages))
        found = excerpts(query, passages, self.snippet_chars)
        return Observation(render(found), tuple(excerpt.passage.id for excerpt in found))


def _whole(passage: Passage) -> str:
    return str(Excerpt(passage, (" ".join(passage.text.split()),)))
