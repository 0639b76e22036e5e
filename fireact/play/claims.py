"""Who plays what: claims on numbered pieces of work, over all processes and machines that share a folder.

A claim is a lock on bytes of a file, one a number, which the operating system (or the file server) frees when its owner
dies. So no claim outlives its process, and nothing has to be cleaned up.
"""

import fcntl
import os
from pathlib import Path

NAME = ".claims"
EVERYTHING = range(2**40)
"""All numbers that there may be."""


class Claims:
    """The claims that this process has in a folder. Open one a folder: closing any frees all of them."""

    def __init__(self, folder: Path) -> None:
        """Open the folder's claims. Raises OSError."""
        self._file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)

    def take(self, numbers: range) -> bool:
        """Claim all of these; False where another process has one. Raises OSError on a file system without locks."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, len(numbers), numbers.start)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, numbers: range) -> None:
        """Give them up."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, len(numbers), numbers.start)

    def close(self) -> None:
        """Give up all."""
        os.close(self._file)
