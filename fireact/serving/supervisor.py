"""Start an engine, tell where it is, watch it, and end it once nobody needs it.

    python -m fireact.serving FOLDER/spec.json

It is started by `lease.py`, outlives the process that started it, and ends with its engine. Where it is killed itself,
a shell that waits for nothing else ends the engine.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType

from fireact.serving.state import Folder, Spec, State

PAUSE = 0.3
"""Seconds between two looks at the engine and at who needs it."""
HEALTH_EVERY = 5.0
_GUARD = 'read -r _; kill -s TERM -- "-$1"; sleep "$2"; kill -s KILL -- "-$1"'
"""Its input ends with the supervisor, whatever ended that."""


class _Failed(Exception):
    """The engine is of no use; the text is the end of a sentence."""


class _Unneeded(Exception):
    """Nobody needs the engine any more."""


@dataclass
class Supervisor:
    """One engine's, for its life."""

    folder: Folder
    spec: Spec
    _engine: "subprocess.Popen[bytes] | None" = None
    _port: int = 0
    _needed: float = field(default_factory=time.monotonic)
    """When somebody was last seen to need it."""
    _asked: float = 0.0
    """When the engine was last asked for its health."""

    def run(self) -> None:
        """Do all of it; what becomes of the engine is told in the folder's state."""
        signal.signal(signal.SIGTERM, _stop)
        try:
            with self._started():
                self._wait()
                self._tell("ready")
                self._say(f"ready at {self._url}")
                self._watch()
        except _Unneeded:
            self.folder.write(None)
            self._say(f"ended, for nobody has needed it for {self.spec.idle:g} s")
        except _Failed as failure:
            self._tell("failed", str(failure))
            self._say(f"failed: {failure}")

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @contextmanager
    def _started(self) -> Iterator[None]:
        """The engine in a process group of its own, which is ended in any case."""
        self._port = _free_port()
        command = [*self.spec.command, "--port", str(self._port)]
        with self.folder.log.open("wb") as log:
            try:
                self._engine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                start_new_session=True, env={**os.environ, **self.spec.environment})
            except OSError as error:
                raise _Failed(f"cannot be started: {error.strerror} ({command[0]}); "
                              "mend model.serving.command") from None
        guard = subprocess.Popen(["/bin/sh", "-c", _GUARD, "guard", str(self._engine.pid), f"{self.spec.grace:g}"],
                                 stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 start_new_session=True)
        try:
            self._tell("starting")
            self._say(f"started the engine, process {self._engine.pid}")
            yield
        except _Failed as failure:
            # Those who wait are told before its end, which may take a while.
            self._tell("failed", str(failure))
            raise
        finally:
            _end(self._engine, self.spec.grace)
            guard.kill()
            guard.wait()

    def _wait(self) -> None:
        """Wait until the engine answers. Raises _Failed, _Unneeded."""
        until = time.monotonic() + self.spec.startup
        while self._health() != 200:
            self._look()
            if time.monotonic() > until:
                raise _Failed(f"did not answer within {self.spec.startup:g} seconds (the last it wrote: "
                              f"{self.folder.last_words()}); raise model.serving.startup")
            time.sleep(PAUSE)

    def _watch(self) -> None:
        """Look after the engine until it ends or is not needed. Raises _Failed, _Unneeded."""
        while True:
            self._look()
            # None is an engine that is busy: only its own word that it is broken counts.
            if time.monotonic() - self._asked > HEALTH_EVERY and (self._health() or 200) >= 500:
                raise _Failed(f"says that it is broken: {self.folder.last_words()}")
            time.sleep(PAUSE)

    def _look(self) -> None:
        assert self._engine is not None
        code = self._engine.poll()
        if code is not None:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise _Failed(f"{how}: {self.folder.last_words()}")
        now, unneeded = time.monotonic(), self.folder.take_unneeded()
        if unneeded is None:
            self._needed = now
        elif now - self._needed >= self.spec.idle:
            # The lock is kept: whoever wants the server from now on waits for its end, and starts another one.
            raise _Unneeded
        else:
            os.close(unneeded)

    def _health(self) -> int | None:
        """The status with which the engine answers; None where it does not, or not yet."""
        self._asked = time.monotonic()
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    def _tell(self, phase: str, error: str = "") -> None:
        engine = self._engine.pid if self._engine else 0
        self.folder.write(State.model_validate({"phase": phase, "supervisor": os.getpid(), "url": self._url,
                                                "engine": engine, "error": error}))

    def _say(self, text: str) -> None:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", flush=True)


def main(file: Path) -> int:
    """Serve what a spec.json says, to the end."""
    Supervisor(Folder(file.parent), Spec.model_validate_json(file.read_text(encoding="utf-8"))).run()
    return 0


def _stop(signum: int, frame: FrameType | None) -> None:
    raise _Failed("was ended by SIGTERM to its supervisor")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _end(engine: "subprocess.Popen[bytes]", grace: float) -> None:
    """End the engine and all that it has started: ask, and kill after `grace` seconds."""
    _signal(engine.pid, signal.SIGTERM)
    if not _within(grace, lambda: engine.poll() is not None and not _signal(engine.pid, 0)):
        _signal(engine.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        engine.wait(grace)


def _within(seconds: float, done: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _signal(group: int, signum: int) -> bool:
    """Send it to a process group; return whether there is one."""
    try:
        os.killpg(group, signum)
    except ProcessLookupError:
        return False
    except PermissionError:  # What macOS says of a group of zombies.
        return False
    return True
