"""Servers for tests: the stand-in engine, where its folder is, and ends to wait for."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fireact.model.local import Local
from fireact.model.local.jobs import Judged
from fireact.serving import Serving
from fireact.serving.lease import alive
from fireact.serving.state import Folder
from tests.helpers import ROOT

COMMAND = [sys.executable, str(ROOT / "tests" / "serving" / "standin_engine.py")]
PATIENCE = 60.0
"""Seconds after which what a test waits for is taken for what never comes."""


def serving(*arguments: str, **options: Any) -> Serving:
    """Options of a server whose engine is the stand-in."""
    return Serving(**{"command": COMMAND, "arguments": list(arguments), "idle": 600.0, **options})


def served(tiny: Path, home: Path, *arguments: str, server: dict[str, Any] | None = None, **options: Any) -> Local:
    """The tiny model on such a server."""
    return Local(**{"name": "tiny", "source": str(tiny), "home": home / "weights", "engine": "vllm", "max_tokens": 12,
                    "serving": serving(*arguments, **(server or {}))} | options)


def folders(home: Path) -> list[Folder]:
    """Those of all servers."""
    return [Folder(path) for path in sorted((home / "serving").glob("*"))]


def folder(home: Path) -> Folder:
    """That of the only server."""
    only, = folders(home)
    return only


def running(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has looked after does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait(until: Callable[[], object]) -> None:
    """Wait for what is to come."""
    end = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def end_all(home: Path) -> None:
    """End all servers, and wait until they are gone."""
    for one in folders(home):
        state = one.state()
        if state is not None and alive(one):
            with suppress(ProcessLookupError):
                os.kill(state.supervisor, signal.SIGTERM)
    for one in folders(home):
        wait(lambda one=one: not alive(one))


def judgement(model: Local, prompt: list[int], reply: list[int]) -> Judged:
    """What a model, which is then closed, thinks of a reply."""

    async def judge() -> Judged:
        try:
            return await model.judge(prompt, reply)
        finally:
            await model.close()

    return asyncio.run(judge())
