"""Reading and writing JSONL: one record a line, errors that name file and line, appends that survive a kill.

A line counts once its newline is on disk. What a killed process left behind it is no record: `read_finished` passes
over it and `Appender` cuts it off before writing on.
"""

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from fireact.errors import ConfigError, DataError

_BOM = b"\xef\xbb\xbf"
_BLOCK = 1 << 16


class _Named(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T")
N = TypeVar("N", bound=_Named)


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading bytes. Raises DataError where it is missing, a directory or not readable."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected a file that can be read, check the path") from None


def read_jsonl(path: Path, cls: type[T]) -> Iterator[T]:
    """Yield every line as a `cls`; blank lines are passed over. Raises DataError, naming file and line."""
    return (record for _, record in read_located(path, cls))


def read_finished(path: Path, cls: type[T]) -> Iterator[T]:
    """Like `read_jsonl`, but pass over a last line without a newline: its writer was killed, or is still at it."""
    return (record for _, record in _records(path, cls, finished_only=True))


def read_located(path: Path, cls: type[T]) -> Iterator[tuple[str, T]]:
    """Like `read_jsonl`, and say with each record where it stands, as 'path:line'."""
    return _records(path, cls, finished_only=False)


def distinct(located: Iterable[tuple[str, N]]) -> Iterator[N]:
    """Yield the records of (where, record). Raises DataError where an id comes twice."""
    first: dict[str, str] = {}
    for where, record in located:
        if record.id in first:
            raise DataError(f"{where}: the id {record.id!r} was already used at {first[record.id]}; "
                            "give every record an id of its own")
        first[record.id] = where
        yield record


def decode_text(data: bytes, where: str) -> str:
    """Decode UTF-8, with or without a byte order mark. Raises DataError."""
    try:
        return data.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: the byte {data[error.start]:#04x} is not UTF-8; save the file as UTF-8") from None


def repair(path: Path) -> None:
    """Cut off what follows the last newline. Raises OSError."""
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n":
                return
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)


class Appender:
    """Writes records behind those that a JSONL file holds already. Its folder must exist; one process at a time.

    Raises OSError (a full disk, no permission) unchanged. A record whose write failed leaves nothing in the file.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        """Open `path`, which may not exist yet, and cut off an unfinished last line.

        `durable`: whether to wait for the disk when closing.
        """
        self._file, self._durable = FileIO(path, "ab"), durable
        try:
            repair(path)
        except OSError:
            self._file.close()
            raise

    def write(self, record: Any) -> None:
        """Append a dataclass as one line, which is with the operating system when this returns."""
        # A lone half of a surrogate pair in a model's reply has no UTF-8 form; '?' keeps the record readable.
        line = memoryview(f"{encode(record)}\n".encode("utf-8", "replace"))
        size = os.fstat(self._file.fileno()).st_size
        try:
            while line:
                line = line[self._file.write(line):]
        except OSError:
            self._file.truncate(size)
            raise

    def close(self) -> None:
        """Wait until all is on the disk, if that is wanted, then close. Closing twice does no harm."""
        if self._file.closed:
            return
        try:
            if self._durable:
                os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def __enter__(self) -> "Appender":
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def need_place(option: str, path: Path) -> None:
    """Refuse a file that a user has named and that cannot be written, before the work for it. Raises ConfigError."""
    with suppress(OSError):
        if path.parent.is_dir() and not path.is_dir() and path.name:
            return
    raise ConfigError(f"{option} {str(path)[:200]} is no file that can be written; name one in a folder that exists")


def write_atomic(path: Path, text: str) -> None:
    """Write a whole file, so that a reader finds the old text or the new and never a part. Raises OSError."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "wb") as file:
            file.write(text.encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _records(path: Path, cls: type[T], *, finished_only: bool) -> Iterator[tuple[str, T]]:
    with open_file(path) as file:
        for number, line in enumerate(file, 1):
            if finished_only and not line.endswith(b"\n"):
                return
            where = f"{path}:{number}"
            text = decode_text(line, where).strip()
            if text:
                yield where, decode(cls, text, where)


@cache
def _adapter(cls: type) -> TypeAdapter:
    return TypeAdapter(cls)


def encode(record: Any) -> str:
    """Write a record as one line of JSON."""
    try:
        return _adapter(type(record)).dump_json(record, warnings="none").decode()
    except PydanticSerializationError:
        # A lone half of a surrogate pair in a model's reply has no UTF-8 form.
        return json.dumps(asdict(record), ensure_ascii=False, separators=(",", ":"))


def decode(cls: type[T], line: str, where: str) -> T:
    """Read one line of JSON as a `cls`; `where` (file and line) begins the sentence of the DataError it may raise."""
    try:
        return _adapter(cls).validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the line"
        raise DataError(f"{where}: {place}: {first['msg']}, got {str(first['input'])[:80]!r}; "
                        f"expected one {cls.__name__} as JSON a line") from None
