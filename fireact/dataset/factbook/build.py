"""Building the dataset's files: passages, and the questions whose plan, followed with the real search, is answered."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from fireact.dataset.factbook.facts import load_countries
from fireact.dataset.factbook.passages import passages
from fireact.dataset.factbook.questions import KINDS, World, candidates, create_world
from fireact.dataset.scoring import normalize
from fireact.errors import ConfigError
from fireact.jsonl import encode, write_atomic
from fireact.plan import Plan, conclude, fill, read
from fireact.retrieval import Index, snippet
from fireact.types import Question

BUILD_VERSION = 1
"""To be raised with every change that alters passages or questions."""
PASSAGES, SNIPPET_CHARS = 2, 200
"""How the plans are followed: what the search tool looks at and shows by default."""

Search = Callable[[str], str]


def build(folder: Path, seed: int, mix: Mapping[str, float], sizes: Mapping[str, int]) -> None:
    """Write corpus.jsonl, a jsonl of questions for each split, and built.json with what was kept and dropped.

    Raises ConfigError where the source package is missing or a split is asked for more questions than there are.
    """
    countries = load_countries()
    corpus = folder / "corpus.jsonl"
    write_atomic(corpus, "".join(f"{encode(passage)}\n" for country in countries for passage in passages(country)))
    world = create_world(countries, seed)
    search = _remembering(Index.open(corpus, folder / "index"))
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for split, size in sizes.items():
        counts[split] = {kind: {"kept": 0, "dropped": 0} for kind in KINDS}
        chosen = _choose(world, split, size, mix, search, counts[split])
        write_atomic(folder / f"{split}.jsonl", "".join(f"{encode(question)}\n" for question in chosen))
    write_atomic(folder / "built.json", json.dumps(counts, indent=1))


def follow(plan: Plan, search: Search) -> str | None:
    """Follow a plan with a search that returns an observation; return the answer, or None where a hop finds nothing."""
    values: list[str] = []
    for hop in plan.hops:
        value = read(hop, values, search(fill(hop.query, values)))
        if value is None:
            return None
        values.append(value)
    return conclude(plan, values)


def _remembering(index: Index) -> Search:
    """A search that does not repeat itself: many plans share their hops."""
    seen: dict[str, str] = {}

    def search(query: str) -> str:
        if query not in seen:
            found = [passage for passage, _ in index.search(query, PASSAGES)]
            seen[query] = snippet(query, found, SNIPPET_CHARS)
        return seen[query]

    return search


def _choose(world: World, split: str, size: int, mix: Mapping[str, float], search: Search,
            counts: dict[str, dict[str, int]]) -> list[Question]:
    """Take `size` questions whose kinds are mixed alike in every first part."""
    streams = {kind: _answerable(candidates(world, split, kind), search, counts[kind]) for kind in KINDS
               if mix.get(kind, 0) > 0}
    total = sum(mix[kind] for kind in streams)
    chosen: list[Question] = []
    for place in range(1, size + 1):
        kind = max(streams, key=lambda kind: place * mix[kind] / total - counts[kind]["kept"])
        question = next(streams[kind], None)
        if question is None:
            raise ConfigError(f"dataset.{split} is {size}, but there are only {counts[kind]['kept']} questions of kind "
                              f"{kind} for it; lower dataset.{split} or dataset.mix.{kind}")
        chosen.append(question)
        counts[kind]["kept"] += 1
    return chosen


def _answerable(questions: list[Question], search: Search, counts: dict[str, int]) -> Iterator[Question]:
    for question in questions:
        answer = follow(question.plan, search) if question.plan else None
        if answer is not None and normalize(answer) == normalize(question.answers[0]):
            yield question
        else:
            counts["dropped"] += 1
