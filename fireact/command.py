"""The command that a user started, as all processes know it that a launcher or a run starts for it."""

import os
import shlex
import sys
from pathlib import Path

_COMMAND, _PROCESS = "FIREACT_COMMAND", "FIREACT_COMMAND_PROCESS"


def announce() -> None:
    """Tell what is started from this process, on whichever machine, that it is this command's."""
    os.environ.update({_COMMAND: _own(), _PROCESS: str(os.getpid())})


def command() -> str:
    """The command that starts this run again."""
    return os.environ.get(_COMMAND) or _own()


def launched() -> bool:
    """Whether this process was started for the command, rather than by it."""
    return os.environ.get(_PROCESS, str(os.getpid())) != str(os.getpid())


def _own() -> str:
    python = Path(sys.executable)
    here = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    return shlex.join([str(here), *sys.argv])
