"""The page of a sweep of 500 cells and 500 questions: how long it takes, how large it is, how fast it opens.

    python -m bench.report

The sweep is made up (`bench/sweep.py`), prompted and fine-tuned, with half a million records of about 2 KB. Reading,
computing and the page are measured in a process of their own, so that its memory is theirs. The page is opened in
Debian's Chromium where that and Playwright are installed.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench import write
from bench.store import peak
from bench.sweep import DATASET, GUISES, by_chance, make
from fireact.jsonl import encode
from fireact.types import Completion, Question, Score, Step, StopReason, Trajectory

AXES = {"strategy": ["cot", "react", "reflexion", "react_cot", "direct"],
        "curate.n": ["50", "100", "200", "400", "800"], "train.learning_rate": ["1e-4", "3e-4", "1e-3", "3e-3"],
        "seed": ["0", "1", "2", "3", "4"]}
QUESTIONS = 500
VARIANTS = 12
"""Different episodes of a question; cells take them by turns."""
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync")


def episode(number: int, right: bool, draw: random.Random, words: list[str]) -> str:
    """A line of a file of records."""
    steps = []
    for _ in range(3):
        said = " ".join(draw.choices(words, k=20))
        steps += [Step("ask", f"Thought: {said}\nAction: search[{said[:30]}]", form="react", seconds=1.5,
                       completion=Completion(said, "stop", 1800, 42, 1500, 1.5, 0.004)),
                  Step("act", " ".join(draw.choices(words, k=40)), tool="search", argument=said[:30], ids=("7",))]
    answer = f"city {number}" if right else f"city {draw.randrange(1000)} in the north"
    question = Question(f"q{number}", f"Which city lies at the mouth of river number {number}?", (f"city {number}",))
    return encode(Trajectory(f"q{number}", question, "react", tuple(steps), answer, StopReason.FINISHED,
                             Score(float(right), float(right)), None, 6.0, {"model": "made-up"}, dataset=DATASET))


def fill(folder: Path, questions: int) -> None:
    """Add the episodes that belong to a made sweep's results."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvwxyz", k=draw.randint(3, 9))) for _ in range(5000)]
    lines = [{right: [episode(number, right, draw, words) for _ in range(VARIANTS)] for right in (False, True)}
             for number in range(questions)]
    for one in json.loads((folder / "sweep.json").read_text())["cells"]:
        for guise in GUISES:
            path = folder / str(one["number"]) / f"episodes-{DATASET}-{guise}.jsonl"
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(f"{draw.choice(lines[number][by_chance(one['choices'], guise, number)])}\n"
                                for number in range(questions))


def measured(folder: Path) -> dict[str, float]:
    """Make the page in this process."""
    from fireact.jsonl import write_atomic
    from fireact.report import HTML
    from fireact.report.findings import find
    from fireact.report.html import render
    from fireact.study.read import read

    clock = [time.perf_counter()]
    study = read(folder)
    clock.append(time.perf_counter())
    findings = find(study)
    clock.append(time.perf_counter())
    before = peak()
    text = render(study, findings)
    write_atomic(folder / HTML, text)
    clock.append(time.perf_counter())
    took = [after - start for start, after in pairwise(clock)]
    return {"read_seconds": took[0], "compute_seconds": took[1], "page_seconds": took[2], "read_mb": before,
            "peak_mb": peak(), "page_mb": (folder / HTML).stat().st_size / 1e6}


def opened(page: Path) -> dict[str, float]:
    """Open the page in Chromium; seconds from the start of loading it."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    browser_path = shutil.which("chromium")
    if browser_path is None:
        return {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=list(CHROMIUM))
        tab = browser.new_page()
        tab.goto(page.resolve().as_uri())
        tab.wait_for_selector("#cards > details")
        filled = tab.evaluate("performance.now()")
        times = tab.evaluate("""() => ({
            load: performance.getEntriesByType('navigation')[0].loadEventEnd,
            paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0})""")
        started = time.perf_counter()
        tab.locator("#cards > details summary").first.click()
        tab.wait_for_selector(".steps")
        question = time.perf_counter() - started
        browser.close()
    return {"load_seconds": times["load"] / 1e3, "first_paint_seconds": times["paint"] / 1e3,
            "list_seconds_at_most": filled / 1e3, "question_opened_seconds": question}


def main() -> None:
    """Make the sweep, then its page in a process of its own, then open it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument("--keep", type=Path, help="where the sweep is made and kept")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one)))
        return
    with tempfile.TemporaryDirectory(prefix="fireact-bench-") as name:
        folder = options.keep or Path(name)
        if not (folder / "sweep.json").exists():
            folder.mkdir(exist_ok=True)
            fill(make(folder, AXES, QUESTIONS, by_chance), QUESTIONS)
        done = subprocess.run([sys.executable, "-m", "bench.report", "--one", str(folder)], text=True,
                              stdout=subprocess.PIPE, check=True)
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        found.update(opened(folder / "report.html"))
    write({"cells": 500, "questions": QUESTIONS, **{key: round(value, 3) for key, value in found.items()}}, options.out)


if __name__ == "__main__":
    main()
