"""Lookups in what the last search showed, and the toolbox of both with a calculator."""

import asyncio
import json
from pathlib import Path

import pytest

from fireact.errors import ConfigError, ToolError
from fireact.requests import Act
from fireact.tool.corpus import Corpus
from fireact.tool.lookup import Lookup
from fireact.tool.toolbox import Toolbox
from fireact.types import Observation, Step

PASSAGES = [
    {"id": "bt", "title": "Bhutan", "text": "Bhutan is a kingdom. Its capital is Thimphu.\nThe King lives there."},
    {"id": "np", "title": "Nepal", "text": "Nepal is a republic. Its capital is Kathmandu. Nepal had a king."},
    {"id": "fj", "title": "Fiji", "text": "Fiji is an island state."},
]


@pytest.fixture
def box(tmp_path: Path) -> Toolbox:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(passage) + "\n" for passage in PASSAGES))
    return Toolbox(tools={"search": Corpus(corpus=path, home=tmp_path), "lookup": Lookup(corpus=path, home=tmp_path)})


def play(tool: Toolbox, *calls: str) -> list[Observation]:
    """What each call of an episode is told, where each knows those before it."""
    past: list[Step] = [Step("ask", "Thought: ...")]
    told = []
    for call in calls:
        name, argument = call[:-1].split("[", 1)
        told.append(asyncio.run(tool(Act(name, argument, past=tuple(past)))))
        past.append(Step("act", told[-1].text, tool=name, argument=argument, ids=told[-1].ids))
    return told


def test_lookups_go_through_the_sentences_of_the_passages_that_were_shown(box: Toolbox) -> None:
    told = play(box, "search[capital]", "lookup[king]", "lookup[King ]", "lookup[king]", "lookup[king]",
                "lookup[island]", "lookup[king]", "search[Fiji]", "lookup[island]", "lookup[king]")
    assert told[0].ids == ("bt", "np")
    assert told[1:] == [
        Observation("(Result 1 / 3) Bhutan is a kingdom.", ("bt",)),
        Observation("(Result 2 / 3) The King lives there.", ("bt",)),
        Observation("(Result 3 / 3) Nepal had a king.", ("np",)),
        Observation("No more results.", ("bt", "np")),
        Observation("No more results.", ("bt", "np")),
        Observation("(Result 1 / 3) Bhutan is a kingdom.", ("bt",)),
        Observation("Fiji is an island state.", ("fj",)),
        Observation("(Result 1 / 1) Fiji is an island state.", ("fj",)),
        Observation("No more results.", ("fj",))]


def test_a_search_that_finds_nothing_leaves_open_what_was(box: Toolbox) -> None:
    assert play(box, "search[Bhutan]", "search[xylophone]", "lookup[capital]")[-1].ids == ("bt",)


@pytest.mark.parametrize(("calls", "sentence"), [
    (["lookup[capital]"], r"there is nothing to look into yet; search first, e\.g\. search\[Paris\]"),
    (["search[xylophone]", "lookup[capital]"], "nothing to look into yet"),
    (["search[Bhutan]", "lookup[ ]"], r"the lookup was empty; write e\.g\. lookup\[population\]"),
])
def test_what_the_model_did_wrong_is_told_to_it(box: Toolbox, calls: list[str], sentence: str) -> None:
    with pytest.raises(ToolError, match=sentence):
        play(box, *calls)


def test_another_corpus_than_the_searchs_is_refused(box: Toolbox, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"id": "x", "title": "X", "text": "X is a letter."}) + "\n")
    wrong = Toolbox(tools={**box.tools, "lookup": Lookup(corpus=other, home=tmp_path)})
    with pytest.raises(ConfigError, match=r"has no passage 'bt', .*; give both tools the same corpus"):
        play(wrong, "search[Bhutan]", "lookup[king]")
    nothing = Toolbox(tools={**box.tools, "lookup": Lookup(corpus=None, home=tmp_path)})
    with pytest.raises(ConfigError, match="the lookup tool has nothing to look into"):
        play(nothing, "search[Bhutan]", "lookup[king]")
