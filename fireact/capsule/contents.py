"""What is in a capsule, and where.

    capsule.json                    the format, who made it, and the sha256 of every other file
    runs/<number>/                  config.yaml, manifest.json, metrics.json, results.jsonl, jobs.json
    store/generate/<key>/           trajectories.jsonl
    store/curate/<key>/             train.jsonl, validation.jsonl, funnel.json, ...
    store/train/<key>/adapter/      the adapter, or the whole model
    files/<fingerprint>...          the user's own files of questions, passages and examples
    tape.jsonl                      the calls that the runs' jobs were answered with
    requirements.lock
"""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fireact.errors import DataError
from fireact.jsonl import decode, encode

FORMAT = 1
"""Raised when a capsule is no longer read as before; `verify` refuses newer ones."""
CAPSULE, TAPE, LOCK = "capsule.json", "tape.jsonl", "requirements.lock"
CONFIG, MANIFEST, METRICS, JOBS = "config.yaml", "manifest.json", "metrics.json", "jobs.json"
PLACE = "capsule:"
"""Begins a path that leads into the capsule."""
_NAME = re.compile(r"(?!\.\.?(/|$))[\w.+=@-]{1,200}(/(?!\.\.?(/|$))[\w.+=@-]{1,200}){0,15}", re.ASCII)


@dataclass(frozen=True)
class File:
    """One file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Capsule:
    """capsule.json."""

    format: int
    fireact: str
    commit: str | None
    runs: list[str]
    """The names of the run directories; the first is in runs/0."""
    left_out: list[str]
    """What the runs were made with and is not in here, in words."""
    files: dict[str, File]
    """All other files by their names."""

    def text(self) -> str:
        """What the file holds."""
        return json.dumps(json.loads(encode(self)), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @property
    def digest(self) -> str:
        """16 hex digits that stand for the whole content."""
        return sha256(self.text().encode()).hexdigest()[:16]


def read_capsule(data: bytes, where: str) -> Capsule:
    """Read capsule.json. Raises DataError for what is none, or is of a newer format."""
    try:
        told = json.loads(data)
        version = told["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{where} is no capsule: its {CAPSULE} tells no format") from None
    if not isinstance(version, int) or not 1 <= version <= FORMAT:
        raise DataError(f"{where} is a capsule of format {version}, and this FireAct reads formats up to {FORMAT}; "
                        f"verify it with a newer one (it was made by {str(told.get('fireact'))[:20]})")
    found = decode(Capsule, data.decode("utf-8", "replace"), f"{where}: {CAPSULE}")
    for name in found.files:
        if not is_safe(name):
            raise DataError(f"{where} is unsafe: it names the file {name!r}, which is no plain path inside a folder")
    return found


def is_safe(name: str) -> bool:
    """Whether a file's name stays inside the folder it is unpacked to, on every system."""
    return _NAME.fullmatch(name) is not None


def file_of(content: bytes | Path) -> File:
    """Look at a file, or at what is to be one. Raises OSError."""
    if isinstance(content, bytes):
        return File(sha256(content).hexdigest(), len(content))
    digest, size = sha256(), 0
    with content.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return File(digest.hexdigest(), size)


def as_json(values: Any) -> bytes:
    """Plain values as a file."""
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace")
