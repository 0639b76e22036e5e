"""Run directories as a run leaves them, made of episodes whose outcomes are given."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fireact import evaluate
from fireact.paper import Compared, Comparison
from fireact.schema import Config
from fireact.types import Completion, Question, Score, Step, StopReason, Trajectory

GPT = {"_target_": "fireact.model.api.Api", "model": "gpt-3.5-turbo-0613"}
LLAMA = {"_target_": "fireact.model.local.Local", "name": "Llama-2-7B", "source": "meta-llama/Llama-2-7b-chat-hf"}
GOOGLE = {"_target_": "fireact.tool.serpapi.Serpapi"}
HOSTED = {"_target_": "fireact.train.hosted.Hosted", "epochs": 3}
LORA = {"_target_": "fireact.train.Train", "method": "lora", "rank": 8, "learning_rate": 3e-4, "epochs": 30,
        "loss": "all_output", "max_length": 512}


@dataclass(frozen=True)
class Cell:
    """One evaluation, see `evaluate.Cell`."""

    dataset: str
    guise: str
    fault: str = ""

    @property
    def label(self) -> str:
        """Its name."""
        return "/".join(part for part in (self.dataset, self.guise, self.fault) if part)


REACT, FIREACT = Cell("hotpotqa", "prompted"), Cell("hotpotqa", "finetuned")


def episode(number: int, right: bool, *, rounds: int = 2, text: str = "", f1: float | None = None,
            stop: StopReason = StopReason.FINISHED, method: str = "react") -> Trajectory:
    """An episode of so many replies."""
    question = Question(f"q{number}", text or f"What is {number}?", ("yes",))
    steps = tuple(Step("ask", f"reply {i}", completion=Completion("", seconds=0.5)) for i in range(rounds))
    return Trajectory(question.id, question, method, steps, "yes" if right else "no", stop,
                      Score(float(right), float(right) if f1 is None else f1))


def episodes(right: int, n: int, *, rounds: int = 2) -> list[Trajectory]:
    """n episodes of which the first are right."""
    return [episode(i, i < right, rounds=rounds) for i in range(n)]


def run(folder: Path, config: Config, played: Mapping[Cell, Sequence[Trajectory]],
        curated: Mapping[str, Mapping[str, Any]] | None = None) -> Path:
    """Write what a run of `config` leaves that played these episodes."""
    folder.mkdir(parents=True)
    by_label = {cell.label: records for cell, records in played.items()}
    summaries = {label: evaluate.summarize(records) for label, records in by_label.items()}
    metrics: dict[str, Any] = {"evaluate": evaluate.gather(list(played), by_label, summaries)}
    if curated is not None:
        metrics["curate"] = curated
    rows = [row for cell, records in played.items()
            for row in evaluate.rows(cell.guise, cell.dataset, records, cell.fault)]
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    (folder / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def taught(*methods: str, train: int, task: str = "hotpotqa") -> dict[str, dict[str, Any]]:
    """What a curation says of methods that were trained on in equal parts."""
    return {method: {"task": task, "method": method, "train": train // len(methods), "validation": 5}
            for method in methods}


def mixed(config: Config, *learnt: str) -> Config:
    """The same, with a strategy whose student learns by some of the methods and is asked by ReAct."""
    nodes = {name: {"_target_": f"fireact.strategy.{name}.{name.capitalize()}"}
             for name in ("react", "cot", "direct", "reflexion")}
    counts = {name: int(name in learnt) for name in nodes}
    return config.model_copy(update={"strategy": {"parts": nodes, "counts": counts, "play": "react"}})


def asked(config: Config, method: str) -> Config:
    """The same, asked by a method."""
    return config.model_copy(update={"strategy": {"_target_": f"fireact.strategy.{method}.{method.capitalize()}"}})


def row(comparison: Comparison, label: str, metric: str = "em") -> Compared:
    """One line of a comparison."""
    return next(found for found in comparison.rows if (found.cell.label, found.cell.metric) == (label, metric))
