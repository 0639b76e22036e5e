"""Look words up in the passages that the last search showed, sentence by sentence, as ReAct's agents do.

    python main.py tool=toolbox
    python main.py tool=toolbox '~tool@tool.tools.calculator'

It goes with the search of the same corpus, whose observations name their passages.
"""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, ClassVar

from fireact.errors import ConfigError, ToolError
from fireact.lookups import opened, shown
from fireact.options import RUNTIME
from fireact.recordings import same
from fireact.requests import Act
from fireact.retrieval import INDEX_VERSION, Index, Passage, sentences
from fireact.toolspec import LOOKUP, ToolSpec
from fireact.types import Observation


@dataclass(kw_only=True)
class Lookup:
    """Goes through the sentences that hold some words, one a call. What is open follows from the episode's past."""

    actions: ClassVar[tuple[str, ...]] = ("lookup",)
    specs: ClassVar[tuple[ToolSpec, ...]] = (LOOKUP,)
    revision: ClassVar[int] = INDEX_VERSION
    """Raised when the same options would no longer give the same observations."""

    corpus: Path | None
    """That of the search; None where the dataset brings no corpus."""
    home: Annotated[Path, RUNTIME]
    """Where indexes are kept, see `tool.corpus`."""

    _opening: asyncio.Lock = field(init=False, repr=False, compare=False, default_factory=asyncio.Lock)

    @cached_property
    def index(self) -> Index:
        """The corpus's index, built or opened on first use. Raises ConfigError, DataError."""
        if self.corpus is None:
            raise ConfigError("the lookup tool has nothing to look into, for this dataset brings no corpus; name one "
                              "with corpus=path/to/passages.jsonl, or take the lookup out")
        return Index.open(self.corpus, self.home)

    @cached_property
    def _by_id(self) -> "_ById":
        return _ById(self.index)

    async def __call__(self, act: Act) -> Observation:
        """Look up once. Raises ToolError where nothing was searched or asked for, and what `index` raises."""
        words = " ".join(act.argument.split())
        if not words:
            raise ToolError("the lookup was empty; write e.g. lookup[population]")
        ids, number = opened(act.past, words)
        if not ids:
            raise ToolError("there is nothing to look into yet; search first, e.g. search[Paris]")
        # The first lookup reads the whole corpus, which what is under way elsewhere must not wait for.
        async with self._opening:
            passages = await asyncio.to_thread(self._passages, ids)
        found = [(passage.id, sentence) for passage in passages for sentence in sentences(passage.text)
                 if same(words) in same(sentence)]
        source = (found[number][0],) if number < len(found) else ids
        return Observation(shown([sentence for _, sentence in found], number), source)

    def _passages(self, ids: tuple[str, ...]) -> list[Passage]:
        """What the search showed, each passage once. Raises ConfigError for a search of another corpus."""
        passages = [passage for id in dict.fromkeys(ids) if (passage := self._by_id.get(id))]
        if not passages:
            raise ConfigError(f"the lookup's corpus {self.corpus} has no passage {ids[0]!r}, which the last search "
                              "showed; give both tools the same corpus, or take the lookup out")
        return passages


class _ById:
    """The passages of an index by their ids. It keeps hashes, for the ids of millions would be too large."""

    def __init__(self, index: Index) -> None:
        import numpy as np

        marks = np.array([_mark(index[i].id) for i in range(len(index))], dtype=np.uint64)
        self._index, self._order = index, np.argsort(marks, kind="stable")
        self._marks = marks[self._order]

    def get(self, id: str) -> Passage | None:
        """The passage of that id; None where there is none."""
        import numpy as np

        start, end = (np.searchsorted(self._marks, np.uint64(_mark(id)), side) for side in ("left", "right"))
        return next((found for i in self._order[start:end] if (found := self._index[i]).id == id), None)


def _mark(id: str) -> int:
    return int.from_bytes(blake2b(id.encode("utf-8", "replace"), digest_size=8).digest(), "big")
