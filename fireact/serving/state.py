"""The folder of a server: what is to be run, where it is, and the locks that say who lives.

    spec.json        what the supervisor is to start
    state.json       what became of it: its address, or why it failed
    engine.log       what the engine wrote; supervisor.log: what its supervisor did
    start.lock       held for a moment, by whoever looks whether there is a supervisor and starts one
    alive.lock       held by the supervisor as long as it lives
    needed.lock      shared by all who need the server

The operating system frees the lock of a process that died, however it died.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fireact.jsonl import write_atomic
from fireact.sections import Section

_PREFIX = re.compile(r"^(\([^()]*pid=\d+\)\s*)?((DEBUG|INFO|WARNING|ERROR|CRITICAL) \S+ \S+ \[\S+\]\s*)?")
"""What vLLM puts before each line: the process, the level, the time, the place."""
_ERROR = re.compile(r"^[\w.]*(Error|Exception)\b.*|.*\berror: .*", re.DOTALL)
_VAGUE = ("See root cause above", "Engine core initialization failed", "Executor failed", "EngineDeadError")
"""Errors that only say that there was another one."""
_TAIL = 1 << 16


class Spec(Section):
    """What a supervisor is to start. It holds no secret: the environment is inherited, and not written down."""

    command: list[str]
    """With all arguments but the port, which is appended as `--port N`."""
    environment: dict[str, str]
    """What is set on top of the environment."""
    startup: float
    """Seconds that the engine may take until it answers."""
    idle: float
    """Seconds after which it is ended when nobody needs it."""
    grace: float = 15.0
    """Seconds between asking it to end and killing it."""


class State(Section):
    """What became of a server."""

    phase: Literal["starting", "ready", "failed"]
    supervisor: int
    """The supervisor's process id."""
    url: str = ""
    engine: int = 0
    """The process id of the engine, which leads a process group of its own."""
    error: str = ""
    """Why it failed, as the end of a sentence."""


@dataclass(frozen=True)
class Folder:
    """The files of one server."""

    path: Path

    @property
    def spec(self) -> Path:
        """What is to be started."""
        return self.path / "spec.json"

    @property
    def log(self) -> Path:
        """What the engine wrote."""
        return self.path / "engine.log"

    def state(self) -> State | None:
        """What became of the server; None where nothing is known yet."""
        try:
            return State.model_validate_json((self.path / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def write(self, state: State | None) -> None:
        """Tell all who look; None: begin anew."""
        if state is None:
            (self.path / "state.json").unlink(missing_ok=True)
        else:
            write_atomic(self.path / "state.json", json.dumps(state.model_dump(), indent=1))

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Be the only one who looks whether there is a supervisor. Held for milliseconds."""
        descriptor = self.open("start.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def take_alive(self) -> int | None:
        """The descriptor of the supervisor's lock, which is held while it is open anywhere; None where it is held.

        To be called by who is `starting`.
        """
        return self._taken("alive.lock", fcntl.LOCK_EX)

    def take_needed(self) -> int | None:
        """The descriptor of a lease, which keeps the server from being ended; None where it is just being ended."""
        return self._taken("needed.lock", fcntl.LOCK_SH)

    def take_unneeded(self) -> int | None:
        """The descriptor of a lock that keeps others from needing the server; None where somebody does."""
        return self._taken("needed.lock", fcntl.LOCK_EX)

    def _taken(self, name: str, kind: int) -> int | None:
        descriptor = self.open(name)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def open(self, name: str) -> int:
        """Open a file to be locked; no child inherits it unless it is handed over."""
        return os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o644)

    def last_words(self) -> str:
        """The last error that was written, on one line; the last line where none is told."""
        lines = [_PREFIX.sub("", line).rstrip() for line in self.tail() if line.strip()]
        told = [at for at, line in enumerate(lines)
                if _ERROR.match(line) and not any(vague in line for vague in _VAGUE)]
        if not told:
            return " ".join(lines[-1:])[:400] or "it wrote nothing"
        words = lines[told[-1]: told[-1] + 2]
        # pydantic's errors have their sentence on the next line: 1 validation error for ModelConfig.
        return " ".join(" ".join(words if "validation error" in words[0] else words[:1]).split())[:400]

    def tail(self) -> list[str]:
        """The last lines of the engine's log; of its supervisor's where there is none, or nothing in it."""
        for file in (self.log, self.path / "supervisor.log"):
            if file.is_file() and (size := file.stat().st_size):
                with file.open("rb") as stream:
                    stream.seek(max(0, size - _TAIL))
                    return stream.read().decode(errors="replace").splitlines()
        return []
