"""Do stages in fresh processes, from frozen job files.

So a sweep leaks no memory from cell to cell, `main.py` never imports torch, and a stage that dies takes nothing with
it: the same command goes on where it stopped.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fireact.jsonl import write_atomic
from fireact.process import ChildFailed, Terminated
from fireact.schema import Section
from fireact.store import key

CHILD_ENV = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore::FutureWarning"}
"""Threads that wait sleep: on cores shared with others, spinning ones made training several times slower. The warnings
are those of the libraries to each other."""


@dataclass(frozen=True)
class Task:
    """A job with its folder, and what it is called in the run."""

    label: str
    job: Section
    folder: Path


def work(module: str, tasks: Sequence[Task], meanwhile: Callable[[Task], None]) -> None:
    """Let one process, `python -m module JOB...`, do the tasks in turn; `meanwhile` is called for each every 0.1 s.

    Raises ChildFailed; KeyboardInterrupt once the process has ended too.
    """
    jobs = [str(_frozen(task)) for task in tasks]
    process = subprocess.Popen([sys.executable, "-m", module, *jobs], env=CHILD_ENV | os.environ)
    try:
        while process.poll() is None:
            time.sleep(0.1)
            for task in tasks:
                meanwhile(task)
    except KeyboardInterrupt as stop:
        if isinstance(stop, Terminated):
            process.terminate()
        process.wait()
        raise
    if process.returncode:
        raise ChildFailed(process.returncode)


def _frozen(task: Task) -> Path:
    task.folder.mkdir(parents=True, exist_ok=True)
    text = task.job.model_dump_json(indent=1)
    # Two runs may ask the same folder for different numbers of questions: each has a file of its own.
    path = task.folder / f"job-{key(job=text)}.json"
    write_atomic(path, text)
    return path
