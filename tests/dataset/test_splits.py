"""What the datasets share: sources of splits, order, ids, and passages found or built."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.dataset.paragraphs import build_corpus, find_ids, find_titles
from fireact.dataset.splits import ordered, row_id, source_of
from fireact.errors import ConfigError, DataError
from fireact.retrieval import Passage
from fireact.types import Question


def located(ids: list[str]) -> list[tuple[str, Question]]:
    return [(f"q:{i}", Question(id, "text", ("a",))) for i, id in enumerate(ids)]


def test_a_split_without_a_source_is_named() -> None:
    sources = {"train": "a.jsonl", "test": None}
    assert source_of(sources, "train") == "a.jsonl"
    with pytest.raises(ConfigError, match=r"no file for the split 'test'; name one, e.g. dataset\.test="):
        source_of(sources, "test")
    with pytest.raises(ConfigError, match=r"no split 'tests' \(did you mean test\?\)"):
        source_of(sources, "tests")


@given(n=st.integers(1, 60), seed=st.integers(0, 300))
def test_the_order_is_that_of_shuffled_indices(n: int, seed: int) -> None:
    ids = [str(i) for i in range(n)]
    order = list(range(n))
    random.Random(seed).shuffle(order)
    assert [question.id for question in ordered("q", located(ids), seed)] == [ids[i] for i in order]
    assert [question.id for question in ordered("q", located(ids), None)] == ids


def test_questions_are_there_and_have_ids_of_their_own() -> None:
    with pytest.raises(DataError, match="q is empty"):
        ordered("q", [], 1)
    with pytest.raises(DataError, match="q:1: the id 'a' was already used at q:0"):
        ordered("q", located(["a", "a"]), 1)


@pytest.mark.parametrize(("row", "id"), [({"id": 7}, "7"), ({"_id": "x"}, "x"), ({"qid": "y", "id": None}, "y"),
                                         ({"id": 0}, "0"), ({}, "test-3"), ({"id": ""}, "test-3")])
def test_a_row_is_called_by_its_id_or_its_place(row: dict, id: str) -> None:
    assert row_id(row, "test", 3) == id


def test_passages_are_found_by_title_and_id(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    lines = [{"id": "1", "title": "X&amp;Y", "text": "One.Two.", "sent_starts": [0, 4], "more": 1},
             {"id": "2", "title": "Z", "text": "He came. She went."}, {"id": "3", "title": "Z", "text": "Else."}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = find_titles(path, ["X&Y", "Z", "Q"])
    assert {title: (one.id, one.sentences) for title, one in found.items()} == {
        "X&Y": ("1", ("One.", "Two.")), "Z": ("2", ("He came.", "She went."))}
    assert found["X&Y"].text == "One. Two."
    assert find_ids(path, ["3", "4"]) == {"3"}


def test_a_corpus_is_built_once_by_whoever_comes_first(tmp_path: Path) -> None:
    source, built = tmp_path / "q.json", []

    def passages() -> list[Passage]:
        built.append(1)
        return [Passage("1", "A", "a"), Passage("1", "A", "again"), Passage("2", "B", "b")]

    source.write_text("[]")
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: build_corpus(tmp_path / "home", [str(source)], passages), range(4)))
    (path,) = paths
    assert path is not None
    assert [json.loads(line)["text"] for line in path.read_text().splitlines()] == ["a", "b"]
    assert len(built) == 1
    source.write_text("[1]")
    assert build_corpus(tmp_path / "home", [str(source)], passages) != path
    assert build_corpus(tmp_path / "home", ["none"], list) is None
    assert not list((tmp_path / "home").glob("*.part"))
