"""The search tool: one string in, a short observation and the ids of what it shows out."""

import asyncio
import json
from pathlib import Path

import pytest

from fireact.errors import ConfigError, DataError, ToolError
from fireact.plugins import check
from fireact.requests import Act
from fireact.retrieval import INDEX_VERSION
from fireact.store import identity
from fireact.tool.corpus import Corpus
from fireact.types import Observation

PASSAGES = [
    {"id": "bt", "title": "Bhutan", "text": "Bhutan is a kingdom. Its capital is Thimphu.\nIts king lives there."},
    {"id": "np", "title": "Nepal", "text": "Nepal is a republic. Its capital is Kathmandu."},
    {"id": "fj", "title": "Fiji", "text": "Fiji is an island state."},
]


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(passage) + "\n" for passage in PASSAGES))
    return path


def use(tool: Corpus, argument: str) -> Observation:
    return asyncio.run(tool(Act("search", argument)))


def test_a_search_shows_the_sentences_that_fit_and_names_their_passages(path, tmp_path):
    tool = Corpus(corpus=path, home=tmp_path / "home")
    assert use(tool, "capital of Bhutan") == Observation("Bhutan: Its capital is Thimphu.", ("bt",))
    assert use(tool, " capital ") == Observation("Nepal: Its capital is Kathmandu. Bhutan: Its capital is Thimphu.",
                                                ("np", "bt"))


def test_k_bounds_the_passages_and_chars_the_text(path, tmp_path):
    assert use(Corpus(corpus=path, home=tmp_path, k=1), "capital").ids == ("np",)
    assert use(Corpus(corpus=path, home=tmp_path, snippet_chars=12), "Fiji").text == "Fiji is..."


def test_passages_are_shown_whole_one_a_line(path, tmp_path):
    tool = Corpus(corpus=path, home=tmp_path, show="passages")
    assert use(tool, "capital") == Observation(
        "Nepal is a republic. Its capital is Kathmandu.\n"
        "Bhutan is a kingdom. Its capital is Thimphu. Its king lives there.", ("np", "bt"))


def test_nothing_found_is_an_observation(path, tmp_path):
    tool = Corpus(corpus=path, home=tmp_path)
    assert use(tool, "xylophone") == Observation("Nothing was found for 'xylophone'; try other words.")
    assert len(use(tool, "zyx" * 1000).text) < 120


@pytest.mark.parametrize("argument", ["", " \n "])
def test_an_empty_search_is_a_tool_error(path, tmp_path, argument):
    with pytest.raises(ToolError, match=r"search\[Paris\]"):
        use(Corpus(corpus=path, home=tmp_path), argument)


def test_the_index_is_built_on_the_first_call(path, tmp_path):
    tool = Corpus(corpus=path, home=tmp_path / "home")
    assert not (tmp_path / "home").exists()
    use(tool, "Fiji")
    assert tool.index is tool.index


def test_no_corpus_is_a_config_error_that_names_the_setting(tmp_path):
    with pytest.raises(ConfigError, match=r"brings no corpus.*tool\.corpus="):
        use(Corpus(corpus=None, home=tmp_path), "Fiji")


def test_a_missing_corpus_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        use(Corpus(corpus=tmp_path / "nowhere.jsonl", home=tmp_path), "Fiji")


@pytest.mark.parametrize(("settings", "what"), [
    ({"k": 0}, r"tool\.k=0 does not fit: input should be greater than or equal to 1"),
    ({"snippet_chars": -5}, r"tool\.snippet_chars=-5 does not fit: input should be greater than or equal to 1"),
    ({"show": "all"}, r"tool\.show='all' does not fit: it must be one of snippet, passages"),
])
def test_bad_settings_are_refused(settings, what):
    with pytest.raises(ConfigError, match=what):
        check({"_target_": "fireact.tool.corpus.Corpus", **settings}, "tool")


def test_another_kind_of_index_is_another_tool():
    assert identity({"_target_": "fireact.tool.corpus.Corpus"})["revision"] == INDEX_VERSION
