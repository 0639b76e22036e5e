"""Whether a run's configuration leads to the jobs that its numbers are of."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fireact.capsule.contents import PLACE
from fireact.capsule.numbers import Number, unchecked
from fireact.capsule.portable import foreign, placed
from fireact.capsule.runs import PackedRun
from fireact.errors import FireActError
from fireact.generate import PlayJob
from fireact.schema import Config, validate
from fireact.stages import Stages

_PLAYED = ("task", "method", "model", "strategy", "few_shot", "tool", "dataset", "split", "seed", "limits", "n",
           "skip", "sampling")
"""What a job is by, whose adapter and folders are not the configuration's."""


def keys(run: PackedRun, root: Path, store: Path, jobs: Mapping[str, PlayJob]) -> Iterator[Number]:
    """Make the key of every stage anew from config.yaml, and hold the packed jobs against it. Raises DataError.

    `root` is the unpacked capsule, `store` a folder for what is built, `jobs` those of the run that play.
    """
    claims = {label: stage.key for label, stage in run.stages.items()}
    why = foreign(run.config, "config")
    if why:
        yield from unchecked("key", claims, why)
        return
    try:
        config = validate(Config, {**placed(run.config, root), "store": str(store)})
    except FireActError as failure:
        yield from unchecked("key", claims, str(failure))
        return
    stages, moved = Stages(config), PLACE in _prompts(run.config)
    for label, key in claims.items():
        yield _key(stages, label, key, jobs.get(label), moved)


def _key(stages: Stages, label: str, claimed: str, packed: PlayJob | None, moved: bool) -> Number:
    name = f"key/{label}"
    try:
        job = _job(stages, label)
        found = job.key() if job is not None else None
    except FireActError as failure:
        inputs = stages.config.inputs
        given = next((one for one in ("adapter", "curated", "player") if getattr(inputs, one)), None)
        return Number(name, claimed, None, "unchecked", str(failure) if given is None else
                      f"inputs.{given} is a folder of another run, which config.yaml has the fingerprint of")
    other = next((field for field in _PLAYED if packed and getattr(job, field, None) != getattr(packed, field)), None)
    if other is not None and found is not None:
        return Number(name, claimed, found, "differs", f"config.yaml has another {other} than the job in jobs.json")
    if found == claimed:
        return Number(name, claimed, found, "recomputed")
    if label == "parity" and job is None:
        return Number(name, claimed, None, "unchecked", "it is made of the trained student's files")
    if moved:
        return Number(name, claimed, found, "unchecked", "strategy.prompt is a file, and its path is part of the key")
    return Number(name, claimed, found, "differs", "config.yaml leads to another job, or this is another version of "
                                                   "FireAct than the one that made it")


def _job(stages: Stages, label: str) -> Any:
    kind, _, name = label.partition("/")
    if kind == "generate":
        return stages.plays.get(name)
    if kind == "evaluate":
        return {cell.label: cell.job for cell in stages.evaluations}.get(name)
    return {"curate": lambda: stages.curate, "tokenize": lambda: stages.tokenize, "train": lambda: stages.train,
            "parity": lambda: stages.parity, "publish": lambda: stages.merge}.get(kind, lambda: None)()


def _prompts(config: Mapping[str, Any]) -> str:
    """The parts of a configuration that may name a prompt."""
    return yaml.safe_dump([config.get(name) for name in ("strategy", "dataset", "held_out")])
