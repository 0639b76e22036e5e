"""Time and quality of the corpus search, on HotpotQA's passages where FIREACT_DATA holds them.

    FIREACT_DATA=../shared/data python -m bench.search

Without that data, passages are made up: the times then stand for the same size, the quality says nothing.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fireact.jsonl import encode
from fireact.retrieval import Index, Passage, excerpts, render

DATA = Path(os.environ.get("FIREACT_DATA", Path(__file__).parents[1] / "../shared/data")) / "hotpotqa"


def made_up(path: Path, size: int = 30_000) -> list[tuple[str, list[str]]]:
    """Write a corpus of passages of about 90 words; return queries, each with the title it should find."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvwxyz", k=draw.randint(3, 9))) for _ in range(60_000)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    passages = []
    for i in range(size):
        text = " ".join(draw.choices(words, weights, k=90))
        passages.append(Passage(str(i), " ".join(draw.choices(words, k=2)), f"{text.capitalize()}."))
    path.write_text("".join(f"{encode(passage)}\n" for passage in passages), encoding="utf-8")
    return [(passage.title, [passage.title]) for passage in passages[:1000]]


def hotpotqa() -> list[tuple[str, list[str]]]:
    """Return the questions of the dev split and the gold titles, each with the titles it should find."""
    with open(DATA / "dev.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    titles = [(title, [title]) for row in rows for title in row["gold_titles"]]
    return [*((row["question"], row["gold_titles"]) for row in rows), *titles]


def plain_bm25s(corpus: Path, queries: list[str]) -> tuple[float, float]:
    """The baseline: bm25s as its README uses it. Return the seconds to build and the median ms of a query."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    started = time.perf_counter()
    texts = [f"{row['title']} {row['text']}" for row in map(json.loads, corpus.open(encoding="utf-8"))]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    built, times = time.perf_counter() - started, []
    for query in queries:
        start = time.perf_counter()
        index.retrieve(bm25s.tokenize(query, stopwords="en", stemmer=stemmer, show_progress=False), k=5,
                       show_progress=False)
        times.append(1e3 * (time.perf_counter() - start))
    return built, statistics.median(times)


def seconds(work: Callable[[], Index]) -> tuple[Index, float]:
    """Do `work` once and time it."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def measure(index: Index, queries: list[tuple[str, list[str]]]) -> dict[str, Any]:
    """Return latency in ms, the length of snippets in characters, and how many of the titles sought were found."""
    searching, showing, lengths, found = [], [], [], {1: 0.0, 2: 0.0, 5: 0.0}
    for query, gold in queries:
        start = time.perf_counter()
        passages = [passage for passage, _ in index.search(query, 5)]
        searched = time.perf_counter()
        lengths.append(len(render(excerpts(query, passages[:2], 200))))
        searching.append(1e3 * (searched - start))
        showing.append(1e3 * (time.perf_counter() - searched))
        for k in found:
            found[k] += len({passage.title for passage in passages[:k]} & set(gold)) / len(gold) / len(queries)
    return {"queries": len(queries), "search_ms_median": statistics.median(searching),
            "search_ms_95": statistics.quantiles(searching, n=20)[-1], "snippet_ms_median": statistics.median(showing),
            "snippet_characters": statistics.mean(lengths),
            "recall": {str(k): round(share, 3) for k, share in found.items()}}


def run(home: Path) -> dict[str, Any]:
    """Build an index, open it again, and measure queries and the baseline."""
    corpus = DATA / "corpus.jsonl"
    queries = hotpotqa() if corpus.exists() else made_up(corpus := home / "corpus.jsonl")
    index, build = seconds(lambda: Index.open(corpus, home / "indexes"))
    _, again = seconds(lambda: Index.open(corpus, home / "indexes"))
    parts = {"questions": [pair for pair in queries if len(pair[1]) > 1],
             "titles": [pair for pair in queries if len(pair[1]) == 1]}
    measured = {name: measure(index, part) for name, part in parts.items() if part}
    first = next(iter(measured))
    plain_build, plain_query = plain_bm25s(corpus, [query for query, _ in parts[first]][:500])
    return {"passages": len(index), "build_seconds": build, "open_again_seconds": again, **measured,
            "plain_bm25s": {"build_seconds": plain_build, "search_ms_median": plain_query},
            "ratio_of_build": build / plain_build,
            "ratio_of_search": measured[first]["search_ms_median"] / plain_query}


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(run(Path(folder)), indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
