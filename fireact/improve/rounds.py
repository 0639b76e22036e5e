"""What each round is: an ordinary run, judged on the validation split; and the rule by which the rounds end."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fireact.generate import open_dataset
from fireact.schema import Config, number, tasks

VALIDATION = "validation"
"""The split that judges rounds."""


def round_config(config: Config, number: int, player: Path | None) -> Config:
    """The configuration of a round, in which `player` plays beside the teacher."""
    judged = {"split": VALIDATION, "n": _judged(config), "prompted": False, "finetuned": True, "faults": []}
    return _config(config, number, player, "pipeline", judged)


def final_config(config: Config, number: int, player: Path | None) -> Config:
    """What judges the student of a round on the split that results are reported on: all else is the round's."""
    return _config(config, number, player, "evaluate", {"split": None, "prompted": False, "finetuned": True})


def _config(config: Config, number: int, player: Path | None, stage: str, judged: Mapping[str, Any]) -> Config:
    train = dict(config.train)
    if player is not None and config.improve.start == "last":
        train["start_from"] = str(player)
    unseen = sorted({*config.evaluate.unseen, VALIDATION, *reported(config).values()})
    return config.model_copy(update={
        "stage": stage, "name": f"{config.name}, round {number}", "train": train,
        "improve": type(config.improve)(),
        "evaluate": config.evaluate.model_copy(update={**judged, "unseen": unseen}),
        "inputs": config.inputs.model_copy(update={"player": player})})


def reported(config: Config) -> dict[str, str]:
    """The split that results are reported on, of each dataset that is learnt from. Raises ConfigError."""
    return {name: open_dataset(node, config.store / "home").evaluation_split
            for name, node in tasks(config.dataset).parts.items()}


def _judged(config: Config) -> dict[str, int | None]:
    """How many questions of each dataset judge a round: none of those that are only held out."""
    parts = tasks(config.dataset).parts
    return {**{name: number(config.improve.n, name, parts, "improve.n") for name in parts},
            **dict.fromkeys(config.held_out, 0)}


def adapter(run_dir: Path) -> Path:
    """The student that a round has trained."""
    return (run_dir / "adapter").resolve()


def best_of(scores: Sequence[float]) -> int:
    """The first of the best rounds: of two that are as good, the one that took less."""
    return scores.index(max(scores))


def fallen(scores: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` rounds were all worse than the best one.

    By the scores alone: a fall that is mere noise ends the rounds too. That costs what further ones might have won, and
    never a student, for the best round is kept. A round that is as good as the best is no fall.
    """
    return all(score < max(scores) for score in scores[-patience:])


def ending(scores: Sequence[float], rounds: int, patience: int) -> str:
    """Why no more rounds are played, in a sentence; empty where more are."""
    if fallen(scores, patience):
        return f"The last {'one was' if patience == 1 else f'{patience} were'} worse, so no more are played."
    return "All rounds were played." if len(scores) > rounds else ""


def to_yaml(config: Config) -> str:
    """A configuration as it is kept in a run directory."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
