"""Recorded searches, played back: what was asked before is answered as it was then, without network or key.

    python main.py tool=replay tool.recordings=my/searches.jsonl
    python main.py tool=replay tool.recordings=outputs/store/generate/0123456789abcdef/trajectories.jsonl
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from pathlib import Path
from typing import Annotated, Any, ClassVar

from fireact.errors import ConfigError, ToolError
from fireact.options import CONTENT, Share
from fireact.recordings import read, same
from fireact.requests import Act
from fireact.toolspec import SEARCH, ToolSpec
from fireact.types import Observation

_WORD = r"(?u)\b\w+\b"


@dataclass(kw_only=True)
class Replay:
    """Answers with the recorded observation of the same query, else of the nearest, else with None."""

    actions: ClassVar[tuple[str, ...]] = ("search",)
    specs: ClassVar[tuple[ToolSpec, ...]] = (SEARCH,)
    stateless: ClassVar[tuple[str, ...]] = ("search",)
    """The actions that are answered alike in every episode."""

    recordings: Annotated[Path | None, CONTENT] = None
    """A jsonl file of {query, observation}, or a trajectories.jsonl."""
    floor: Share = 0.4
    """How much of their words, weighted by rarity, two queries must share to be near: 0 takes any that share one, 1
    none but the same words. Of the 2,659 searches recorded on FireAct's 500 questions, each searched for among the
    others, 98% of the nearest between 0.4 and 0.5 were about the same question, 89% between 0.3 and 0.4, and 53%
    between 0.2 and 0.3."""

    async def __call__(self, act: Act) -> Observation:
        """Search once; the observation's origin is exact, nearest or none. Raises ToolError for an empty argument."""
        asked = same(act.argument)
        if not asked:
            raise ToolError("the search was empty; write what to look up, e.g. search[Paris]")
        if asked in self._exact:
            return Observation(self._exact[asked], origin="exact")
        nearest = self._queries.nearest(asked, self.floor)
        if nearest is None:
            return Observation("None", origin="none")
        return Observation(self._exact[nearest], origin="nearest")

    @cached_property
    def _exact(self) -> dict[str, str]:
        """Each query's observation; of those recorded twice the first."""
        if self.recordings is None:
            raise ConfigError("the replay tool has nothing to play back; name a file with "
                              "tool.recordings=path/to/searches.jsonl")
        return {found.asked: found.observation for found in reversed(read(self.recordings))}

    @cached_property
    def _queries(self) -> "_Queries":
        return _Queries(list(self._exact))


class _Queries:
    """Queries that can be searched for by their words."""

    def __init__(self, queries: Sequence[str]) -> None:
        import bm25s

        self._queries, self._terms = queries, _terms(queries)
        self._count = Counter(term for terms in self._terms for term in set(terms))
        self._bm25 = bm25s.BM25()
        if self._count:
            self._bm25.index(self._terms, show_progress=False)

    def nearest(self, query: str, floor: float) -> str | None:
        """The one that BM25 puts first, if it shares at least `floor` with `query`, and a word."""
        terms = _terms([query])[0]
        if not self._count.keys() & terms:
            return None
        scores = self._bm25.get_scores(terms)
        best = int(scores.argmax())
        return self._queries[best] if self._shared(set(terms), set(self._terms[best])) >= floor else None

    def _shared(self, one: set[str], other: set[str]) -> float:
        return sum(map(self._rarity, one & other)) / sum(map(self._rarity, one | other))

    def _rarity(self, term: str) -> float:
        """BM25's inverse document frequency."""
        count = self._count[term]
        return log(1 + (len(self._terms) - count + 0.5) / (count + 0.5))


def _terms(texts: Sequence[str]) -> Any:
    import bm25s
    from Stemmer import Stemmer

    return bm25s.tokenize(list(texts), token_pattern=_WORD, stopwords="en", return_ids=False, show_progress=False,
                          stemmer=Stemmer("english"))  # pyright: ignore
