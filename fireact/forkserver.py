"""Stages as forks of a process that has imported torch and its kin already, which takes longer than many a stage.

The process is multiprocessing's fork server: it does nothing but import and fork, so each stage begins as fresh as in
a process of its own. It ends with the process that asked for it.
"""

import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from fireact.process import PARENT

IMPORTED = ("torch", "transformers", "transformers.models.auto.modeling_auto", "transformers.models.llama", "peft",
            "accelerate")


def usable() -> bool:
    """Whether stages can be forks: where torch is there, and no driver of a GPU that a library's import may wake."""
    return ("forkserver" in get_all_start_methods() and find_spec("torch") is not None
            and not Path("/proc/driver/nvidia").exists())


def start(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> BaseProcess:
    """Run `python -m module ARGUMENTS...` as a fork, with this environment added to the own."""
    process = _context().Process(target=_stage, args=(module, list(arguments), dict(environment)))
    process.start()
    return process


def _context() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(["__main__", *IMPORTED])
    return context


def _stage(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    os.environ[PARENT] = str(os.getppid())
    sys.stdin = os.fdopen(0, closefd=False)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
