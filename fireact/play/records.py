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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fireact.errors import DataError, NewerVersion
from fireact.jsonl import Appender, decode, open_file
from fireact.types import RECORD_VERSION, StopReason, Trajectory

TRAJECTORIES = "trajectories.jsonl"
_HEAD = re.compile(rb'\{"id":"([^"\\]*)",')
# Nothing before a record's own `stop` has a field of this name, and within a text its quotes would be escaped.
_STOP, _ENDED = b'"stop":"', re.compile(rb'"stop":"([a-z]+)","score":\{"em":(\d+(?:\.\d+)?(?:e-?\d+)?),')
# The last field, which came later: what was recorded before it has none.
_ATTEMPT = re.compile(rb'"attempt":(\d{1,9})\}\s*\Z')
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


class Look(NamedTuple):
    """What a record's line tells without being parsed."""

    name: Name
    played: bool
    correct: bool


def look(line: bytes) -> Look | None:
    """Look up what a line tells in its bytes; None where it takes the parser."""
    head, stop = _HEAD.match(line), _ENDED.match(line, max(0, line.find(_STOP)))
    if not head or not stop:
        return None
    attempt = _ATTEMPT.search(line, max(0, len(line) - 30))
    name = head[1].decode("utf-8", "replace"), int(attempt[1]) if attempt else 0
    return Look(name, stop[1] not in _UNPLAYED, float(stop[2]) == 1)


def parse(line: bytes, where: str) -> Trajectory:
    """Read a record's line. Raises DataError, and NewerVersion for a record that a newer FireAct wrote."""
    try:
        record = decode(Trajectory, line.decode("utf-8", "replace"), where)
        version = record.version
    except DataError:
        version = _version(line)
        if version <= RECORD_VERSION:
            raise
    if version > RECORD_VERSION:
        raise NewerVersion(f"{where}: a newer FireAct wrote this record (version {version}, here up to "
                           f"{RECORD_VERSION}); update FireAct")
    return record


def _version(line: bytes) -> int:
    with suppress(ValueError):
        values = json.loads(line)
        version = values.get("version") if isinstance(values, dict) else None
        return version if isinstance(version, int) else 0
    return 0


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
        if self._file is None or now.st_ino != self._inode or now.st_size < self._read:
            if self._file is not None:
                self._file.close()
            self._file = open_file(self.path)
            self._inode, self._read = os.fstat(self._file.fileno()).st_ino, 0
            self.places = {}
        elif now.st_size == self._read:
            return
        # Looked at afresh: half a line that was seen before may have been cut off, and another be in its place.
        with open(self._file.fileno(), "rb", closefd=False) as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # Its writer was killed, or is still at it.
                if line.strip():
                    self._note(line)
                self._read += len(line)

    def _note(self, line: bytes) -> None:
        found = look(line)
        if found is None:
            # An id with escapes, or another program's line: the parser reads it, or says what is wrong with it.
            record = self._parsed(line)
            found = Look((record.id, record.attempt), record.stop.played, record.score.em == 1)
        name, played, correct = found
        if played or not self.played(*name):
            self.places[name] = Place(self._read, len(line), played, correct)

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
        return self._parsed(self._line(self.places[(id, attempt)]))

    def _parsed(self, line: bytes) -> Trajectory:
        try:
            return parse(line, str(self.path))
        except DataError as failure:
            raise DataError(f"{failure} (the line that begins {line[:40].decode('utf-8', 'replace')!r}); delete it, "
                            "and what it held is played again, from the tape as far as that goes") from None

    def _line(self, place: Place) -> bytes:
        assert self._file is not None
        return os.pread(self._file.fileno(), place.length, place.offset)

    def append(self, record: Trajectory) -> None:
        """Add one record, which is with the operating system when this returns. Raises OSError."""
        with self._lock(), Appender(self.path, durable=False) as file:
            file.write(record)

    def settle(self, order: Sequence[Name]) -> None:
        """Put the records into this order, those not named behind it, and drop what was played again. Raises OSError.

        So the file is the same whichever way it came about.
        """
        self.refresh()
        if self._in_order(order):
            return
        with self._lock():
            self.refresh()
            if self._in_order(order):
                return
            places = self._ordered(order)
            part = self.path.with_name(f".{TRAJECTORIES}.part")
            with open(part, "wb") as file:
                for place in places:
                    file.write(self._line(place))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        self.refresh()

    def _in_order(self, order: Sequence[Name]) -> bool:
        places = self._ordered(order)
        whole = sum(place.length for place in places) == (os.stat(self.path).st_size if places else 0)
        return whole and all(first.offset < second.offset for first, second in pairwise(places))

    def _ordered(self, order: Sequence[Name]) -> list[Place]:
        wanted = [name for name in order if name in self.places]
        named = set(wanted)
        return [self.places[name] for name in (*wanted, *(name for name in self.places if name not in named))]

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
