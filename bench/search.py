"""Time and quality of the corpus search, on HotpotQA's passages where FIREACT_DATA holds them.

    FIREACT_DATA=../shared/data python bench/search.py

Without that data, passages are made up: the times then stand for the same size, the quality says nothing.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fireact.retrieval import Index, Passage, excerpts, render
from fireact.types import encode

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


def timed(name: str, work: Callable[[], Index]) -> Index:
    """Do `work` once and print the seconds it took."""
    start = time.perf_counter()
    result = work()
    print(f"{name}: {time.perf_counter() - start:.2f} s")
    return result


def measure(index: Index, queries: list[tuple[str, list[str]]]) -> None:
    """Print latency in ms, the length of snippets in characters, and how many of the titles sought were found."""
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
    for name, times in (("search", searching), ("snippet", showing)):
        slow = statistics.quantiles(times, n=20)[-1]
        print(f"{name}: median {statistics.median(times):.2f} ms, 95% within {slow:.2f} ms")
    print(f"snippet of 2 passages: {statistics.mean(lengths):.0f} characters on average, {max(lengths)} at most")
    print("recall of gold titles: " + ", ".join(f"@{k} {share:.3f}" for k, share in found.items()))


def main() -> None:
    """Build an index, open it again, and measure queries."""
    with tempfile.TemporaryDirectory() as folder:
        home, corpus = Path(folder), DATA / "corpus.jsonl"
        if corpus.exists():
            queries = hotpotqa()
        else:
            corpus = home / "corpus.jsonl"
            queries = made_up(corpus)
        index = timed("build", lambda: Index.open(corpus, home / "indexes"))
        timed("open again", lambda: Index.open(corpus, home / "indexes"))
        print(f"{len(index)} passages, {len(queries)} queries")
        questions = [pair for pair in queries if len(pair[1]) > 1]
        titles = [pair for pair in queries if len(pair[1]) == 1]
        for name, part in (("questions", questions), ("titles", titles)):
            if part:
                print(f"-- {name} as queries")
                measure(index, part)


if __name__ == "__main__":
    main()
