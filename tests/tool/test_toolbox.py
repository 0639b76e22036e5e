"""Several tools as one: their actions, and what the rest of a run sees of nested tools."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from fireact.capsule.portable import Portable, foreign
from fireact.checks import check
from fireact.errors import ConfigError
from fireact.forecast import forecast
from fireact.forecast.sample import Episode, Samples
from fireact.generate import PlayJob, _need_corpus, open_dataset
from fireact.play.played import plan
from fireact.plugins import build, options
from fireact.protocols import Paid, Tool, specs, with_inner
from fireact.requests import Act
from fireact.stages import Stages
from fireact.store import identity
from fireact.strategy.prompts import preamble
from fireact.tape.__main__ import name
from fireact.tool.calculator import Calculator
from fireact.tool.noise import Noise
from fireact.tool.toolbox import Toolbox
from tests.conftest import Main
from tests.helpers import composed


def node(*overrides: str) -> dict[str, Any]:
    return composed("tool=toolbox", *overrides).tool


def opened(given: dict[str, Any], home: Path) -> Any:
    return build(given, "tool", corpus=home / "corpus.jsonl", home=home)


def test_its_actions_are_those_of_all(tmp_path: Path) -> None:
    box = opened(node(), tmp_path)
    assert isinstance(box, Tool)
    assert box.actions == ("search", "lookup", "calculator")
    assert box.stateless == ("search", "calculator")
    assert [str(spec).split()[0] for spec in box.specs] == ["search[query:", "lookup[words:", "calculator[expression:"]
    assert asyncio.run(box(Act("calculator", "6 * 7"))).text == "42"


def test_one_is_set_exchanged_taken_out_or_added(tmp_path: Path) -> None:
    assert opened(node("tool.tools.search.k=3"), tmp_path).tools["search"].k == 3
    assert opened(node("~tool@tool.tools.lookup"), tmp_path).actions == ("search", "calculator")
    other = node("tool@tool.tools.search=serpapi", "~tool@tool.tools.lookup", "tool.tools.search.k=5")
    assert opened(other, tmp_path).tools["search"].k == 5
    more = node("+tool@tool.tools.weather=openapi", "tool.tools.weather.document=w.yaml")
    assert list(more["tools"]) == ["search", "lookup", "calculator", "weather"]
    assert more["tools"]["weather"]["document"] == "w.yaml"


@pytest.mark.parametrize(("overrides", "sentence"), [
    (["+tool.tools.search.q=3"], r"tool\.tools\.search\.q is not an option of Corpus"),
    (["tool.tools.search.k=0"], r"tool\.tools\.search\.k=0 does not fit"),
    (["tool.tools.lookup=null"], r"tool\.tools\.lookup=None is no plug-in; choose an option of conf/, e\.g\. tool"),
    (["tool.tools=3"], r"tool\.tools=3 is no plug-in"),
])
def test_bad_tools_are_refused_by_their_place(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        node(*overrides)


def test_two_tools_with_the_same_action_are_refused(tmp_path: Path) -> None:
    box = opened(node("+tool@tool.tools.wiki=wikipedia"), tmp_path)
    with pytest.raises(ConfigError, match=r"the tools 'search' and 'wiki' of the toolbox both have the action 'sea"):
        assert box.actions
    with pytest.raises(ConfigError, match="the toolbox is empty"):
        Toolbox(tools={})


def test_what_it_is_made_of_is_part_of_the_key_and_names_are_not() -> None:
    whole = identity(node())
    changes = [node("tool.tools.search.k=3"), node("~tool@tool.tools.lookup")]
    assert len({json.dumps(identity(each), sort_keys=True) for each in [node(), *changes]}) == 3
    renamed = node("~tool@tool.tools.search")
    renamed["tools"] = {"find": node()["tools"]["search"], **renamed["tools"]}
    assert identity(renamed) == whole
    assert name(json.dumps({"tool": whole})) == "Toolbox of Corpus, Lookup, Calculator"
    assert {"k", "corpus", "home", "tools"} <= options(node())


def test_its_tools_are_closed_and_counted_one_by_one(tmp_path: Path) -> None:
    noisy = {"_target_": "fireact.tool.noise.Noise",
             "tool": node("tool@tool.tools.search=serpapi", "~tool@tool.tools.lookup")}
    tool = opened(noisy, tmp_path)
    assert [type(part).__name__ for part in with_inner(tool)] == ["Noise", "Toolbox", "Serpapi", "Calculator"]
    assert [isinstance(part, Paid) for part in with_inner(tool)] == [False, False, True, False]
    assert specs(tool) == specs(tool.tool)


def test_a_model_is_told_of_the_actions_that_its_instructions_do_not_name(tmp_path: Path) -> None:
    told = preamble("react", "hotpotqa", opened(node(), tmp_path).specs)[0].content
    assert "\nAction: calculator[expression: string] works out numbers" in told
    assert "\nAction: lookup[words: string] shows the next sentence" in told
    assert "search[query: string]" not in told


def job(store: Path, *overrides: str) -> PlayJob:
    stages = Stages(composed("tool=toolbox", f"store={store}", "generate.n=3", *overrides))
    return next(iter(stages.plays.values()))


def test_a_run_has_a_key_a_forecast_and_faults_around_it(tmp_path: Path, store: Path) -> None:
    stages = Stages(composed("tool=toolbox", f"store={store}", "evaluate.faults=[none]", "generate.n=3",
                             "evaluate.n=3", "evaluate.finetuned=false"))
    check(stages, ["generate", "evaluate"])
    assert [type(build(cell.job.tool, "tool", corpus=None, home=tmp_path)) for cell in stages.evaluations] == [
        Toolbox, Noise]
    keys = {job(store).key(), job(store, "~tool@tool.tools.lookup").key(), job(store, "tool=corpus").key()}
    assert len(keys) == 3
    this = job(store)
    wanted = plan(stages.questions(this, "n"), this.sampling, open_dataset(this.dataset, this.home))
    assert forecast(this, tmp_path / "none", wanted, 1, Samples()).episodes == 3


def test_the_scripted_expert_plays_with_it(store: Path, run_main: Main) -> None:
    """From one process to another: the job's file holds the nested tools."""
    result = run_main("stage=generate", "tool=toolbox", "generate.n=5", "teacher.mistakes=0", "teacher.lost=0")
    assert result.returncode == 0, result.stderr
    records = [json.loads(line) for path in store.glob("generate/*/trajectories.jsonl")
               for line in path.read_text().splitlines()]
    assert len(records) == 5
    assert {record["stop"] for record in records} == {"finished"}
    assert {step["tool"] for record in records for step in record["steps"] if step["kind"] == "act"} == {"search"}


def test_the_lookup_has_the_corpus_of_the_search_beside_it() -> None:
    assert node("tool.tools.search.corpus=mine.jsonl")["tools"]["lookup"]["corpus"] == "mine.jsonl"
    assert node("tool@tool.tools.search=serpapi")["tools"]["lookup"]["corpus"] is None
    noisy = composed("tool=noise", "tool@tool.tool=toolbox", "tool.tool.tools.search.corpus=mine.jsonl").tool
    assert noisy["tool"]["tools"]["lookup"]["corpus"] == "mine.jsonl"


def test_a_toolbox_without_a_corpus_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the search tool has nothing to search, for this dataset brings no corpus"):
        _need_corpus({"_target_": "fireact.tool.noise.Noise", "tool": node()}, None)
    _need_corpus(node("~tool@tool.tools.search", "~tool@tool.tools.lookup"), None)
    _need_corpus(node(), tmp_path)


def test_a_capsule_takes_its_files_along_and_starts_no_server(tmp_path: Path) -> None:
    corpus = tmp_path / "mine.jsonl"
    corpus.write_text('{"id": "1", "title": "T", "text": "Text."}\n')
    portable = Portable()
    told = portable.job({"tool": node(f"tool.tools.search.corpus={corpus}", "+tool@tool.tools.mail=serpapi")})["tool"]
    assert told["tools"]["search"]["corpus"].startswith("files/") or "files/" in told["tools"]["search"]["corpus"]
    assert "key_env" not in told["tools"]["mail"]
    assert str(tmp_path) not in json.dumps(told)
    assert foreign({"tool": told}, "job") == ""
    served = node("+tool@tool.tools.mail=mcp", "tool.tools.mail.command=[rm, -rf]")
    assert foreign({"tool": served}, "job") == (
        "job.tool.tools.mail needs an MCP server, which a capsule neither has nor starts")


def test_a_calculator_alone_is_a_tool() -> None:
    assert isinstance(Calculator(), Tool)


def test_a_forecast_counts_the_calls_of_the_tool_that_is_paid_for() -> None:
    episode = Episode(5, 4, 0, 0, None, actions={"search": 1, "calculator": 3})
    assert [episode.calls_of(actions) for actions in (("search",), ("calculator", "lookup"), ())] == [1, 3, 0]
    assert Episode(5, 4, 0, 0, None).calls_of(("search",)) == 4
