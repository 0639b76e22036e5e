"""Need a server: find the one that runs, or start one, and keep it running for as long as it is needed.

    lease = await take(Folder(path), spec, "SmolLM2-135M", serving.need)
    ...
    lease.release()
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from fireact.errors import ConfigError, ProviderError
from fireact.jsonl import write_atomic
from fireact.serving.state import Folder, Spec, State
from fireact.slots import before

PAUSE = 0.2
"""Seconds between two looks at what becomes of a server."""
PROGRESS = 15.0
"""Seconds between two lines on a server that is starting."""
NOTICED = 10.0
"""Seconds within which a supervisor notices that its engine is gone."""


@dataclass
class Lease:
    """A server that is not ended for want of use while this is held; the system frees it where its holder dies."""

    folder: Folder
    name: str
    """How sentences call what is served."""
    state: State
    _descriptor: int
    _supervisor: "subprocess.Popen[bytes] | None" = None
    """The one that was started for this lease; kept, so that it is not taken for one that was forgotten."""

    def release(self) -> None:
        """Need it no longer."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    async def gone(self, reason: str) -> ProviderError:
        """What to tell of a server that does not answer; `reason` is what was met, where nothing better is known."""
        until, mend = time.monotonic() + NOTICED, "its log may say why, for it still runs"
        while time.monotonic() < until:
            living, state = alive(self.folder), self.folder.state()
            same = state is not None and state.supervisor == self.state.supervisor
            if not living or not same or (state and state.phase == "failed"):
                reason = state.error if same and state and state.error else f"has gone: {self.folder.last_words()}"
                mend = "start the same command again, which begins a new one"
                break
            await asyncio.sleep(PAUSE)
        return ProviderError(f"the server of {self.name} {reason} (log: {self.folder.log}); {mend}")


@dataclass(frozen=True)
class _Begun:
    supervisor: "subprocess.Popen[bytes] | None"
    """None: another's."""


async def take(folder: Folder, spec: Spec, name: str, need: Callable[[], None]) -> Lease:
    """Return once the server is ready; start it where there is none, after `need` has found nothing missing.

    Raises ConfigError for one that cannot be started, and what `need` raises.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    while (descriptor := folder.take_needed()) is None:
        await asyncio.sleep(PAUSE)
    try:
        while (begun := _begin(folder, spec, need)) is None:
            await asyncio.sleep(PAUSE)
        state = await _ready(folder, name, begun.supervisor is not None)
    except BaseException:
        os.close(descriptor)
        raise
    return Lease(folder, name, state, descriptor, begun.supervisor)


def alive(folder: Folder) -> bool:
    """Whether there is a supervisor."""
    with folder.starting():
        held = folder.take_alive()
        if held is not None:
            os.close(held)
        return held is None


def _begin(folder: Folder, spec: Spec, need: Callable[[], None]) -> "_Begun | None":
    """Start a supervisor where there is none; None where one is just ending."""
    with folder.starting():
        held = folder.take_alive()
        if held is None:
            state = folder.state()
            return None if state and state.phase == "failed" else _Begun(None)
        try:
            need()
            write_atomic(folder.spec, spec.model_dump_json(indent=1))
            folder.write(None)
            folder.log.unlink(missing_ok=True)
            with (folder.path / "supervisor.log").open("ab") as log:
                # It holds the lock from the beginning, for it inherits the open file.
                return _Begun(subprocess.Popen(
                    [sys.executable, "-m", "fireact.serving", str(folder.spec)], stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, start_new_session=True, pass_fds=(held,), env=before(os.environ)))
        finally:
            os.close(held)


async def _ready(folder: Folder, name: str, ours: bool) -> State:
    """Wait until the server answers, with a line now and then. Raises ConfigError."""
    started = told = time.monotonic()
    if ours:
        print(f"serving: starting a server for {name}, which writes to {folder.log}", flush=True)
    while True:
        # First whether it lives, then what it says: so its last words are not missed.
        living, state, now = alive(folder), folder.state(), time.monotonic()
        if state and state.phase == "failed":
            raise ConfigError(f"the server of {name} {state.error} (log: {folder.log})")
        if not living:
            raise ConfigError(f"the server of {name} was ended while it started: {folder.last_words()} "
                              f"(log: {folder.log}); start the same command again")
        if state and state.phase == "ready":
            print(f"serving: {name} at {state.url}" + (f", after {now - started:.0f} s" if ours else ", shared"),
                  flush=True)
            return state
        if now - told > PROGRESS:
            told = now
            print(f"serving: {name} is not ready after {now - started:.0f} s: {(folder.tail() or ['...'])[-1][:160]}",
                  flush=True)
        await asyncio.sleep(PAUSE)
