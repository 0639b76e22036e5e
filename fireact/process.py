"""Run a piece of work as a process: exit codes, and one sentence for every failure that has one.

0: done. 2: bad input, or a fault that its sentence explains. 130: interrupted; what was finished is kept.
128 + n: a stage was killed by signal n.
"""

import asyncio
import errno
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from fireact.errors import FireActError, first_line
from fireact.locks import lock

BAD_INPUT, INTERRUPTED = 2, 130
PARENT = "FIREACT_PARENT"
"""The environment variable that tells a stage the number of the process that waits for it."""
REASON = "FIREACT_REASON"
"""The one that names the file in which a stage leaves the sentence of its failure."""
_WATCH = "watches the launcher"


class Terminated(KeyboardInterrupt):
    """SIGTERM came. Unlike Ctrl-C it went to this process alone, which has to pass it on to its child."""


class ChildFailed(Exception):
    """A child process ended with `code`, and has said why; or a signal killed it, and nobody has."""

    def __init__(self, code: int, sentence: str = ""):
        """`code` is what subprocess tells: minus the signal's number for a child that was killed."""
        super().__init__(code, sentence)  # Launchers hand it on between processes, made anew from these.
        self.killed = -code if code < 0 else None
        self.code = 128 - code if code < 0 else code
        self.sentence = sentence or (_killed(self.killed) if self.killed else f"a stage ended with exit code {code}")

    def __str__(self) -> str:
        """Why, in one sentence."""
        return self.sentence


@dataclass(frozen=True)
class Failure:
    """How a piece of work ended that did not come to its end."""

    code: int
    sentence: str


def guard(work: Callable[[], None]) -> int:
    """Do `work` and return an exit code; failures that have a sentence print it, all others keep their traceback."""
    failure = attempt(work)
    return failure.code if failure else 0


def attempt(work: Callable[[], None]) -> Failure | None:
    """Do `work`; say why where it failed, and return that. Failures without a sentence are raised."""
    try:
        work()
        sys.stdout.flush()
    except ChildFailed as failed:
        if failed.killed and failed.code != INTERRUPTED:
            _say(failed.sentence)
        return Failure(failed.code, failed.sentence)
    except FireActError as error:
        _say(str(error))
        return Failure(BAD_INPUT, str(error))
    except KeyboardInterrupt:
        return Failure(INTERRUPTED, "interrupted")
    except BrokenPipeError:
        # Whoever read the output has gone, e.g. `head`. Nothing can be told; the exit code is a shell's own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Failure(128 + signal.SIGPIPE, "nobody reads the output any more")
    except OSError as error:
        sentence = _disk(error)
        if sentence is None:
            _leave(error)
            raise
        _say(sentence)
        return Failure(BAD_INPUT, sentence)
    except Exception as error:
        _leave(error)
        raise
    return None


def _say(sentence: str) -> None:
    print(f"error: {sentence}", file=sys.stderr, flush=True)
    leave_reason(sentence)


def _leave(error: Exception) -> None:
    leave_reason(f"{type(error).__name__}: {first_line(error)}")


def leave_reason(sentence: str) -> None:
    """Tell the process that waits for this one, if there is one, why this one will fail."""
    path = os.environ.get(REASON)
    if path:
        with suppress(OSError):
            Path(path).write_text(sentence, encoding="utf-8", errors="replace")


def run_async(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end; Ctrl-C and SIGTERM cancel it and raise KeyboardInterrupt.

    `asyncio.run` does so by itself since Python 3.11; before, it left tasks behind that complained.
    """

    async def cancellable() -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        watch = asyncio.create_task(_orphaned(task))
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, task.cancel)
        try:
            await work
        finally:
            watch.cancel()

    try:
        asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _orphaned(task: "asyncio.Task[None]") -> None:
    """End a task where the run that started this process was killed: nobody would know that it goes on, and pays."""
    parent = os.environ.get(PARENT, "")
    while parent in ("", str(os.getppid())):
        await asyncio.sleep(0.5)
    task.cancel()


def stop_with_launcher() -> None:
    """In a worker of joblib's, end once the process that launches the sweep was killed: it would go on by itself.

    Jobs of SLURM or Ray are no children of that process, and are left to them.
    """
    launcher = multiprocessing.parent_process()
    if launcher is not None and all(thread.name != _WATCH for thread in threading.enumerate()):
        threading.Thread(target=_stop_with, args=(str(launcher.pid),), name=_WATCH, daemon=True).start()


def stage_main(work: Callable[[dict[str, Any], Path], None], argv: Sequence[str],
               first: Callable[[dict[str, Any], Path], None] | None = None) -> int:
    """The body of `python -m fireact.<stage> FOLDER/job.json`: do the job in its folder, holding the folder's lock."""
    stop_on_sigterm()
    threading.Thread(target=_stop_with, args=(os.environ.get(PARENT, ""),), daemon=True).start()

    def locked() -> None:
        path = Path(argv[1])
        job = json.loads(path.read_text(encoding="utf-8"))
        if first:
            first(job, path.parent)
        with lock(path.parent):
            work(job, path.parent)

    return guard(locked)


def _stop_with(parent: str) -> None:
    """Stop as on SIGTERM where the process that started this one was killed: nobody would know that it goes on."""
    while parent in ("", str(os.getppid())):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def stop_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, keeping what is finished.

    SIGUSR2 comes from SLURM where a job's time is nearly up, to all its processes; submitit listens to it in the run,
    which then ends its stage.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def listen(handler: Any) -> None:
    """Say what SIGUSR1 does, which asks where every episode stands; only a main thread can."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, handler)


def _killed(signum: int) -> str:
    name = signal.Signals(signum).name if signum in list(signal.Signals) else f"signal {signum}"
    why = ", as the system does where memory runs out" if name == "SIGKILL" else ""
    return (f"a stage was killed by {name}{why}; start the same command again to go on, "
            "with less at once where memory is short (model.batch_size, train.micro_batch_tokens, concurrency)")


def _disk(failure: OSError) -> str | None:
    place = f" ({failure.filename})" if failure.filename else ""
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{place}; free some space and start the same command again, finished work is kept"
    if failure.errno in (errno.ENOLCK, errno.EOPNOTSUPP):
        return f"a file cannot be locked{place}, for its file system has no locks; choose another place"
    if failure.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"no permission to write{place}; choose another place"
    if failure.errno in _NO_PLACE and failure.filename:
        return f"{failure.filename} cannot be written or read ({failure.strerror}); choose another place"
    return None


_NO_PLACE = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP)
