"""A job against a loopback endpoint, as tests play it: in a process of its own that may be killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fireact.database import Journal
from fireact.generate import PlayJob, open_dataset
from fireact.play.engine import Settings
from fireact.play.played import Played, require
from fireact.sections import Budget, Limits, Sampling, Taping
from tests.helpers import ROOT


def write_questions(path: Path, n: int) -> None:
    """Questions whose answer is their last word."""
    path.write_text("".join(json.dumps({"id": f"q{number}", "question": f"Which word is the last one, word{number}?",
                                        "answer": f"word{number}"}) + "\n" for number in range(n)))


@dataclass
class Play:
    """One job in a store of its own."""

    store: Path
    url: str
    n: int = 40
    concurrency: int = 4
    sampling: Sampling = field(default_factory=Sampling)
    tape: Taping = field(default_factory=Taping)
    budget: Budget = field(default_factory=Budget)
    model: dict[str, Any] = field(default_factory=dict)
    strategy: dict[str, Any] = field(default_factory=dict)
    journal: Journal = "wal"
    run: str = "run"

    def __post_init__(self) -> None:
        """Write the questions."""
        self.store.mkdir(parents=True, exist_ok=True)
        write_questions(self.store / "questions.jsonl", self.n)

    @property
    def job(self) -> PlayJob:
        """What is played."""
        return PlayJob(
            label="test", task="test", method="react", few_shot=False, split="test", seed=0, limits=Limits(), n=self.n,
            sampling=self.sampling, home=self.store / "home", tool={"_target_": "fireact.loopback.echo.Echo"},
            model={"_target_": "fireact.model.api.Api", "model": "scripted", "base_url": self.url, "family": "test",
                   **self.model},
            strategy={"_target_": "fireact.strategy.react.React", **self.strategy},
            dataset={"_target_": "fireact.dataset.table.Table", "test": str(self.store / "questions.jsonl")})

    @property
    def folder(self) -> Path:
        """Where its records are."""
        return self.store / "generate" / "job"

    def command(self) -> list[str]:
        """Write the files that a run writes; return what it starts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = Settings(concurrency=self.concurrency, journal=self.journal, tape=self.tape, budget=self.budget,
                            store=self.store, run=self.run, sweep=None)
        engine = self.store / f"engine-{self.run}.json"
        engine.write_text(settings.model_dump_json())
        (self.folder / "job.json").write_text(self.job.model_dump_json())
        return [sys.executable, "-m", "fireact.generate", str(engine), str(self.folder / "job.json")]

    def start(self) -> "subprocess.Popen[str]":
        """Play in a process of its own, and go on."""
        return subprocess.Popen(self.command(), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env={**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(ROOT)})

    def play(self) -> tuple[int, str]:
        """Play to the end; return the exit code and what was said."""
        process = self.start()
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def records(self) -> Played:
        """What was played, all of it."""
        dataset = open_dataset(self.job.dataset, self.store / "home")
        return require(self.folder, dataset, dataset.questions("test"), self.sampling, "generate")


def kill_once(process: "subprocess.Popen[str]", ready: Callable[[], bool], blow: int = signal.SIGKILL) -> bool:
    """Strike the process once `ready`; False where it ended before that."""
    while not ready():
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    process.send_signal(blow)
    process.communicate(timeout=60)
    return True
