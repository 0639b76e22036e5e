"""The report: what a run directory holds is shown, what it lacks is left out, and hostile text stays text."""

import base64
import io
import json
import random
import re
import time
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact import report
from fireact.curate import Funnel
from fireact.errors import ConfigError, DataError
from fireact.evaluate import compare, rows, summarize
from fireact.jsonl import Appender, write_atomic
from fireact.report.episodes import EVALUATED, SHOWN, sample
from fireact.report.terminal import WIDTH
from fireact.report.text import difference
from fireact.tracking import Tracker
from fireact.types import Completion, Question, Score, Step, StopReason, Trajectory

KINDS = ("bridge", "comparison", "yes/no")
HOSTILE = ("</script><script>alert(1)</script><img src=x onerror=alert(2)> javascript:alert(3) \u2028 \ud800 &amp; "
           "{{ 7 * 7 }} <!--")


def ask(text: str) -> Step:
    completion = Completion(text, prompt_tokens=420, completion_tokens=38, seconds=0.7)
    return Step("ask", text, form="react", completion=completion, seconds=0.7)


def episode(number: int, right: bool, words: str = "") -> Trajectory:
    country = f"Country {number}"
    question = Question(f"q{number}", f"What is the capital of {country}?{words}", (f"City {number}",),
                        KINDS[number % 3])
    steps = (ask(f"Thought: I need the capital of {country}.{words}\nAction: search[capital of {country}]"),
             Step("act", f"{country}: capital City {number}.{words}", tool="search", argument=f"capital of {country}",
                  ids=(f"p{number}",)),
             ask(f"Thought: Done.\nAction: finish[{'City' if right else 'Town'} {number}{words}]"))
    answer = f"{'City' if right else 'Town'} {number}{words}"
    return Trajectory(question.id, question, "react", steps, answer, StopReason.FINISHED,
                      Score(float(right), float(right)), None, 1.5, {"model": "small" + words})


def failed(number: int) -> Trajectory:
    whole = episode(number, False)
    steps = (ask("I think it is a town."), Step("refuse", 'no "Action: name[argument]" in the reply'))
    return Trajectory(whole.id, whole.question, "react", steps, None, StopReason.FORMAT, Score(0.0, 0.0),
                      "1 replies in a row could not be used", 0.7, whole.provenance)


def write_episodes(path: Path, records: list[Trajectory]) -> None:
    with Appender(path) as file:
        for record in records:
            file.write(record)


def make_run(folder: Path, n: int = 30, words: str = "") -> Path:
    """A run directory as launch.py leaves it, with `words` in every text that is not the framework's own."""
    folder.mkdir(parents=True, exist_ok=True)
    random.seed(0)
    played = {"prompted": [failed(i) if i % 5 < 2 else episode(i, random.random() < 0.3, words) for i in range(n)],
              "finetuned": [episode(i, random.random() < 0.7, words) for i in range(n)]}
    taught = [episode(1000 + i, random.random() < 0.9, words) for i in range(n)]
    for guise, records in played.items():
        write_episodes(folder / f"episodes-factbook-{guise}.jsonl", [*records, episode(9999, True)])
    write_episodes(folder / "trajectories.jsonl", taught)
    summary: dict[str, Any] = {guise: summarize(records) for guise, records in played.items()}
    summary["difference"] = compare(played["prompted"], played["finetuned"])
    noisy = [episode(i, random.random() < 0.4, words) for i in range(n)]
    summary["faults"] = {"none": {"finetuned": {**summarize(noisy), "drop": compare(played["finetuned"], noisy)}}}
    funnel = Funnel("factbook", "react" + words, n, {"correct": 3, "no_repeat": 1, "duplicate": 2}, n - 6, n - 8, 2)
    train = {"steps": 40, "epochs": 1, "train_loss": 0.0321, "validation_loss": 0.05, "tokens": 52_000,
             "trained_tokens": 20_000, "seconds": 300.0, "tokens_per_second": 173.0, "peak_memory_mb": None,
             "trainable_parameters": 4_884_480}
    metrics = {"generate": {"react": summarize(taught)}, "curate": {funnel.method: vars(funnel)}, "train": train,
               "contamination": {"factbook" + words: {"exact": 2, "near": 1, "questions": ["q1", "q2", "q3"]}},
               "evaluate": {"factbook" + words: summary}}
    lines = [row for guise, records in played.items() for row in rows(guise, "factbook", records)]
    write_atomic(folder / "results.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in lines))
    write_atomic(folder / "metrics.json", json.dumps(metrics))
    write_atomic(folder / "manifest.json", json.dumps({
        "python": "3.11.7", "platform": "Linux", "commit": "abc123+", "packages": {"torch": "2.13.0"},
        "command": "python main.py seed=0" + words,
        "stages": {"train": {"key": "k1", "folder": "store/train/k1", "reused": False, "seconds": 301.2}}}))
    write_atomic(folder / "config.yaml", "name: default\nmodel:\n  _target_: a.b.Local\n  name: " +
                 json.dumps("small" + words.encode("utf-8", "replace").decode()) + "\nseed: 0\n")
    tracker = Tracker(folder)
    for step in range(1, 41):
        tracker.log("train", {"step": step, "loss": 1.5 / step, "lr": 1e-3 / step, "tokens_per_second": 170.0})
    tracker.log("train", {"step": 40, "validation_loss": 0.05, "validation_token_accuracy": 0.98})
    tracker.log("evaluate/prompted", {"played": n, "em": 0.1})
    return folder


class Elements(HTMLParser):
    """The tags and attributes that a browser would see, and the texts of its scripts."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.scripts and not data.isspace():
            self.scripts[-1] += data
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(run: Path) -> str:
    return report.write_html(run).read_text(encoding="utf-8")


def test_a_whole_run_is_shown(tmp_path):
    run = make_run(tmp_path / "run")
    page = Elements(page_of(run))
    metrics = json.loads((run / "metrics.json").read_text())["evaluate"]["factbook"]
    for words in (difference(metrics["difference"]), "Result on factbook", "fine-tuned", "bridge",
                  "dropped by no_repeat", "dropped as duplicate", "0.032",
                  "4,884,480", "python main.py seed=0", "abc123+", "Ended by",
                  f"{100 * metrics['finetuned']['em']:.1f} ± {100 * metrics['finetuned']['em_se']:.1f}"):
        assert words in page.text
    assert "peak memory" not in page.text
    assert ("svg", "img") in [(tag, given.get("role")) for tag, given in page.tags]
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))
    assert all(given.get("scope") in ("col", "row") for tag, given in page.tags if tag == "th")


def test_the_page_needs_no_network_and_allows_only_its_own_script(tmp_path):
    page = page_of(make_run(tmp_path))
    elements = Elements(page)
    data, script = elements.scripts
    policy = next(given["content"] for tag, given in elements.tags if given.get("http-equiv"))
    digest = base64.b64encode(sha256(page.split("<script>")[1].split("</script>")[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in (policy or "")
    assert "default-src 'none'" in (policy or "")
    assert "innerHTML" not in script
    names = {name for _, given in elements.tags for name in given}
    assert not [name for name in names if name in ("src", "href", "action") or name.startswith("on")]
    assert len(json.loads(data)) == SHOWN


def test_hostile_text_stays_text(tmp_path):
    page = page_of(make_run(tmp_path, words=HOSTILE))
    elements = Elements(page)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page
    assert len(elements.scripts) == 2
    assert {tag for tag, _ in elements.tags} <= {tag for tag, _ in Elements(page_of(make_run(tmp_path / "calm"))).tags}
    cards = json.loads(elements.scripts[0])
    assert any("<img src=x onerror=alert(2)>" in text for card in cards for side in card["sides"]
               for _, text in side["steps"])


@settings(max_examples=25)
@given(words=st.text(max_size=60))
def test_any_text_comes_back_from_the_page_as_it_went_in(tmp_path_factory, words):
    run = tmp_path_factory.mktemp("run")
    record = episode(0, True, words)
    write_episodes(run / "trajectories.jsonl", [record])
    (run / "metrics.json").write_text("{}")
    (data, _) = Elements(page_of(run)).scripts
    assert json.loads(data)[0]["question"] == record.question.text.encode("utf-8", "replace").decode()


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
    assert not {"Result on", "<svg"} & set(re.findall("Result on|<svg", page))
    assert {side.guise for card in sample(run) for side in card.sides} == {"teacher"}


def test_a_link_whose_record_is_gone_keeps_the_answer(tmp_path):
    run = make_run(tmp_path)
    for guise in ("prompted", "finetuned"):
        path = run / f"episodes-factbook-{guise}.jsonl"
        path.unlink()
        path.symlink_to(run / "removed" / "trajectories.jsonl")
    first = sample(run)[0]
    assert [side.steps for side in first.sides] == [None, None]
    assert first.sides[1].answer in (f"City {first.id[1:]}", f"Town {first.id[1:]}")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"is not a run directory, it has no metrics\.json; give .*inputs\.run="):
        report.write_html(tmp_path)
    assert not (tmp_path / report.HTML).exists()


@pytest.mark.parametrize(("name", "text", "words"), [
    ("results.jsonl", '{"id": 1}\n', "results.jsonl:1: dataset"),
    ("metrics.json", "{", "metrics.json is not JSON"),
    ("manifest.json", "[]", "manifest.json holds '[]' in place of an object"),
    ("config.yaml", "a: [", "config.yaml is not YAML"),
    ("config.yaml", "only words", "in place of a configuration")])
def test_a_broken_file_is_named(tmp_path, name, text, words):
    run = make_run(tmp_path, n=3)
    (run / name).write_text(text)
    with pytest.raises(DataError, match=re.escape(words)):
        report.write_html(run)


def test_a_default_run_makes_a_small_page_quickly(tmp_path):
    run = make_run(tmp_path, n=100, words=" lorem ipsum" * 400)
    started = time.monotonic()
    size = report.write_html(run).stat().st_size
    assert time.monotonic() - started < 5
    assert size < 2_000_000


def test_the_same_run_makes_the_same_page(tmp_path):
    run = make_run(tmp_path)
    assert page_of(run) == page_of(run)


def test_the_sample_is_balanced_and_holds_only_what_was_evaluated(tmp_path):
    run = make_run(tmp_path, n=90)
    cards = [card for card in sample(run) if card.sides[0].guise != "teacher"]
    outcomes = [tuple(side.right for side in card.sides) for card in cards]
    assert len(cards) == EVALUATED
    assert "q9999" not in {card.id for card in cards}
    found = report.read_results(run)
    whole = [(before["em"] == 1, after["em"] == 1) for before, after in zip(found[:90], found[90:], strict=True)]
    assert all(outcomes.count(one) >= min(whole.count(one), EVALUATED // 4) for one in set(whole))
    assert {card.kind for card in cards} == set(KINDS)
    assert all([side.guise for side in card.sides] == ["prompted", "fine-tuned"] for card in cards)


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
