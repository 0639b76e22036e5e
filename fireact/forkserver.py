"""Stages as forks of a process that has imported torch and its kin already, which takes longer than many a stage.

The process is multiprocessing's fork server: it does nothing but import and fork, so a stage begins as fresh as in a
process of its own. It ends with the run that asked for it.
"""

import os
import runpy
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_all_start_methods, get_context, get_start_method, parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from fireact.process import INTERRUPTED, PARENT

_IMPORTED = ["hydra", "torch", "transformers", "transformers.models.auto.modeling_auto",
             "transformers.models.llama.modeling_llama", "peft", "accelerate"]
"""hydra, for the fork imports main.py as well."""


def usable() -> bool:
    """Whether stages can be forks: where torch is, and no driver of a GPU, which an import could wake for all forks.

    A worker of joblib's starts processes in a way of its own, which a fork would not know.
    """
    known = get_all_start_methods()
    return ("forkserver" in known and get_start_method(allow_none=True) in (None, *known)
            and find_spec("torch") is not None and not Path("/proc/driver/nvidia").exists())


@dataclass(frozen=True)
class Fork:
    """A stage that runs as `python -m module ARGUMENTS...` would; its methods are those of `subprocess.Popen`."""

    process: BaseProcess

    @classmethod
    def start(cls, module: str, arguments: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int]
              ) -> "Fork":
        """Start it with this environment; the open files `descriptors` stay open in it until it ends."""
        context = get_context("forkserver")
        context.set_forkserver_preload(_IMPORTED)
        process = context.Process(target=_stage, args=(module, list(arguments), dict(environment),
                                                       [_Held(each) for each in descriptors]))
        process.start()
        return cls(process)

    @property
    def returncode(self) -> int | None:
        """How it ended: its exit code, or minus the number of the signal that killed it; None until then."""
        return self.process.exitcode

    def poll(self) -> int | None:
        """The return code, None while it runs."""
        return self.process.exitcode

    def wait(self) -> None:
        """Wait for its end."""
        self.process.join()

    def send_signal(self, signum: int) -> None:
        """Send it a signal."""
        if self.process.pid and self.poll() is None:
            os.kill(self.process.pid, signum)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)


class _Held:
    """An open file that a fork is given."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __getstate__(self) -> Any:
        return DupFd(self.descriptor)

    def __setstate__(self, duplicate: Any) -> None:
        self.descriptor = duplicate.detach()


def _stage(module: str, arguments: Sequence[str], environment: Mapping[str, str], held: Sequence[_Held]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    # The fork server outlives a run that was killed for as long as there are forks: they watch the run itself.
    os.environ[PARENT] = ""
    threading.Thread(target=_stop_with_run, daemon=True).start()
    sys.stdin = os.fdopen(0, closefd=False)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        # While it was still importing: its own guard says nothing then either.
        sys.exit(INTERRUPTED)


def _stop_with_run() -> None:
    run = parent_process()
    assert run is not None
    run.join()
    os.kill(os.getpid(), signal.SIGTERM)
