"""Make a training job ready and do it: the tokens of the stage before, the student's weights, then the worker.

    python -m fireact.train.prepare FOLDER/job.json

This process holds the folder's lock while the worker trains, in this very process or, for several, in those that
`accelerate launch` starts.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fireact.curate import TRAIN, VALIDATION
from fireact.errors import DataError
from fireact.jsonl import open_file, write_atomic
from fireact.plugins import Node, build
from fireact.process import ChildFailed, stage_main
from fireact.train import Train

if TYPE_CHECKING:
    from fireact.model.local import Local

WORKER_JOB = "worker.json"


def run(values: dict[str, Any], folder: Path) -> None:
    """Prepare and train. Raises DataError, ConfigError, ChildFailed."""
    train: Train = build(values["train"], "train")
    path = folder / WORKER_JOB
    if train.accelerate_config:
        refuse(train.accelerate_config)
    _prepare(values, train, folder)
    if train.processes == 1 and train.accelerate_config is None:
        from fireact.train import worker

        worker.run(worker.read_job(path))
        return
    from fireact.train.faults import HALVED

    if train.accelerate_config and (line := invitation(train.accelerate_config, path)):
        print(line, flush=True)
    while True:
        before = (folder / HALVED).read_bytes() if (folder / HALVED).exists() else b""
        code = subprocess.call(launcher(train, path))
        if not code:
            return
        if not (folder / HALVED).exists() or (folder / HALVED).read_bytes() == before:
            raise ChildFailed(code)


def launcher(train: Train, job: Path) -> list[str]:
    """The command that trains in several processes; without a GPU they meet over gloo in spite of the option's name."""
    how = (["--config_file", str(train.accelerate_config)] if train.accelerate_config else
           ["--multi_gpu", "--num_processes", str(train.processes), "--num_machines", "1", "--mixed_precision", "no",
            "--dynamo_backend", "no", "--main_process_port", "0"])
    return [sys.executable, "-m", "accelerate.commands.launch", *how, "-m", "fireact.train.worker", str(job)]


def refuse(config: Path) -> None:
    """Refuse what the worker would not do with accelerate's file `config`. Raises DataError, ConfigError."""
    layout = _read(config)
    if layout.get("distributed_type") == "DEEPSPEED":
        from fireact.train import zero

        options = layout.get("deepspeed_config") or {}
        zero.check(options.get("zero_stage", 2), options.get("offload_optimizer_device"))


def invitation(config: Path, job: Path) -> str | None:
    """What to start on the other machines, where accelerate's file `config` has several. Raises DataError."""
    machines = _read(config).get("num_machines", 1)
    return None if machines < 2 else (
        f"on each of the other {machines - 1} machines: accelerate launch --config_file {config} --machine_rank N "
        f"-m fireact.train.worker {job}")


def _read(config: Path) -> dict[str, Any]:
    with open_file(config) as file:
        return yaml.safe_load(file) or {}


def _prepare(values: dict[str, Any], train: Train, folder: Path) -> None:
    from fireact.model.local import weights

    model: Node = values["model"]
    student: Local = build(model, "model", home=Path(values["home"]) / "weights")
    base, tokens = student.folder(), Path(values["tokens"])
    if train.start_from:
        weights.check_base(train.start_from, base)
    if not (tokens / TRAIN).exists():
        raise DataError(f"{tokens / TRAIN} does not exist; run stage=tokenize first")
    held_out = tokens / VALIDATION
    write_atomic(folder / WORKER_JOB, json.dumps({
        "examples": str(tokens / TRAIN), "validation": str(held_out) if held_out.stat().st_size else None,
        "base": str(base), "base_identity": weights.identity(base), "base_name": student.source, "out": str(folder),
        "seed": values["seed"], "judge": _judge(values, folder), "train": asdict(train)}, indent=1, default=str))


def _judge(values: dict[str, Any], folder: Path) -> str | None:
    """Write the job of the episodes that judge the training, where there are any, and return its path."""
    if not values.get("judge"):
        return None
    write_atomic(folder / "judge.json", json.dumps(values["judge"]))
    return str(folder / "judge.json")


if __name__ == "__main__":
    sys.exit(stage_main(run, sys.argv))
