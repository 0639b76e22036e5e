"""A hosted fine-tuning in its folder, and the server that it is for."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import FireActError
from fireact.jsonl import encode
from fireact.tracking import parse_metrics
from fireact.train.hosted import run
from fireact.types import Completion, Question, Score, Step, StopReason, Trajectory
from tests.train.endpoint import FineTuner, serving

KEY = "sk-very-secret-0123456789"
JOBS = "POST /fine_tuning/jobs"


def said(text: str) -> Step:
    """A reply of the model."""
    return Step("ask", text, form="react", completion=Completion(text))


def record(number: int, *, refused: bool = False) -> Trajectory:
    """An episode of one search; `refused`: the model's first reply broke the grammar."""
    steps = [said(f"Thought: I look up {number}.\nAction: search[{number}]"),
             Step("act", f"{number} is a number, not a café.", tool="search", argument=str(number)),
             said(f"Thought: I know.\nAction: finish[{number}]")]
    if refused:
        steps = [said("Hello?"), Step("refuse", "Use an action."), *steps]
    question = Question(f"q{number}", f"What is {number}?", (str(number),))
    return Trajectory(question.id, question, "react", tuple(steps), str(number), StopReason.FINISHED, Score(1, 1))


def write(path: Path, records: list[Trajectory]) -> None:
    path.write_text("".join(encode(one) + "\n" for one in records), encoding="utf-8")


@dataclass
class Training:
    """A job in its folder, and the server that it is for."""

    server: FineTuner
    home: Path
    options: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.curated, self.folder = self.home / "curated", self.home / "out"
        for folder in (self.curated, self.folder):
            folder.mkdir()
        write(self.curated / "train.jsonl", [record(number, refused=number == 3) for number in range(12)])
        write(self.curated / "validation.jsonl", [record(number) for number in range(20, 23)])

    def values(self, **options: Any) -> dict[str, Any]:
        train = {"_target_": "fireact.train.hosted.Hosted", "poll": 0.001, **self.options, **options}
        model = {"_target_": "fireact.model.api.Api", "model": "gpt-x", "base_url": self.server.url, "retries": 3,
                 "key_env": "MY_KEY", **self.model}
        return {"curated": str(self.curated), "model": model, "train": train, "seed": 7, "home": str(self.home)}

    def run(self, **options: Any) -> None:
        run(self.values(**options), self.folder)

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def events(self) -> list[str]:
        """The ids of the events in metrics.jsonl."""
        return [line["event"] for line in parse_metrics((self.folder / "metrics.jsonl").read_bytes())]

    def is_whole(self) -> bool:
        """Whether all was sent once, and all came out."""
        server, made, done = self.server, self.read("model/model.json"), self.read("done.json")
        return ((len(server.files), len(server.jobs)) == (2, 1)
                and (made["model"], done["steps"]) == ("ft:gpt-x-0613:me::ftjob-0", 6)
                and self.events() == [event["id"] for event in server.events["ftjob-0"]])


@contextmanager
def hosting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Training]:
    """Start a server, and write what is curated."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MY_KEY", KEY)
    with serving() as server:
        server.key = KEY
        yield Training(server, tmp_path)


def refusal(training: Training, kind: type[FireActError], **options: Any) -> str:
    """The sentence of the failure: one line, without the key."""
    with pytest.raises(kind) as failure:
        training.run(**options)
    assert type(failure.value) is kind
    assert KEY not in str(failure.value)
    assert "\n" not in str(failure.value)
    assert not (training.folder / "done.json").exists()
    return str(failure.value)


def elsewhere(training: Training, **options: Any) -> Training:
    """The same training in another store."""
    (training.home / "other").mkdir()
    return replace(training, home=training.home / "other", options=options)


def interrupt() -> None:
    """Ctrl-C."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)
