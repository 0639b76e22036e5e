"""Train in several processes, which accelerate's launcher starts."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from fireact.errors import DataError, first_line
from fireact.jsonl import open_file
from fireact.process import ChildFailed
from fireact.train import Train

REFUSED = "refused.txt"
"""Why a rank refused to go on, in a job's folder."""
_LOG = "ranks.log"
"""What ranks and launcher wrote on stderr: of a refusal, the same sentence for each rank among their tracebacks."""


def run(train: Train, job: Path) -> None:
    """Train as JOB.json says, again with less at once where memory ran out. Raises DataError, ChildFailed."""
    from fireact.train.faults import HALVED

    folder = job.parent
    halved, refused = folder / HALVED, folder / REFUSED
    if train.accelerate_config and (line := other_machines(train.accelerate_config, job)):
        print(line, flush=True)
    while True:
        before = halved.read_bytes() if halved.exists() else b""
        refused.unlink(missing_ok=True)
        code = _call(launcher(train, job), folder / _LOG)
        if not code:
            return
        if halved.exists() and halved.read_bytes() != before:
            continue
        if refused.exists():
            raise DataError(refused.read_text(encoding="utf-8"))
        sys.stderr.write((folder / _LOG).read_text(encoding="utf-8", errors="replace"))
        raise ChildFailed(code)


def _call(command: list[str], log: Path) -> int:
    """Run a command; it ends where this process is told to."""
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stderr=file)
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


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

        options = _zero(layout)
        zero.check(options.get("zero_stage", 2), options.get("offload_optimizer_device"))


def planned(train: Train) -> tuple[str, int, int]:
    """The kind of layout that the launcher will be told of, its processes, and the stage of ZeRO. Raises DataError."""
    layout = _read(train.accelerate_config) if train.accelerate_config else {"num_processes": train.processes}
    processes, stage = layout.get("num_processes", 1), _zero(layout).get("zero_stage", 2)
    if not (isinstance(processes, int) and processes > 0):
        raise DataError(f"train.accelerate_config={train.accelerate_config}: num_processes is {processes!r}; expected "
                        "a number above 0")
    return str(layout.get("distributed_type", "NO")), processes, stage


def devices(train: Train) -> int:
    """How many GPUs of this machine are trained on, where there are any. Raises DataError."""
    machines = _read(train.accelerate_config).get("num_machines", 1) if train.accelerate_config else 1
    return -(-planned(train)[1] // max(1, machines))


def _zero(layout: dict[str, Any]) -> dict[str, Any]:
    return layout.get("deepspeed_config") or {}


def other_machines(config: Path, job: Path) -> str | None:
    """What to start on the other machines, where accelerate's file `config` has several. Raises DataError."""
    machines = _read(config).get("num_machines", 1)
    return None if machines < 2 else (
        f"on each of the other {machines - 1} machines: accelerate launch --config_file {config} --machine_rank N "
        f"-m fireact.train.worker {job}")


def _read(config: Path) -> dict[str, Any]:
    try:
        with open_file(config) as file:
            found = yaml.safe_load(file)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"train.accelerate_config={config} is no YAML ({first_line(error)}); "
                        "see conf/accelerate") from None
    if not isinstance(found, dict):
        raise DataError(f"train.accelerate_config={config} holds no options by name; expected those of accelerate's "
                        "launcher, see conf/accelerate")
    return found
