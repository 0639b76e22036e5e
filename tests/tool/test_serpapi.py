"""Google through SerpAPI, against a server on the loopback that answers in the shapes of SerpAPI's documentation."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.dataset.scoring import score
from fireact.episode import Player
from fireact.errors import ConfigError, ToolError, ToolUnavailable
from fireact.plugins import build, check
from fireact.requests import Act, Ask
from fireact.store import identity
from fireact.strategy.react import React
from fireact.tool.serpapi import Serpapi, faithful, rich
from fireact.types import Completion, Observation, Question, StopReason
from tests.helpers import Gold
from tests.loopback import Loopback, Reply, script, serve

KEY = "0123456789abcdef-secret"

ORGANIC = [
    {"position": 1, "title": "Thimphu - Wikipedia", "link": "https://en.wikipedia.org/wiki/Thimphu",
     "displayed_link": "https://en.wikipedia.org", "snippet": "Thimphu is the capital  of Bhutan.",
     "snippet_highlighted_words": ["capital"], "source": "Wikipedia"},
    {"position": 2, "title": "Photos of Thimphu", "link": "https://example.org/photos"},
    {"position": 3, "title": "Bhutan", "link": "https://example.org/bhutan", "snippet": "A kingdom in the Himalayas."},
    {"position": 4, "title": "Punakha", "link": "https://example.org/punakha", "snippet": "The old capital."},
]
GRAPH = {
    "title": "Barack Obama", "type": "44th U.S. President", "kgmid": "/m/02mjmr", "image": "https://serpapi.com/x.jpeg",
    "knowledge_graph_search_link": "https://www.google.com/search?kgmid=/m/02mjmr", "website": "https://barackobama.com",
    "description": "Barack Hussein Obama II is an American politician.", "source": {"name": "Wikipedia", "link": "..."},
    "born": "August 4, 1961, Honolulu, HI", "born_links": [{"text": "Honolulu", "link": "https://..."}],
    "header_images": [{"image": "..."}], "height": "6 ft 2 in"}
NOTHING = "Google hasn't returned any results for this query."


def found(**blocks: Any) -> dict[str, Any]:
    return {"search_metadata": {"id": "64c3", "status": "Success", "total_time_taken": 0.9},
            "search_parameters": {"engine": "google", "q": "x", "google_domain": "google.com", "hl": "en", "gl": "us"},
            "search_information": {"organic_results_state": "Results for exact spelling"}, **blocks}


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SERPAPI_API_KEY", KEY)
    return KEY


@pytest.fixture
def server(key: str) -> Iterator[Loopback]:
    with serve(script(Reply(found(organic_results=ORGANIC)))) as this:
        yield this


def use(tool: Serpapi, argument: str = "capital of Bhutan") -> Observation:
    return asyncio.run(tool(Act("search", argument)))


def fails(folder: Path, reply: Reply, kind: type[Exception], **options: Any) -> str:
    """The sentence of a failure, which tells no key and is not kept: the next try finds what is there then."""
    with serve(script(reply, Reply(found(organic_results=ORGANIC)))) as server:
        tool = Serpapi(home=folder, base_url=server.url, **{"retries": 0, **options})
        with pytest.raises(kind) as failure:
            use(tool)
        assert type(failure.value) is kind
        assert use(tool).text == "Thimphu is the capital of Bhutan."
    assert KEY not in str(failure.value)
    assert "\n" not in str(failure.value)
    return str(failure.value)


def test_what_is_sent_is_what_fireact_sent(server: Loopback, tmp_path: Path) -> None:
    assert use(Serpapi(home=tmp_path, base_url=server.url), " capital  of Bhutan\n") == Observation(
        "Thimphu is the capital of Bhutan.")
    assert server.asked == [{"api_key": KEY, "engine": "google", "q": "capital of Bhutan",
                             "google_domain": "google.com", "gl": "us", "hl": "en"}]


def test_a_search_is_paid_once_by_all_tools_of_a_store(server: Loopback, tmp_path: Path) -> None:
    assert use(Serpapi(home=tmp_path, base_url=server.url)) == use(Serpapi(home=tmp_path, base_url=server.url))
    assert "Thimphu - Wikipedia: " in use(Serpapi(home=tmp_path, base_url=server.url, fields="rich")).text
    assert len(server.asked) == 1
    use(Serpapi(home=tmp_path, base_url=server.url, cache=tmp_path / "mine" / "web.sqlite"))
    assert len(server.asked) == 2


BOX = {"type": "organic_result", "answer": "Thimphu", "snippet": "It is Thimphu.",
       "snippet_highlighted_words": ["Thimphu city"]}


@pytest.mark.parametrize(("blocks", "text"), [
    ({"answer_box": BOX, "organic_results": ORGANIC}, "Thimphu"),
    ({"answer_box": {**BOX, "answer": 42}}, "42"),
    ({"answer_box": {"snippet": "It is\nThimphu.", "snippet_highlighted_words": ["x"]}}, "It is Thimphu."),
    ({"answer_box": {"snippet_highlighted_words": ["x", "y"]}, "organic_results": ORGANIC}, "x"),
    ({"answer_box": {"snippet_highlighted_words": []}, "organic_results": ORGANIC},
     "Thimphu is the capital of Bhutan."),
    ({"answer_box": {"type": "calculator_result", "result": "3.14"}, "organic_results": ORGANIC},
     "Thimphu is the capital of Bhutan."),
    ({"organic_results": ORGANIC[1:]}, "None"),
    ({"organic_results": []}, "None"),
    ({"answer_box": [], "organic_results": {}}, "None"),
    ({"knowledge_graph": GRAPH}, "None"),
    ({"error": NOTHING, "search_information": {"organic_results_state": "Fully empty"}}, "None"),
    ({}, "None"),
])
def test_faithful_shows_the_first_of_fireacts_fields(key: str, tmp_path: Path, blocks: dict[str, Any],
                                                     text: str) -> None:
    with serve(script(Reply(found(**blocks)))) as server:
        assert use(Serpapi(home=tmp_path, base_url=server.url)) == Observation(text)
        assert use(Serpapi(home=tmp_path, base_url=server.url)) == Observation(text)
        assert len(server.asked) == 1


def test_rich_shows_titles_and_the_k_first_snippets() -> None:
    answer = found(organic_results=ORGANIC)
    assert rich(answer, 2, 800) == ("Thimphu - Wikipedia: Thimphu is the capital of Bhutan.\n"
                                    "Bhutan: A kingdom in the Himalayas.")
    assert len(rich(answer, 9, 800).split("\n")) == 3


@pytest.mark.parametrize(("box", "text"), [
    ({"type": "calculator_result", "result": "23.5 miles per hour"}, "23.5 miles per hour"),
    ({"title": "Capital", **BOX}, "Capital: Thimphu It is Thimphu."),
    ({"title": "How to", "snippet": "Do this:", "list": ["Boil it", "Add tea"]},
     "How to: Do this: Boil it; Add tea"),
    ({"title": "Heights", "contents": {"table": [["Everest", "8,849 m"], ["K2", "8,611 m"]]}},
     "Heights: Everest, 8,849 m; K2, 8,611 m"),
    ({"type": "weather_result", "forecast": [{"day": "Monday"}]}, ""),
])
def test_rich_shows_the_whole_answer_box(box: dict[str, Any], text: str) -> None:
    assert rich(found(answer_box=box), 3, 800) == text


def test_rich_shows_what_the_knowledge_graph_tells() -> None:
    assert rich(found(knowledge_graph=GRAPH, organic_results=ORGANIC[:1]), 3, 800) == (
        "Barack Obama (44th U.S. President): Barack Hussein Obama II is an American politician. "
        "born: August 4, 1961, Honolulu, HI. height: 6 ft 2 in.\n"
        "Thimphu - Wikipedia: Thimphu is the capital of Bhutan.")


def test_rich_says_that_nothing_was_found(key: str, tmp_path: Path) -> None:
    with serve(script(Reply(found(error=NOTHING)))) as server:
        tool = Serpapi(home=tmp_path, base_url=server.url, fields="rich")
        assert use(tool, "xyzzy") == Observation("Nothing was found for 'xyzzy'; try other words.")


TEXTS = st.text("ab .\n", max_size=12)
ANY = st.recursive(st.none() | st.booleans() | st.integers() | TEXTS,
                   lambda part: st.lists(part, max_size=3) | st.dictionaries(
                       st.sampled_from(["title", "snippet", "answer", "list", "table", "contents", "type"]), part,
                       max_size=3), max_leaves=8)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("answer_box", "knowledge_graph", "organic_results"), ANY)),
       st.integers(1, 4), st.integers(1, 60))
def test_no_shape_of_an_answer_is_too_odd(answer: dict[str, Any], k: int, chars: int) -> None:
    assert "\n" not in faithful(answer)
    shown = rich(answer, k, chars)
    assert len(shown) <= chars
    assert "" not in shown.split("\n") or not shown


def test_a_missing_key_is_told_but_what_was_paid_needs_none(server: Loopback, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Serpapi(home=tmp_path, base_url=server.url)
    use(tool)
    monkeypatch.delenv("SERPAPI_API_KEY")
    assert use(tool).text.startswith("Thimphu")
    with pytest.raises(ConfigError, match=r"^SerpAPI needs a key: set the environment variable SERPAPI_API_KEY$"):
        use(tool, "capital of Nepal")


def test_a_refused_key_names_its_variable(key: str, tmp_path: Path) -> None:
    body = {"error": "Invalid API key. Your API key should be here: https://serpapi.com/manage-api-key"}
    assert fails(tmp_path, Reply(body, 401), ConfigError) == (
        "SerpAPI refuses the key in $SERPAPI_API_KEY: Invalid API key. Your API key should be here: "
        "https://serpapi.com/manage-api-key")


@pytest.mark.parametrize("said", ["Your account has run out of searches.", "Your searches for the month are exhausted. "
                                  "You can upgrade plans on SerpApi.com website."])
def test_a_quota_that_is_used_up_is_not_asked_again(key: str, tmp_path: Path, said: str) -> None:
    text = fails(tmp_path, Reply({"error": said}, 429), ToolUnavailable, retries=4)
    assert text == (f"SerpAPI's quota is used up: {said} Raise it or wait for the next month, then start the same "
                    "command again; what was found is kept")


@pytest.mark.parametrize(("reply", "told"), [
    (Reply({"error": "You are exceeding the hourly throughput limit"}, 429), "failed with status 429: You are exc"),
    (Reply({"search_metadata": {"status": "Error"}, "error": "We couldn't get valid results for this search. "
            "Please try again later."}, 503), "failed with status 503: We couldn't get valid results"),
    (Reply(found(error="We couldn't get valid results for this search.")), "failed: We couldn't get valid results"),
    (Reply({"search_metadata": {"status": "Processing"}}), "left the search in the state 'Processing'"),
    (Reply("<!DOCTYPE html>Back soon"), "answered with a page in place of JSON, got '<!DOCTYPE html>Back soon'"),
    (Reply("<html>502 Bad Gateway</html>", 502), "failed with status 502: '<html>502 Bad Gateway</html>'"),
    (Reply(drop=True), "cannot be reached: "),
])
def test_what_may_pass_is_no_answer(key: str, tmp_path: Path, reply: Reply, told: str) -> None:
    text = fails(tmp_path, reply, ToolUnavailable)
    assert text.startswith(f"SerpAPI {told}")
    assert text.endswith("; start the same command again later to go on")


def test_what_only_another_search_can_mend_is_told_to_the_model(key: str, tmp_path: Path) -> None:
    assert "Missing query `q`" in fails(tmp_path, Reply({"error": "Missing query `q` parameter."}, 400), ToolError)
    with pytest.raises(ToolError, match=r"search\[Paris\]"):
        use(Serpapi(home=tmp_path, base_url="http://127.0.0.1:9/"), " \n")
    with pytest.raises(ToolError, match="the search has 3000 characters"):
        use(Serpapi(home=tmp_path, base_url="http://127.0.0.1:9/"), "x" * 3000)


class Searching:
    """A model that searches, and answers with what it saw."""

    name = "searching"

    async def complete(self, ask: Ask) -> Completion:
        seen = ask.messages[-1].content.split("Observation: ")[1:]
        return Completion(f"Thought: so.\nAction: finish[{seen[0].split()[0]}]" if seen else
                          "Thought: look.\nAction: search[capital of Bhutan]")

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("status", "stop"), [(200, StopReason.FINISHED), (429, StopReason.TOOL)])
def test_in_an_episode(key: str, tmp_path: Path, status: int, stop: StopReason) -> None:
    body = found(organic_results=ORGANIC) if status == 200 else {"error": "Your account has run out of searches."}
    question = Question("1", "What is the capital of Bhutan?", ("Thimphu",))
    with serve(script(Reply(body, status))) as server:
        player = Player(method="react", task="test", strategy=React(), few_shot=False, model=Searching(),
                        tool=Serpapi(home=tmp_path, base_url=server.url), dataset=Gold(question))
        record = asyncio.run(player.play(question))
    assert (record.stop, record.stop.played) == (stop, status == 200)
    assert record.score == score("Thimphu" if status == 200 else None, ("Thimphu",))
    assert KEY not in json.dumps(str(record))


def test_where_answers_are_kept_changes_no_result() -> None:
    node = {"_target_": "fireact.tool.serpapi.Serpapi"}
    assert identity({**node, "cache": "x.sqlite", "key_env": "MY", "timeout": 5, "retries": 0}) == identity(node)
    assert identity({**node, "fields": "rich"}) != identity(node)
    with pytest.raises(ConfigError, match=r"tool\.fields='all' does not fit: it must be one of faithful, rich"):
        check({**node, "fields": "all"}, "tool")


@pytest.mark.parametrize("name", [KEY, "0f3-key", "MY KEY", "", "KEY\n", "\u212aEY"])
def test_a_key_in_place_of_its_variables_name_is_refused_untold(name: str) -> None:
    node = {"_target_": "fireact.tool.serpapi.Serpapi", "key_env": name}
    for refused in (lambda: check(node, "tool"), lambda: build(node, "tool", home=Path())):
        with pytest.raises(ConfigError) as failure:
            refused()
        assert str(failure.value) == ("key_env is no name of an environment variable; put the key into a variable and "
                                      "write its name here, e.g. MY_API_KEY, not the key")
