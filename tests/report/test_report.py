"""The report: what a run directory holds is shown, what it lacks is left out, and hostile text stays text."""

import base64
import io
import json
import re
import time
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.sweep import by_chance, make
from fireact import report
from fireact.errors import ConfigError
from fireact.evaluate import summarize
from fireact.report.terminal import WIDTH
from fireact.report.text import percent
from tests.report.made import (
    HOSTILE,
    Elements,
    chunks,
    episode,
    make_run,
    page_of,
    shown,
    write_episodes,
)


def test_a_whole_run_is_shown(tmp_path):
    run = make_run(tmp_path / "run")
    page = Elements(page_of(run))
    metrics = json.loads((run / "metrics.json").read_text())["evaluate"]["factbook"]
    for words in ("Fine-tuned is better than prompted: ", "Conditions by EM on factbook", "fine-tuned", "bridge",
                  "dropped by no_repeat", "dropped as duplicate", "0.032", "4,884,480", "python main.py seed=0",
                  "abc123+", "Robustness to faults of the tool", "The teacher's episodes",
                  percent(metrics["finetuned"]["em"], metrics["finetuned"]["em_se"])):
        assert words in page.text
    assert "peak memory" not in page.text
    assert ("svg", "img") in [(tag, given.get("role")) for tag, given in page.tags]
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))
    assert all(given.get("scope") in ("col", "row") for tag, given in page.tags if tag == "th")


def test_the_page_needs_no_network_and_allows_only_its_own_script(tmp_path):
    page = page_of(make_run(tmp_path))
    elements = Elements(page)
    script = elements.scripts[-1]
    policy = next(given["content"] for tag, given in elements.tags if given.get("http-equiv"))
    digest = base64.b64encode(sha256(page.split("<script>")[1].split("</script>")[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in (policy or "")
    assert "default-src 'none'" in (policy or "")
    assert not re.findall("innerHTML|outerHTML|insertAdjacentHTML|document.write|eval", script)
    names = {name for _, given in elements.tags for name in given}
    assert not [name for name in names if name in ("src", "action", "srcdoc") or name.startswith("on")]
    links = [given[name] or "" for _, given in elements.tags for name in ("href", "xlink:href") if name in given]
    assert links
    assert all(link.startswith(("#", "data:text/csv;base64,")) for link in links)


def test_hostile_text_stays_text(tmp_path):
    page = page_of(make_run(tmp_path, words=HOSTILE))
    elements = Elements(page)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page
    assert {tag for tag, _ in elements.tags} <= {tag for tag, _ in Elements(page_of(make_run(tmp_path / "calm"))).tags}
    steps = [step for name, entries in chunks(page).items() if name.startswith("q0-") for entry in entries
             for step in entry[1]]
    assert any("<img src=x onerror=alert(2)>" in text for _, text in steps)


@settings(max_examples=25)
@given(words=st.text(max_size=60))
def test_any_text_comes_back_from_the_page_as_it_went_in(tmp_path_factory, words):
    run = tmp_path_factory.mktemp("run")
    record = episode(0, True, words)
    write_episodes(run / "trajectories.jsonl", [record])
    (run / "metrics.json").write_text("{}")
    page = page_of(run)
    asked = shown(page)["sets"][0]["questions"][0][1]
    assert asked == record.question.text
    steps = chunks(page)["q0-0"][0][1]
    assert ["Observation", record.steps[1].text] in steps


@pytest.mark.parametrize("missing", ["config.yaml", "manifest.json", "results.jsonl", "metrics.jsonl",
                                     "trajectories.jsonl", "episodes-factbook-prompted.jsonl",
                                     "episodes-factbook-finetuned.jsonl"])
def test_a_missing_file_is_left_out(tmp_path, missing):
    run = make_run(tmp_path)
    (run / missing).unlink()
    assert "How it was run" in page_of(run)


def test_a_run_that_only_curated(tmp_path):
    run = make_run(tmp_path)
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({"generate": metrics["generate"], "curate": metrics["curate"]}))
    for name in ("results.jsonl", "metrics.jsonl", "episodes-factbook-prompted.jsonl",
                 "episodes-factbook-finetuned.jsonl"):
        (run / name).unlink()
    page = page_of(run)
    assert "dropped by correct" in page
    assert "Leaderboard" not in page
    assert "<svg" not in page
    (taught,) = shown(page)["sets"]
    assert taught["name"] == "training questions, teacher (react)"
    assert taught["series"] == [["teacher", "teacher", "trajectories.jsonl"]]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no run directory and holds none: there is no metrics\.json"):
        report.write_html(tmp_path)
    assert not (tmp_path / report.HTML).exists()


@pytest.mark.parametrize(("name", "text"), [
    ("results.jsonl", '{"id": 1}\n'), ("metrics.json", "{"), ("manifest.json", "[]"), ("config.yaml", "a: ["),
    ("config.yaml", "only words")])
def test_a_broken_file_is_named_on_the_page(tmp_path, name, text):
    run = make_run(tmp_path, n=3)
    (run / name).write_text(text)
    page = Elements(page_of(run))
    assert "Not in these numbers" in page.text
    assert name in page.text


def test_an_unfinished_cell_is_named_but_not_the_run_that_writes_its_own_page(tmp_path):
    run = make_run(tmp_path / "run", n=3)
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "state": "running"}))
    assert "Not in these numbers" not in page_of(run)
    (run / "manifest.json").write_text(json.dumps({**manifest, "state": "failed", "error": "out of <memory>"}))
    assert "The run: out of <memory>" in Elements(page_of(run)).text
    sweep = make(tmp_path / "sweep", {"strategy": ["react", "cot"]}, 4, by_chance)
    (sweep / "1" / "manifest.json").write_text(json.dumps({"state": "failed", "error": "no money"}))
    text = Elements(page_of(sweep)).text
    assert "Cell 1 (strategy=cot): no money" in text
    assert "2, 1 not finished" in text


def test_a_default_run_makes_a_small_page_quickly(tmp_path):
    run = make_run(tmp_path, n=100, words=" lorem ipsum" * 400)
    started = time.monotonic()
    size = report.write_html(run).stat().st_size
    assert time.monotonic() - started < 5
    assert size < 3_000_000


def test_the_same_run_makes_the_same_page(tmp_path):
    run = make_run(tmp_path)
    assert page_of(run) == page_of(run)


def test_the_terminal_tables(tmp_path, capsys):
    metrics = json.loads((make_run(tmp_path) / "metrics.json").read_text())
    report.print_funnel(metrics["curate"], metrics["contamination"])
    report.print_results(metrics)
    out = capsys.readouterr().out
    assert re.search(r"^dropped by correct +3$", out, re.MULTILINE)
    assert re.search(r"^kept +24$", out, re.MULTILINE)
    assert "3 evaluated questions of factbook are among the training questions (2 word for word, 1 nearly)" in out
    assert re.search(r"^fine-tuned, none +30 +\d+\.\d +\d+\.\d ± \d+\.\d +[-+]\d+\.\d +[-+]\d", out, re.MULTILINE)
    assert re.search(r"^prompted +30 +\d+\.\d ± \d+\.\d +", out, re.MULTILINE)
    assert re.search(r"^fine-tuned +30 ", out, re.MULTILINE)
    assert "Fine-tuned is better than prompted" in out
    assert "US$" not in out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= WIDTH


def test_the_terminal_shows_costs_where_known_and_names_as_they_are(capsys):
    summary = {**summarize([episode(0, True)]), "cost": 0.0123}
    report.print_results({"evaluate": {"[red]set\x1b[2J": {"prompted": summary}}})
    out = capsys.readouterr().out
    assert "0.0123" in out
    assert "[red]set" in out
    assert "\x1b" not in out


def test_nothing_run_prints_nothing(capsys):
    report.print_results({})
    assert capsys.readouterr().out == ""


def test_a_terminal_that_lacks_a_character_gets_a_question_mark(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)
    report.print_results({"generate": {"react": summarize([episode(0, True), episode(1, False)])}})
    out.seek(0)
    assert "50.0 ? 50.0" in out.read()


def test_results_are_read_back(tmp_path):
    run = make_run(tmp_path, n=4)
    found = report.read_results(run)
    assert len(found) == 8
    assert found[0]["guise"] == "prompted"
    assert report.read_results(tmp_path / "elsewhere") == []
