"""Run a piece of work as a process: exit codes, and one sentence for every failure that has one.

0: done. 2: bad input, or a fault that its sentence explains. 130: interrupted; what was finished is kept.
"""

import errno
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from fireact.errors import FireActError
from fireact.store import lock

BAD_INPUT, INTERRUPTED = 2, 130


class ChildFailed(Exception):
    """A child process ended with `code`; it has said why."""

    def __init__(self, code: int):
        super().__init__(f"a stage ended with exit code {code}")
        self.code = code


def guard(work: Callable[[], None]) -> int:
    """Do `work` and return an exit code; failures that have a sentence print it, all others keep their traceback."""
    try:
        work()
    except ChildFailed as failure:
        return failure.code
    except FireActError as failure:
        print(f"error: {failure}", file=sys.stderr, flush=True)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as failure:
        sentence = _disk(failure)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr, flush=True)
        return BAD_INPUT
    return 0


def stage_main(work: Callable[[dict[str, Any], Path], None], argv: Sequence[str]) -> int:
    """The body of `python -m fireact.<stage> FOLDER/job.json`: do the job in its folder, holding the folder's lock."""
    signal.signal(signal.SIGTERM, _interrupt)

    def locked() -> None:
        path = Path(argv[1])
        with lock(path.parent):
            work(json.loads(path.read_text(encoding="utf-8")), path.parent)

    return guard(locked)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _disk(failure: OSError) -> str | None:
    place = f" ({failure.filename})" if failure.filename else ""
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{place}; free some space and start the same command again, finished work is kept"
    if failure.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"no permission to write{place}; choose another folder with store=... and hydra.run.dir=..."
    return None
