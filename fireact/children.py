"""Do stages in fresh processes, from frozen job files.

So a sweep leaks no memory from cell to cell, `main.py` never imports torch, and a stage that dies takes nothing with
it: the same command goes on where it stopped.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fireact import forkserver
from fireact.forkserver import Fork
from fireact.jsonl import write_atomic
from fireact.locks import HELD, lock
from fireact.process import INTERRUPTED, PARENT, REASON, ChildFailed, Terminated, listen
from fireact.sections import Gpus, Section
from fireact.slots import take, wanted_by
from fireact.store import DONE, FAILED, key

CHILD_ENV = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore::FutureWarning",
             "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2 ** 34)}
"""Threads that wait sleep: on cores shared with others, spinning ones made training several times slower. The warnings
are those of the libraries to each other. glibc keeps what is freed: given back, the pages of each large tensor had to
be mapped and cleared again, a tenth of the time of a training on a CPU."""

_TORCH = {"fireact.tokenize", "fireact.train.prepare", "fireact.train.preflight", "fireact.train.merge",
          "fireact.parity"}
"""The stages that always import it."""


@dataclass(frozen=True)
class Task:
    """A job with its folder, and what it is called in the run."""

    label: str
    job: Section
    folder: Path

    @property
    def gpus(self) -> int:
        """How many GPUs its process computes on."""
        return wanted_by(self.job)


def work(module: str, tasks: Sequence[Task], meanwhile: Callable[[Task], None], *first: str, gpus: Gpus = None,
         locked: bool = False) -> bool:
    """Let one process, `python -m module FIRST... JOB...`, do the tasks in turn, on as many of the `gpus` as they take.

    `locked`: hold the folder of the only task from before the process is started until it has ended; what another run
    finished meanwhile needs no process, and False is returned. `meanwhile` is called for each task every 0.1 s, and
    SIGUSR1 is handed on. Raises ChildFailed, ConfigError; KeyboardInterrupt once the process has ended too.
    """
    with ExitStack() as held:
        environment, descriptors = {**CHILD_ENV, **os.environ, PARENT: str(os.getpid())}, []
        if locked:
            (task,) = tasks
            descriptors.append(held.enter_context(lock(task.folder)))
            environment[HELD] = str(task.folder.absolute())
            if (task.folder / DONE).exists():
                return False
        # Only now: who waits for a folder keeps no GPU from others.
        taken = held.enter_context(take(max(task.gpus for task in tasks), gpus))
        _do(module, tasks, meanwhile, first, {**environment, **taken.environment}, [*descriptors, *taken.descriptors])
    return True


def _do(module: str, tasks: Sequence[Task], meanwhile: Callable[[Task], None], first: Sequence[str],
        environment: dict[str, str], descriptors: Sequence[int]) -> None:
    """Start the process, and wait for its end. It inherits the locks, which last until it has ended too."""
    jobs, reasons = [str(_frozen(task)) for task in tasks], [task.folder / FAILED for task in tasks]
    for reason in reasons:
        reason.unlink(missing_ok=True)
    # Ignored is what the child inherits, until it listens itself; left alone, the signal would end it.
    listen(signal.SIG_IGN)
    process = _start(module, [*first, *jobs], {**environment, REASON: str(reasons[0])}, descriptors,
                     module in _TORCH or any(map(_reads_models, tasks)))
    listen(lambda signum, frame: process.send_signal(signum))
    try:
        while process.poll() is None:
            time.sleep(0.1)
            for task in tasks:
                meanwhile(task)
    except BaseException as failure:
        # Ctrl-C came to the child as well. All else came to this process alone, and it must not pay on by itself.
        if isinstance(failure, Terminated) or not isinstance(failure, KeyboardInterrupt):
            process.terminate()
        process.wait()
        raise
    finally:
        listen(signal.SIG_IGN)
    if process.returncode:
        failed = ChildFailed(process.returncode, _told(reasons[0]))
        if failed.code != INTERRUPTED:
            for reason in reasons:
                write_atomic(reason, failed.sentence)
        raise failed


def _start(module: str, arguments: Sequence[str], environment: dict[str, str], descriptors: Sequence[int],
           torch: bool) -> "subprocess.Popen[bytes] | Fork":
    """Start `python -m module`, as a fork of what has imported torch where it would import that itself."""
    if torch and forkserver.usable():
        for name, value in CHILD_ENV.items():
            os.environ.setdefault(name, value)  # Some are read by the libraries when they are loaded.
        return Fork.start(module, arguments, environment, descriptors)
    return subprocess.Popen([sys.executable, "-m", module, *arguments], pass_fds=descriptors, env=environment)


def _reads_models(task: Task) -> bool:
    """Whether a job plays a local model, or counts in its tokens what fits into its window."""
    return task.gpus > 0 or "fits" in getattr(task.job, "filters", ())


def _told(reason: Path) -> str:
    return reason.read_text(encoding="utf-8") if reason.exists() else ""


def _frozen(task: Task) -> Path:
    task.folder.mkdir(parents=True, exist_ok=True)
    text = task.job.model_dump_json(indent=1)
    # Two runs may ask the same folder for different numbers of questions: each has a file of its own.
    path = task.folder / f"job-{key(job=text)}.json"
    write_atomic(path, text)
    return path
