"""The stage store: every piece of work is done once, under a key made of all that can change its result.

    outputs/store/<stage>/<key>/     job-*.json, the stage's files, and done.json once it is finished

A key is a hash of the stage's version, of the options that matter to it, and of the keys of its inputs. Options marked
`RUNTIME` (threads, batch size, a folder) stay out of it, files count by their content, so a key is the same on every
machine.
"""

import hashlib
import inspect
import json
import os
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from fireact.errors import ConfigError, DataError
from fireact.options import ADDED, CONTENT, REPLY, RUNTIME
from fireact.plugins import Node, are_nodes, hint, is_node, target, validated

DONE = "done.json"
"""Written last: a stage whose folder has it is finished."""
FAILED = "failed.txt"
"""Why the last try at an unfinished stage failed, in one sentence."""
CHECKSUMS = "checksums"
"""Where it notes those of what the stage made, see `need_unchanged`."""

_WHOLE, _BLOCK = 1 << 22, 1 << 20
_WEIGHTS = {".safetensors", ".bin", ".gguf"}
"""A model's weights of more than `_WHOLE` bytes are hashed by size, head and tail, all other files whole."""


@dataclass(frozen=True)
class Store:
    """The folder in which finished stages are kept."""

    root: Path

    def folder(self, stage: str, key: str) -> Path:
        """Where a stage's files are, or will be."""
        return self.root / stage / key

    @property
    def home(self) -> Path:
        """Where plug-ins keep what they build once: datasets, indexes, converted weights."""
        return self.root / "home"


def key(**material: Any) -> str:
    """Return 16 hex digits that stand for `material` (plain values)."""
    text = json.dumps(material, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def identity(node: Node, *, replies: bool = True) -> dict[str, Any]:
    """Return what of a plug-in's node can change a result: class, revision, and options, defaults included.

    Without `replies`, the result is one in which the model does not reply: a curated set, an adapter. A class whose
    options stand for something else has a `counted`, which is given them and returns what counts in their place.
    """
    cls = target(node, "")
    ignored = {RUNTIME} if replies else {RUNTIME, REPLY}
    values = {"_target_": node["_target_"], "revision": getattr(cls, "revision", 1)}
    if not cls.__module__.startswith("fireact."):
        # A user's own plug-in is still being written: its file stands for its behaviour.
        values["file"] = fingerprint(Path(inspect.getfile(cls)))
    for field in fields(cls):
        marks = get_args(hint(cls, field.name))[1:]
        if ADDED in marks and node.get(field.name, field.default) == field.default:
            continue
        if field.init and not any(mark in ignored for mark in marks if isinstance(mark, str)):
            value = _value(cls, field, node)
            is_path = CONTENT in marks and isinstance(value, str) and Path(value).exists()
            values[field.name] = _plain(Path(value) if is_path else value)
    return cls.counted(values) if hasattr(cls, "counted") else values


def _value(cls: type, field: Any, node: Node) -> Any:
    given = node.get(field.name)
    if is_node(given):
        return identity(given)
    if are_nodes(given):
        # Their names are for people, their order is the one in which a model is told of them.
        return [identity(part) for part in given.values()]
    if field.name in node:
        return validated(cls, field.name, node[field.name], field.name)
    if field.default is not MISSING:
        return field.default
    return None if field.default_factory is MISSING else field.default_factory()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return fingerprint(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(vars(value))
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def fingerprint(path: Path) -> str:
    """Return a hash of a file's or folder's content. Raises ConfigError where there is none."""
    if not path.exists():
        raise ConfigError(f"{path} does not exist; check the path, which is taken from the folder you started in")
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return _digest(path.absolute(), tuple((file.relative_to(path).as_posix(), file.stat().st_size,
                                           file.stat().st_mtime_ns) for file in files))


def checksums(folder: Path) -> dict[str, str]:
    """The hashes of a model's files, each of the whole file, by name; without its card. Raises OSError."""
    found = {}
    for file in sorted(file for file in folder.iterdir() if file.suffix in (".safetensors", ".json", ".jinja")):
        digest = hashlib.sha256()
        with file.open("rb") as handle:
            while block := handle.read(_BLOCK):
                digest.update(block)
        found[file.name] = digest.hexdigest()
    return found


def need_unchanged(made: Path, stage: Path) -> None:
    """Refuse a folder whose files are not those that a `stage` noted when it had made them. Raises DataError."""
    done = stage / DONE
    noted = json.loads(done.read_text(encoding="utf-8")).get(CHECKSUMS) if done.exists() else None
    if not noted:
        return
    here = checksums(made) if made.is_dir() else {}
    changed = next((name for name in sorted({*noted, *here}) if here.get(name) != noted.get(name)), None)
    if changed:
        raise DataError(f"{made / changed} is not what was written there; put that back, delete {stage} to have it "
                        f"made anew, or take the folder as it is by inputs.adapter={made}")


@cache
def _digest(path: Path, files: tuple[tuple[str, int, int], ...]) -> str:
    """Hash names, sizes and contents. The times of change are there for the cache alone: what changed is read again."""
    digest = hashlib.sha256()
    for name, size, _ in files:
        digest.update(f"{name}:{size}:".encode())
        for part in _content(path / name, size):
            digest.update(part)
    return digest.hexdigest()[:16]


def _content(file: Path, size: int) -> Iterator[bytes]:
    with file.open("rb") as handle:
        if size > _WHOLE and file.suffix in _WEIGHTS and not file.name.startswith("adapter_"):
            yield handle.read(_WHOLE // 2)
            handle.seek(-(_WHOLE // 2), os.SEEK_END)
        while block := handle.read(_BLOCK):
            yield block
