"""Search finds what a query names; an index is built once, whole or not at all; snippets are short and cut nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import DataError
from fireact.jsonl import encode
from fireact.retrieval import Index, Passage, excerpts, render, sentences, snippet

BHUTAN = Passage("bt", "Bhutan", "Bhutan is a kingdom in the Himalayas. Its capital is Thimphu. The currency "
                                 "of Bhutan is the ngultrum. It covers 38,394 sq. km and rises to 7,570 m.")
NEPAL = Passage("np", "Nepal", "Nepal is a republic. Its capital is Kathmandu. Mount Everest (8.848 km) stands there.")
PELE = Passage("pe", "Pelé", "Pelé was a footballer from Brazil.")
APOLLO = [Passage("a8", "Apollo 8", "A flight to the moon."), Passage("a7", "Apollo 7", "A flight.")]
CORPUS = [BHUTAN, NEPAL, PELE, *APOLLO]


def corpus(folder: Path, passages: list[Passage]) -> Path:
    path = folder / "corpus.jsonl"
    path.write_text("".join(f"{encode(passage)}\n" for passage in passages), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    folder = tmp_path_factory.mktemp("index")
    return Index.open(corpus(folder, CORPUS), folder / "home")


@pytest.mark.parametrize(("query", "title"), [
    ("capital of Bhutan", "Bhutan"),
    ("Nepal's capitals", "Nepal"),
    ("apollo 8", "Apollo 8"),
    ("Pele", "Pelé"),
    ("PELÉ", "Pelé"),
    ("mount everest", "Nepal"),
])
def test_the_best_passage_comes_first(index, query, title):
    found = index.search(query, 3)
    assert found[0][0].title == title
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


def test_only_what_shares_a_term_is_found(index):
    assert [passage.id for passage, _ in index.search("ngultrum", 100)] == ["bt"]
    assert index.search("", 2) == index.search("the of ???", 2) == index.search("xylophone", 2) == []
    assert len(index) == len(CORPUS)


def test_equal_scores_come_in_the_order_of_the_corpus(tmp_path):
    twins = [Passage(str(i), "Twin", "The same.") for i in range(50)]
    index = Index.open(corpus(tmp_path, twins), tmp_path / "home")
    assert [passage.id for passage, _ in index.search("twin", 5)] == ["0", "1", "2", "3", "4"]


def test_one_passage_is_enough(tmp_path):
    index = Index.open(corpus(tmp_path, [PELE]), tmp_path / "home")
    assert [passage for passage, _ in index.search("Brazil", 5)] == [PELE]


def test_an_index_is_built_once_and_found_by_content(tmp_path):
    home = tmp_path / "home"
    Index.open(corpus(tmp_path, CORPUS), home)
    (folder,) = (path for path in home.iterdir() if path.is_dir())
    before = folder.stat().st_mtime_ns
    (tmp_path / "moved").mkdir()
    os.rename(tmp_path / "corpus.jsonl", tmp_path / "moved" / "corpus.jsonl")
    assert Index.open(tmp_path / "moved" / "corpus.jsonl", home).search("Nepal", 1)[0][0] == NEPAL
    assert folder.stat().st_mtime_ns == before
    Index.open(corpus(tmp_path, CORPUS[1:]), home)
    assert len([path for path in home.iterdir() if path.is_dir()]) == 2


def test_an_index_does_not_mind_what_becomes_of_its_corpus(tmp_path):
    path = corpus(tmp_path, CORPUS)
    index = Index.open(path, tmp_path / "home")
    path.write_text("gone")
    assert index.search("Nepal", 1)[0][0] == NEPAL


def test_many_may_open_at_once(tmp_path):
    path, found = corpus(tmp_path, CORPUS), []
    threads = [threading.Thread(target=lambda: found.append(Index.open(path, tmp_path / "home").search("Nepal", 1)))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [hit[0][0] for hit in found] == [NEPAL] * 4


def test_a_kill_while_building_leaves_nothing_half(tmp_path):
    path = corpus(tmp_path, CORPUS)
    program = ("import os, sys; from pathlib import Path; import bm25s; from fireact.retrieval import Index\n"
               "bm25s.BM25.save = lambda *given, **named: os.kill(os.getpid(), 9)\n"
               "Index.open(Path(sys.argv[1]), Path(sys.argv[2]))")
    done = subprocess.run([sys.executable, "-c", program, path, tmp_path / "home"], cwd=Path(__file__).parents[1])
    assert done.returncode == -signal.SIGKILL
    assert Index.open(path, tmp_path / "home").search("Nepal", 1)[0][0] == NEPAL
    assert not list((tmp_path / "home").glob("*.part"))


def test_a_damaged_index_says_how_to_mend_it(tmp_path):
    path, home = corpus(tmp_path, CORPUS), tmp_path / "home"
    Index.open(path, home)
    next(home.glob("*/ends.npy")).unlink()
    with pytest.raises(DataError, match="delete that folder"):
        Index.open(path, home)


def test_no_file_of_an_index_holds_pickles(tmp_path):
    Index.open(corpus(tmp_path, CORPUS), tmp_path)
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert kinds == {".npy", ".json", ".jsonl", ".lock"}


@pytest.mark.parametrize(("text", "what"), [
    ("", "holds no words"),
    ('{"id": "1", "title": "", "text": "of the"}\n', "holds no words"),
    ('{"id": "1", "title": "x"}\n', ":1: text: Field required"),
    (f'{encode(NEPAL)}\n\n{encode(NEPAL)}\n', ":3: the id 'np' was already used at .*:1; give every record"),
    (f'{encode(NEPAL)}\n{{"id": "2", "ti', ":2: the line: Invalid JSON"),
])
def test_a_broken_corpus_is_refused_and_nothing_is_left(tmp_path, text, what):
    path = tmp_path / "corpus.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=what):
        Index.open(path, tmp_path / "home")
    assert [found.suffix for found in (tmp_path / "home").iterdir()] in ([".lock"], [])


def test_a_missing_corpus_is_named(tmp_path):
    with pytest.raises(DataError, match=r"corpus\.jsonl: No such file"):
        Index.open(tmp_path / "corpus.jsonl", tmp_path / "home")


def test_further_keys_are_ignored(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text(json.dumps({"id": "1", "title": "Oslo", "text": "A city.", "url": "x", "n": [1]}))
    assert Index.open(path, tmp_path / "home").search("oslo", 1)[0][0] == Passage("1", "Oslo", "A city.")


@pytest.mark.parametrize(("text", "parts"), [
    ("He was born in St. John's. He died.", 2),
    ("The U.S. Army left Washington, D.C. It returned. J. R. R. Tolkien wrote of it.", 3),
    ("Everest is 8.848 km high. K2 is lower.", 2),
    ("Mr. Smith vs. Dr. Jones ended in a draw!  Why? \"Nobody knows.\" They left.", 4),
    ("Founded by Acme Inc. in 1990. It grew, e.g. Berlin, ca. 1995.", 2),
    ("One line\nAnother line. \n Third", 3),
    ("It cost $5.50. 20 people came.", 2),
    ("", 0),
    (" \n ", 0),
])
def test_sentences_survive_abbreviations(text, parts):
    assert len(sentences(text)) == parts


@given(st.text(alphabet="Aa. !\"\nSt("))
def test_sentences_hold_every_word_of_the_text_in_order(text):
    assert " ".join(sentences(text)).split() == text.split()


@pytest.mark.parametrize(("query", "chars", "expected"), [
    ("currency of Bhutan", 200, "The currency of Bhutan is the ngultrum."),
    ("capital of Bhutan", 200, "Bhutan: Its capital is Thimphu."),
    ("Bhutan", 80, "Bhutan is a kingdom in the Himalayas. Its capital is Thimphu."),
    ("Bhutan", 30, "Bhutan is a kingdom in the..."),
    ("Bhutan", 1, "Bhutan..."),
])
def test_a_snippet_shows_the_sentences_that_answer(query, chars, expected):
    assert snippet(query, [BHUTAN], chars) == expected


def test_a_snippet_may_show_two_passages_and_says_which():
    found = excerpts("capital", [BHUTAN, NEPAL], 200)
    assert render(found) == "Bhutan: Its capital is Thimphu. Nepal: Its capital is Kathmandu."
    assert [excerpt.passage.id for excerpt in found] == ["bt", "np"]
    assert [excerpt.passage.id for excerpt in excerpts("capital of Nepal", [BHUTAN, NEPAL], 200)] == ["np"]


def test_the_name_in_brackets_of_a_title_is_not_repeated():
    viva = Passage("v", "Viva (UK and Ireland)", "Viva was a channel. It was owned by VIVA Media.")
    assert snippet("Viva", [viva], 200) == viva.text


def test_a_passage_without_text_shows_its_title():
    assert snippet("Nepal", [Passage("np", "Nepal", "")], 50) == "Nepal"
    assert snippet("Nepal", [], 50) == snippet("", [], 50) == ""


WORDS = st.text(alphabet="abAB .!?\n,'(é", max_size=60)


@given(query=WORDS, texts=st.lists(st.tuples(WORDS, WORDS), max_size=4), chars=st.integers(1, 120))
def test_a_snippet_is_short_and_made_of_sentences_of_the_passages(query, texts, chars):
    passages = [Passage(str(i), title, text) for i, (title, text) in enumerate(texts)]
    found = excerpts(query, passages, chars)
    for excerpt in found:
        source = excerpt.passage.text if sentences(excerpt.passage.text) else excerpt.passage.title
        for sentence in excerpt.sentences:
            assert sentence in source or sentence.removesuffix("...") in source
    if len(render(found)) > chars:
        ((first_word,),) = (excerpt.sentences for excerpt in found)
        assert len(first_word.split()) == 1
    assert snippet(query, passages, chars) == render(found)


@given(words=st.lists(st.sampled_from(["Thimphu", "is", "the", "capital", "of", "Bhutan", "since", "1961"]), min_size=9,
                      max_size=80), chars=st.integers(20, 300))
def test_a_long_sentence_is_cut_at_a_word(words, chars):
    text = " ".join(words) + "."
    shown = snippet("capital", [Passage("1", "", text)], chars)
    assert shown == text or (shown.endswith("...") and len(shown) <= chars)
    assert shown == text or set(shown.removesuffix("...").split()) <= set(words)
