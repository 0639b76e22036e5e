"""The trajectories of a generation folder: found fast, read when they are wanted, appended by many.

    records = Records(folder)
    records.played("q1"), records.read("q1")

The file has one record a line. To know which questions are played no record is parsed: a line's id, stop and score are
looked up in its bytes, so that 100,000 are known in a second. Any number of processes may append, each record under the
folder's lock; when all are there they are put into the order of the questions, once.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fireact.jsonl import Appender, decode, open_file
from fireact.types import StopReason, Trajectory

TRAJECTORIES = "trajectories.jsonl"
_HEAD = re.compile(rb'\{"id":("(?:[^"\\]|\\.)*")')
_STOP, _EM, _ATTEMPT = b'"stop":"', b'"score":{"em":', b'"attempt":'
_UNPLAYED = {stop.value.encode() for stop in StopReason if not stop.played}


class Place(NamedTuple):
    """Where a record stands, and what is known of it without reading it."""

    offset: int
    length: int
    played: bool
    """Whether it counts: its model and tool were within reach."""
    correct: bool
    """Whether its answer was right by the rules that it was played under."""


Name = tuple[str, int]
"""A question's id and the number of the attempt."""


@dataclass
class Records:
    """What a folder holds. Another process may add to it: `refresh` takes notice."""

    folder: Path
    places: dict[Name, Place] = field(default_factory=dict)
    """Of each attempt the last record; one that does not count never takes the place of one that does."""
    _read: int = 0
    """Bytes."""
    _inode: int = 0
    _file: BinaryIO | None = None
    _locks: int | None = None

    def __post_init__(self) -> None:
        """Look at what is there."""
        self.refresh()

    @property
    def path(self) -> Path:
        """The file, which may not exist yet."""
        return self.folder / TRAJECTORIES

    def refresh(self) -> None:
        """Take notice of what was added since the last time. Raises DataError for a file that holds something else."""
        try:
            now = os.stat(self.path)
        except FileNotFoundError:
            return
        if now.st_ino != self._inode or now.st_size < self._read or self._file is None:
            self.close()
            self._file = open_file(self.path)
            self._inode, self._read = os.fstat(self._file.fileno()).st_ino, 0
            self.places = {}
        elif now.st_size == self._read:
            return
        self._file.seek(self._read)
        for line in self._file:
            if not line.endswith(b"\n"):
                return  # Its writer was killed, or is still at it.
            self._note(line)
            self._read += len(line)

    def _note(self, line: bytes) -> None:
        head = _HEAD.match(line)
        stop = line.rfind(_STOP)
        if head is None or stop < 0:
            # Blank, or not written by this program: the parser says what is wrong with it.
            if line.strip():
                decode(Trajectory, line.decode("utf-8", "replace"), str(self.path))
            return
        stop += len(_STOP)
        # The field came later: what was recorded before it has none.
        attempt = line.rfind(_ATTEMPT)
        number = int(line[attempt + len(_ATTEMPT): line.find(b"}", attempt)]) if attempt >= 0 else 0
        name = json.loads(head[1]), number
        em = line.rfind(_EM)
        played = line[stop: line.find(b'"', stop)] not in _UNPLAYED
        if played or name not in self.places or not self.places[name].played:
            self.places[name] = Place(self._read, len(line), played, line[em + len(_EM): em + len(_EM) + 1] == b"1")

    def played(self, id: str, attempt: int = 0) -> bool:
        """Whether an attempt has a record that counts."""
        place = self.places.get((id, attempt))
        return place is not None and place.played

    def correct(self, id: str, attempt: int = 0) -> bool:
        """Whether an attempt counts and was right."""
        place = self.places.get((id, attempt))
        return place is not None and place.played and place.correct

    def read(self, id: str, attempt: int = 0) -> Trajectory:
        """Read one record, which must be there. Raises DataError."""
        place = self.places[(id, attempt)]
        return decode(Trajectory, self._line(place).decode("utf-8", "replace"), str(self.path))

    def _line(self, place: Place) -> bytes:
        assert self._file is not None
        self._file.seek(place.offset)
        return self._file.read(place.length)

    def append(self, record: Trajectory) -> None:
        """Add one record, which is with the operating system when this returns. Raises OSError."""
        with self._lock(), Appender(self.path, durable=False) as file:
            file.write(record)

    def settle(self, order: Sequence[Name]) -> None:
        """Put the records into this order, those not named behind it, and drop what was played again. Raises OSError.

        So the file is the same whichever way it came about.
        """
        with self._lock():
            self.refresh()
            wanted = [name for name in order if name in self.places]
            named = set(wanted)
            wanted += [name for name in self.places if name not in named]
            offsets = [self.places[name].offset for name in wanted]
            whole = sum(self.places[name].length for name in wanted) == self._read
            if whole and all(first < second for first, second in pairwise(offsets)):
                return
            part = self.path.with_name(f".{TRAJECTORIES}.part")
            with open(part, "wb") as file:
                for name in wanted:
                    file.write(self._line(self.places[name]))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        self.refresh()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other processes from writing."""
        if self._locks is None:
            self._locks = os.open(self.folder / ".records.lock", os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._locks, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._locks, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._locks is not None:
            os.close(self._locks)
            self._locks = None


def read_all(records: Records, names: Iterable[Name]) -> Iterator[Trajectory]:
    """Read those of the named attempts that count, in this order."""
    return (records.read(*name) for name in names if records.played(*name))
