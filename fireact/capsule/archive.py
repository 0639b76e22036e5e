"""The file of a capsule: a zip whose bytes follow from its content alone, and that is unpacked with suspicion."""

import errno
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from fireact.capsule.contents import CAPSULE, Capsule, read_capsule
from fireact.errors import DataError

_TIME = (1980, 1, 1, 0, 0, 0)
_BLOCK = 1 << 20
_MOST_TOLD = 1 << 26
"""Bytes of capsule.json."""
_MOST, _RATIO = 1 << 30, 100
"""A capsule may unpack to so many bytes, and so many times its own size on top: text seldom shrinks to a thirtieth."""
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError, ValueError, RuntimeError)
"""What zipfile raises for a file that is damaged, encrypted, or packed in a way of its own."""


def write(path: Path, capsule: Capsule, contents: Mapping[str, bytes | Path]) -> None:
    """Write the file. The same content gives the same bytes, whenever and by whomever it is packed. Raises OSError."""
    part = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            archive.writestr(_entry(CAPSULE), capsule.text(), compresslevel=6)
            for name in sorted(contents):
                content = contents[name]
                if isinstance(content, bytes):
                    archive.writestr(_entry(name), content, compresslevel=6)
                    continue
                with content.open("rb") as source, archive.open(_entry(name), "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, _BLOCK)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    return entry


def unpack(path: Path, to: Path) -> Capsule:
    """Unpack into the folder `to`, which is made, and hold every file against its checksum.

    Nothing but plain files with plain names is ever made, none that capsule.json does not name with its size, and no
    more bytes than fit the capsule's own size and the disk. Raises DataError for anything else.
    """
    if not path.is_file():
        raise DataError(f"{path} is no file; name a capsule, e.g. <time>-<id>.capsule.zip")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(path, archive)
            capsule = read_capsule(_first(path, archive, entries), str(path))
            _need_listed(path, capsule, entries)
            to.mkdir(parents=True)
            _need_room(path, capsule, to)
            for name in capsule.files:
                _unpack(path, capsule, archive, entries[name], to / name)
    except (*_BROKEN, OSError) as error:
        # A place outside of the file, which a damaged list of files may name, is an invalid argument to the system.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise DataError(f"{path} is no capsule, or it is damaged ({error}); have it sent again") from None
    return capsule


def _entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The archive's files by name. Raises DataError for one that is something else, or there twice."""
    found: dict[str, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for entry in archive.infolist():
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.is_dir() or kind not in (0, stat.S_IFREG):
            raise DataError(f"{path} is unsafe: {entry.filename!r} is no plain file; a capsule has no folders, links "
                            "or devices")
        # On some file systems names that differ in case alone are the same file.
        if entry.filename.lower() in seen:
            raise DataError(f"{path} is unsafe: it has the file {entry.filename!r} twice")
        seen.add(entry.filename.lower())
        found[entry.filename] = entry
    return found


def _first(path: Path, archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> bytes:
    if CAPSULE not in entries:
        raise DataError(f"{path} is no capsule: it has no {CAPSULE}")
    with archive.open(entries[CAPSULE]) as file:
        data = file.read(_MOST_TOLD + 1)
    if len(data) > _MOST_TOLD:
        raise DataError(f"{path} is unsafe: its {CAPSULE} has more than {_MOST_TOLD:,} bytes")
    return data


def _need_listed(path: Path, capsule: Capsule, entries: Mapping[str, zipfile.ZipInfo]) -> None:
    stray = next((name for name in entries if name not in {*capsule.files, CAPSULE}), None)
    if stray is not None:
        raise DataError(f"{path} is unsafe: it has the file {stray[:80]!r}, which its {CAPSULE} does not name")
    missing = next((name for name in capsule.files if name not in entries), None)
    if missing is not None:
        raise DataError(f"{path} is damaged: the file {missing} is missing; have it sent again")


def _need_room(path: Path, capsule: Capsule, to: Path) -> None:
    whole, free = sum(file.bytes for file in capsule.files.values()), shutil.disk_usage(to).free
    if whole > _MOST + _RATIO * path.stat().st_size:
        raise DataError(f"{path} is unsafe: {path.stat().st_size:,} bytes would become {whole:,}, more than any text "
                        "is packed to")
    if whole > free:
        raise DataError(f"{path} unpacks to {whole:,} bytes, and {to} has {free:,} left; name a folder with more room "
                        "by --work")


def _unpack(path: Path, capsule: Capsule, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, to: Path) -> None:
    wanted, digest, size = capsule.files[entry.filename], sha256(), 0
    to.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, to.open("xb") as target:
        while size <= wanted.bytes and (block := source.read(_BLOCK)):
            size += len(block)
            digest.update(block)
            target.write(block)
    if size != wanted.bytes or digest.hexdigest() != wanted.sha256:
        raise DataError(f"{path} is damaged: {entry.filename} is not the file that was packed (sha256 "
                        f"{digest.hexdigest()[:12]}, expected {wanted.sha256[:12]}); have it sent again")
