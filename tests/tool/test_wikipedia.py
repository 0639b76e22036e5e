"""Wikipedia as ReAct reads it, against a server on the loopback that speaks MediaWiki's action=query."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import ConfigError, ToolError, ToolUnavailable
from fireact.plugins import check
from fireact.requests import Act
from fireact.tool.wikipedia import Wikipedia
from fireact.types import Observation, Step
from tests.loopback import Loopback, Reply, script, serve

PAGES = {
    "Thimphu": "Thimphu is the capital and largest city of Bhutan. It is situated in the west. Its altitude is 2,334 m."
               "\n\n\n== History ==\nBefore 1960, the area was a group of hamlets. It became the capital in 1961.\n\n"
               "=== Names ===\nSee also\nThe name of the capital is older. It is in St. John's list. Five! Six?\n",
    "Mercury": "Mercury may refer to:\nMercury (planet), the nearest to the Sun\nMercury (element), a metal",
}
REDIRECTS = {"timphu": "Thimphu", "mercury": "Mercury"}
TITLES = ["Mercury", "Mercury (planet)", "Mercury (element)", "Mercury's sons", "Mercury, Nevada", "M1", "M2"]


def page(title: str) -> dict[str, Any]:
    """How MediaWiki answers a search for the page that bears a title, or nearly so: without `query` if none does."""
    name = REDIRECTS.get(title.lower(), title)
    if name not in PAGES:
        return {"batchcomplete": True}
    found: dict[str, Any] = {"pageid": 1, "ns": 0, "title": name, "index": 1, "extract": PAGES[name]}
    if "may refer to" in PAGES[name]:
        found["pageprops"] = {"disambiguation": ""}
    moved = [] if name == title else [{"index": 1, "from": title, "to": name}]
    return {"batchcomplete": True, "query": {"redirects": moved, "pages": [found]}}


def wiki(asked: Mapping[str, str]) -> Reply:
    assert (asked["action"], asked["format"], asked["formatversion"]) == ("query", "json", "2")
    if asked.get("generator") == "search":
        assert asked["gsrwhat"] == "nearmatch"
        assert asked["redirects"] == asked["explaintext"] == asked["gsrlimit"] == "1"
        return Reply(page(asked["gsrsearch"]))
    titles = [title for title in TITLES if asked["srsearch"].lower() in title.lower()][: int(asked["srlimit"])]
    return Reply({"batchcomplete": True, "query": {"searchinfo": {"totalhits": len(titles)}, "search": [
        {"ns": 0, "title": title, "pageid": number} for number, title in enumerate(titles)]}})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(wiki, "/w/api.php") as this:
        yield this


def play(tool: Wikipedia, *calls: str) -> list[Observation]:
    """What each call of an episode is told, where each knows those before it."""
    past: list[Step] = [Step("ask", "Thought: ...", form="react")]
    told = []
    for call in calls:
        name, argument = call[:-1].split("[", 1)
        told.append(asyncio.run(tool(Act(name, argument, past=tuple(past)))))
        past.append(Step("act", told[-1].text, tool=name, argument=argument, ids=told[-1].ids, origin=told[-1].origin))
    return told


def test_a_page_opens_with_its_first_sentences(server: Loopback, tmp_path: Path) -> None:
    tool = Wikipedia(home=tmp_path, base_url=server.url)
    first = ("Thimphu is the capital and largest city of Bhutan. It is situated in the west. Its altitude is 2,334 m. "
             "Before 1960, the area was a group of hamlets. It became the capital in 1961.")
    assert play(tool, "search[ Thimphu ]") == [Observation(first, ("Thimphu",))]
    assert play(tool, "search[timphu]") == [Observation(first, ("Thimphu",))]
    assert play(Wikipedia(home=tmp_path, base_url=server.url, sentences=1), "search[Thimphu]")[0].text == (
        "Thimphu is the capital and largest city of Bhutan.")
    assert len(server.asked) == 2


def test_it_says_who_it_is(server: Loopback, tmp_path: Path) -> None:
    play(Wikipedia(home=tmp_path, base_url=server.url), "search[Thimphu]")
    play(Wikipedia(home=tmp_path, base_url=server.url, contact="me@example.org"), "search[timphu]")
    plain, named = (headers["User-Agent"] for headers in server.headers)
    assert plain.startswith("fireact/")
    assert "(me@example.org; " in named
    with pytest.raises(ConfigError, match=r"tool\.contact="):
        check({"_target_": "fireact.tool.wikipedia.Wikipedia", "contact": "a\nb"}, "tool")


def test_what_is_no_page_names_similar_ones(server: Loopback, tmp_path: Path) -> None:
    tool = Wikipedia(home=tmp_path, base_url=server.url, similar=2)
    assert play(tool, "search[Nevada]") == [Observation("Could not find Nevada. Similar: ['Mercury, Nevada'].")]
    assert play(tool, "search[xyzzy]") == [Observation("Could not find xyzzy.")]
    long = play(tool, f"search[{'x' * 900}]")[0].text
    assert long == f"Could not find {'x' * 60}."


def test_a_page_of_several_meanings_names_them(server: Loopback, tmp_path: Path) -> None:
    tool = Wikipedia(home=tmp_path, base_url=server.url)
    assert play(tool, "search[mercury]")[0].text == (
        "Could not find mercury. Similar: ['Mercury (planet)', 'Mercury (element)', \"Mercury's sons\", "
        "'Mercury, Nevada'].")


def test_lookup_goes_through_the_sentences(server: Loopback, tmp_path: Path) -> None:
    texts = [told.text for told in play(
        Wikipedia(home=tmp_path, base_url=server.url), "search[timphu]", "lookup[Capital]", "lookup[capital ]",
        "lookup[capital]", "lookup[capital]", "lookup[capital]", "lookup[st. john]", "lookup[capital]",
        "lookup[history]", "lookup[capital]")]
    assert texts[1:] == [
        "(Result 1 / 3) Thimphu is the capital and largest city of Bhutan.",
        "(Result 2 / 3) It became the capital in 1961.",
        "(Result 3 / 3) The name of the capital is older.",
        "No more results.", "No more results.",
        "(Result 1 / 1) It is in St. John's list.",
        "(Result 1 / 3) Thimphu is the capital and largest city of Bhutan.",
        "No more results.",
        "(Result 1 / 3) Thimphu is the capital and largest city of Bhutan."]


def test_a_failed_search_leaves_the_page_open(server: Loopback, tmp_path: Path) -> None:
    told = play(Wikipedia(home=tmp_path, base_url=server.url), "search[Thimphu]", "lookup[capital]", "search[xyzzy]",
                "lookup[capital]")
    assert told[-1] == Observation("(Result 2 / 3) It became the capital in 1961.", ("Thimphu",))


def test_opening_a_page_begins_anew(server: Loopback, tmp_path: Path) -> None:
    told = play(Wikipedia(home=tmp_path, base_url=server.url), "search[Thimphu]", "lookup[capital]", "search[Thimphu]",
                "lookup[capital]")
    assert told[-1].text.startswith("(Result 1 / 3)")


@pytest.mark.parametrize(("calls", "sentence"), [
    (["lookup[capital]"], r"there is no page to look into yet; open one first, e\.g\. search\[Paris\]"),
    (["search[xyzzy]", "lookup[capital]"], "no page to look into"),
    (["search[ ]"], "the search was empty"),
    (["search[Thimphu]", "lookup[]"], "the lookup was empty"),
])
def test_what_the_model_did_wrong_is_told_to_it(server: Loopback, tmp_path: Path, calls: list[str],
                                                sentence: str) -> None:
    with pytest.raises(ToolError, match=sentence):
        play(Wikipedia(home=tmp_path, base_url=server.url), *calls)


def failure(code: str, info: str) -> Reply:
    return Reply({"error": {"code": code, "info": info, "docref": "See ..."}, "servedby": "mw1"},
                 headers={"MediaWiki-API-Error": code})


@pytest.mark.parametrize(("reply", "kind", "sentence"), [
    (Reply("<!DOCTYPE html>Be right back"), ToolUnavailable, "answered with a page in place of JSON, got '<!DOCTYPE"),
    (Reply("<!DOCTYPE html>Too many", 429, {"Retry-After": "1"}), ToolUnavailable, "Wikipedia failed with status 429"),
    (failure("ratelimited", "You've exceeded your rate limit."), ToolUnavailable, "failed: You've exceeded your rate"),
    (failure("maxlag", "Waiting for a database"), ToolUnavailable, "failed: Waiting for a database; start the same"),
    (failure("internal_api_error_DBQueryError", "[x] Caught"), ToolUnavailable, "failed: "),
    (failure("cirrussearch-query-too-long", "Too long"), ToolError, "Wikipedia refuses this search: Too long"),
    (failure("readapidenied", "You need read permission"), ConfigError,
     r"refuses the request \(readapidenied\): You need read permission; check tool\.base_url"),
    (Reply("Please set a user-agent", 403), ConfigError, "refuses the request: 'Please set a user-agent'"),
    (Reply(status=404), ConfigError, "status 404"),
])
def test_failures_are_typed_and_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reply: Reply,
                                         kind: type[Exception], sentence: str) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(script(reply, Reply(page("Thimphu")))) as server:
        tool = Wikipedia(home=tmp_path, base_url=server.url, retries=0)
        with pytest.raises(kind, match=sentence):
            play(tool, "search[Thimphu]")
        assert play(tool, "search[Thimphu]")[0].ids == ("Thimphu",)
