"""Self-improvement in rounds: the student plays, what it got right is learnt with the teacher's, and again.

    python main.py experiment=self_improve

Round 0 is an ordinary run: the student learns from the teacher. In every further round the student of the round before
plays training questions (fireact/own.py), and a student is trained on both. Each is judged on the validation split. It
ends where that falls, and the best round's student and the first are judged on the split that results are reported on.

A round is a run directory of its own, so that the report shows them side by side as a sweep; and as every stage is in
the store, the same command goes on where it was ended.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from fireact import report
from fireact.command import command
from fireact.errors import ConfigError, FireActError
from fireact.generate import open_dataset
from fireact.jsonl import write_atomic
from fireact.process import INTERRUPTED, ChildFailed
from fireact.report.study import parts
from fireact.report.terminal import show
from fireact.schema import Config, tasks
from fireact.stages import Stages
from fireact.study.read import read

VALIDATION, TEST, ROUND = "validation", "test", "round"
"""The split that judges rounds, the folder of what is judged at the end, and the axis of the rounds."""

Runner = Callable[[Config, Path], None]
"""Runs a configuration into a folder."""


def improve(config: Config, run_dir: Path, run: Runner) -> None:
    """Run the rounds into `run_dir`. Raises FireActError, ChildFailed, KeyboardInterrupt."""
    need(config)
    rounds, scores, why = [0], list[float](), ""
    run(round_config(config, 0, None), run_dir / "0")
    scores.append(_score(run_dir / "0", config))
    while len(rounds) <= config.improve.rounds and not fallen(scores, config.improve.patience):
        number = len(rounds)
        _note(run_dir, config, [*rounds, number])
        try:
            run(round_config(config, number, adapter(run_dir / str(number - 1))), run_dir / str(number))
        except (ChildFailed, FireActError) as failure:
            if getattr(failure, "code", 0) == INTERRUPTED:
                raise
            # What is trained already is worth the judging.
            why = f"round {number} failed: {str(failure).splitlines()[0]}"
            break
        rounds.append(number)
        scores.append(_score(run_dir / str(number), config))
    _note(run_dir, config, rounds)
    best = scores.index(max(scores))
    print(f"\nimprove: {_told(scores)}; round {best} is the best. {why or _ending(scores, config)}", flush=True)
    show(parts(read(run_dir)))
    print(f"report: {report.write_html(run_dir)}", flush=True)
    _judge(config, run_dir, sorted({0, best}), run)


def need(config: Config) -> None:
    """Refuse what cannot go in rounds, before anything is played. Raises ConfigError."""
    if config.inputs.player or config.inputs.adapter or config.inputs.curated:
        raise ConfigError("stage=improve makes its own inputs.player, and trains what it plays with; leave out "
                          "inputs.player, inputs.adapter and inputs.curated")
    for name, node in tasks(config.dataset).parts.items():
        dataset = open_dataset(node, Stages(config).store.home)
        if dataset.evaluation_split == VALIDATION or not dataset.questions(VALIDATION):
            raise ConfigError(f"stage=improve judges its rounds on the split {VALIDATION!r}, which the dataset {name} "
                              "does not have beside the one that its results are reported on; choose another dataset")
    Stages(round_config(config, 0, None)).need_trainable()


def round_config(config: Config, number: int, player: Path | None) -> Config:
    """The configuration of a round: an ordinary run, judged on the validation split."""
    train = dict(config.train)
    if player is not None and config.improve.start == "last":
        train["start_from"] = str(player)
    reported = {open_dataset(node, Stages(config).store.home).evaluation_split
                for node in tasks(config.dataset).parts.values()}
    judged = config.evaluate.model_copy(update={
        "split": VALIDATION, "n": config.improve.n, "prompted": False, "finetuned": True, "faults": [],
        "unseen": sorted({*config.evaluate.unseen, *reported})})
    return config.model_copy(update={
        "stage": "pipeline", "name": f"{config.name}, round {number}", "train": train, "evaluate": judged,
        "inputs": config.inputs.model_copy(update={"player": player})})


def fallen(scores: Sequence[float], patience: int) -> bool:
    """Whether so many of the last scores in a row were worse than the best before them.

    By the scores alone: a fall that is mere noise ends the rounds too, and costs what further ones might have won; the
    best round is kept in any case.
    """
    best = scores.index(max(scores))
    return len(scores) - 1 - best >= patience and all(score < scores[best] for score in scores[best + 1:])


def adapter(run_dir: Path) -> Path:
    """The student that a round has trained."""
    return (run_dir / "adapter").resolve()


def to_yaml(config: Config) -> str:
    """A configuration as it is kept in a run directory."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _score(run_dir: Path, config: Config) -> float:
    """The mean exact match over the datasets that are learnt from."""
    metrics = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))["evaluate"]
    found = [metrics[name]["finetuned"]["em"] for name in tasks(config.dataset).parts]
    return sum(found) / len(found)


def _judge(config: Config, run_dir: Path, rounds: Sequence[int], run: Runner) -> None:
    """Let the first and the best student play the questions that results are reported on."""
    place = run_dir / TEST
    _note(place, config, rounds)
    for number in rounds:
        given = config.inputs.model_copy(update={"adapter": adapter(run_dir / str(number))})
        run(config.model_copy(update={
            "stage": "evaluate", "name": f"{config.name}, round {number}", "inputs": given,
            "evaluate": config.evaluate.model_copy(update={"prompted": False, "finetuned": True})}),
            place / str(number))
    show(parts(read(place)))
    print(f"report: {report.write_html(place)}", flush=True)
    for name in ("metrics.json", "results.jsonl", "manifest.json"):
        shutil.copyfile(place / str(rounds[-1]) / name, run_dir / name)
    write_atomic(run_dir / "config.yaml", to_yaml(config))


def _note(place: Path, config: Config, rounds: Sequence[int]) -> None:
    """Write which rounds there are, as a sweep writes its cells."""
    place.mkdir(parents=True, exist_ok=True)
    cells: list[dict[str, Any]] = [{"number": number, "choices": {ROUND: str(number)}, "overrides": [], "error": None}
                                   for number in rounds]
    axes = {ROUND: [str(number) for number in rounds]} if len(rounds) > 1 else {}
    write_atomic(place / "sweep.json", json.dumps(
        {"id": "", "name": config.name, "command": command(), "axes": axes, "cells": cells}, indent=1))


def _told(scores: Sequence[float]) -> str:
    return ", ".join(f"round {number} {100 * score:.1f}" for number, score in enumerate(scores)) + " % EM"


def _ending(scores: Sequence[float], config: Config) -> str:
    if len(scores) > config.improve.rounds:
        return "All rounds were played."
    return f"The last {config.improve.patience} did not reach it, so no more are played."
