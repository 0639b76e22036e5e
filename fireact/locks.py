"""Locks between processes, on one machine or over a file system that several share.

They are the operating system's own: it frees what a process held that has died, so no lock outlives its owners.
"""

import errno
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from fireact.command import command

HELD = "FIREACT_HELD"
"""The environment variable that names to a stage the folder which its run holds for it."""

LOCK, _OWNER = ".lock", "owner.json"
"""What is locked in a stage's folder; and who holds it, for those who wait."""
_PAUSE = 0.2


@contextmanager
def lock(folder: Path) -> Iterator[int]:
    """Hold a stage's folder; say who has it, and wait for that one. Gives the descriptor of the file that is locked.

    A child that inherits the descriptor holds the folder too, until it ends, and is told so by `HELD`.
    """
    if os.environ.get(HELD) == str(folder.absolute()):
        yield -1
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = taken(folder / LOCK)
    if descriptor is None:
        print(f"another run is working on {folder}; waiting for it{_owner(folder)}", flush=True)
        while (descriptor := taken(folder / LOCK)) is None:
            time.sleep(_PAUSE)
    try:
        _sign(folder)
        yield descriptor
    finally:
        (folder / _OWNER).unlink(missing_ok=True)
        os.close(descriptor)


def locked(folder: Path) -> bool:
    """Whether a process holds a stage's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = taken(folder / LOCK)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def taken(file: Path) -> int | None:
    """The descriptor of a file that is locked for as long as it is open anywhere; None where it is already.

    The file is made where there is none. Raises OSError.
    """
    descriptor = _opened(file)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as failure:
        os.close(descriptor)
        if failure.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise OSError(failure.errno, failure.strerror, str(file)) from None
    return descriptor


def _opened(file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except PermissionError:
        # Another user's. On a disk of this machine reading is enough to lock.
        return os.open(file, os.O_RDONLY | os.O_NOFOLLOW)


def _sign(folder: Path) -> None:
    since = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    (folder / _OWNER).write_text(json.dumps({"host": platform.node(), "process": os.getpid(), "since": since,
                                             "command": command()}), encoding="utf-8")


def _owner(folder: Path) -> str:
    """Who holds the folder, in brackets; nothing where that is not told, or just being written."""
    try:
        told = json.loads((folder / _OWNER).read_text(encoding="utf-8"))
        who = f" (process {told['process']} on {told['host']} since {told['since']}: {told['command']:.200})"
    except (OSError, ValueError, KeyError):
        return ""
    elsewhere = told["host"] != platform.node()
    return who + (f"; if {told['host']} is gone for good, delete {folder / LOCK}" if elsewhere else "")
