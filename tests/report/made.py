"""Run directories as a run leaves them, with made-up episodes, and what a browser would see of a page."""

import base64
import gzip
import json
import random
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fireact import report
from fireact.curate import Funnel
from fireact.evaluate import compare, rows, summarize
from fireact.jsonl import Appender, write_atomic
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
    """The page of a folder, written anew."""
    return report.write_html(run).read_text(encoding="utf-8")


def chunks(page: str) -> dict[str, Any]:
    """The parts of a page that its script opens, by their names."""
    elements = Elements(page)
    names = [given["id"] for tag, given in elements.tags if tag == "script" and given.get("type") == "text/plain"]
    texts = [text for text in elements.scripts if text.startswith("H4sI")]
    return {str(name): json.loads(gzip.decompress(base64.b64decode(text)))
            for name, text in zip(names, texts, strict=True)}


def shown(page: str) -> dict[str, Any]:
    """What the page's script reads at once."""
    return json.loads(Elements(page).scripts[0])
