"""Make what a run was made with fit for another machine: configurations and jobs without its folders and addresses.

Options that cannot change a result go no further where they may tell of the machine. A path becomes the place in the
capsule of what is there; or, for weights, the fingerprint of it: in a key one stands for the other (`store.identity`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from fireact.capsule.contents import PLACE
from fireact.errors import DataError
from fireact.options import CONTENT, RUNTIME
from fireact.plugins import Node, are_nodes, hint, is_node, own_options, target
from fireact.store import fingerprint

_PLATFORM = re.compile(r"x86_64|aarch64|arm64|amd64", re.IGNORECASE)
_WEIGHTS = {"model", "teacher", "train"}
"""Groups whose paths lead to weights."""
_FOLDERS = {"adapter", "curated", "files", "folder", "library"}
"""Fields of jobs."""
_NOT_SHARED: Mapping[str, Mapping[str, Any]] = {
    "tape": {"file": None}, "budget": {"ledger": None}, "publish": {"repo": None, "converter": None}}


@dataclass
class Portable:
    """Gathers the user's files on the way."""

    with_data: bool = True
    """Whether files of questions, passages and examples go along."""
    contents: dict[str, bytes | Path] = field(default_factory=dict)
    """Those files, by their names in the capsule."""
    left_out: dict[str, None] = field(default_factory=dict)
    """What does not go along, in words, in order."""

    def config(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A whole configuration. Raises ConfigError for a file whose name another system may not bear."""
        told = {name: self._group(name, value) for name, value in values.items()}
        for section, changed in _NOT_SHARED.items():
            told[section] = {**told.get(section, {}), **changed}
        return {**told, "store": "store", "wandb": {"mode": "disabled"}, "inputs": self._inputs(values["inputs"])}

    def _inputs(self, given: Mapping[str, Any]) -> dict[str, Any]:
        files = given.get("trajectories") or []
        return {"trajectories": [self.file(each, "inputs.trajectories")
                                 for each in (files if isinstance(files, list) else [files])],
                **{name: fingerprint(Path(given[name])) if given.get(name) else None
                   for name in ("curated", "adapter", "player")}}

    def job(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A job, whose folders are the caller's to fill in."""
        return {name: self._group(name, value) for name, value in values.items()}

    def _group(self, name: str, value: Any) -> Any:
        """An option, with all nodes in it."""
        if is_node(value):
            return self._node(value, name)
        if isinstance(value, Mapping):
            return {part: self._group(name if name in ("dataset", "strategy", "parts") else part, one)
                    for part, one in value.items()}
        return [self._group(name, one) for one in value] if isinstance(value, list) else value

    def _node(self, node: Node, where: str) -> Node:
        cls, told = target(node, where), {}
        for name, value in node.items():
            option = hint(cls, name) if name != "_target_" else str
            if is_node(value):
                told[name] = self._node(value, where)
            elif are_nodes(value):
                told[name] = {part: self._node(node, where) for part, node in value.items()}
            elif RUNTIME in get_args(option)[1:] and not _tells_nothing(value, option):
                continue
            else:
                told[name] = self._option(value, option, name, where)
        return _without_address(cls, told)

    def _option(self, value: Any, option: Any, name: str, where: str) -> Any:
        is_path = leads_somewhere(option, name, value) and Path(value).exists()
        if not is_path:
            return value
        return (self.mark if where in _WEIGHTS else self.file)(value, f"{where}.{name}")

    def mark(self, given: str | Path, where: str) -> str:
        """Leave a file or folder here; return the fingerprint that stands for it. Raises ConfigError."""
        mark = fingerprint(Path(given))
        self.left_out[f"{where} ({Path(given).name}, fingerprint {mark})"] = None
        return mark

    def file(self, given: str | Path, where: str) -> str:
        """Take a file or folder along; return its place. Raises ConfigError, OSError."""
        path = Path(given)
        if not self.with_data:
            return self.mark(given, where)
        mark = fingerprint(path)
        ending = path.suffix.lower() if path.is_file() and re.fullmatch(r"\.\w{1,10}", path.suffix, re.ASCII) else ""
        name = f"files/{mark}{ending}"
        self.add(name, path)
        return PLACE + name

    def add(self, name: str, path: Path) -> None:
        """Take a file, or all files of a folder. Raises OSError."""
        if path.is_file():
            self.contents[name] = path.resolve()
        else:
            self.contents.update({f"{name}/{file.relative_to(path).as_posix()}": file.resolve()
                                  for file in sorted(path.rglob("*")) if file.is_file()})


def leads_somewhere(option: Any, name: str, value: Any) -> bool:
    """Whether an option's value may be a path, by the option's type; a strategy's prompt is one if it has a slash."""
    if not isinstance(value, (str, Path)):
        return False
    typed = CONTENT in get_args(option)[1:] or Path in (option, *get_args(option), *get_args(next(
        iter(get_args(option)), None)))
    return typed or (name == "prompt" and "/" in str(value))


def _tells_nothing(value: Any, option: Any) -> bool:
    """Whether an option that changes no result may stay: numbers, and what is chosen of given words."""
    if isinstance(value, Mapping):
        return all(_tells_nothing(part, None) for part in value.values())
    if isinstance(value, (list, tuple)):
        return all(_tells_nothing(part, None) for part in value)
    return value is None or isinstance(value, (bool, int, float)) or (
        get_origin(next(iter(get_args(option)), None)) is Literal)


def _without_address(cls: type, node: Node) -> Node:
    """Of a model behind an endpoint the name of its family, as keys have it: without scheme, and of several the first.

    Where no family was given that is the address itself, which is on the tape too.
    """
    if "base_url" not in node or "family" not in own_options(node):
        return node
    counted = cls.counted({"family": None, **node})  # type: ignore[attr-defined]
    return {**node, "base_url": None, "family": counted["family"]}


def manifest(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's manifest tells others: versions, and of each stage its key, its seconds and its records."""
    system = str(values.get("platform", ""))
    kind = " ".join([system.partition("-")[0], *_PLATFORM.findall(system)[:1]])
    stages = {label: {name: value for name, value in told.items() if name in ("key", "seconds", "records")}
              for label, told in values["stages"].items()}
    return {**{name: values.get(name) for name in ("python", "commit", "packages")}, "platform": kind, "stages": stages}


def placed(values: Any, root: Path) -> Any:
    """Plain values with the places in the capsule as paths below `root`. Raises DataError for one that is not there."""
    if isinstance(values, Mapping):
        return {name: placed(value, root) for name, value in values.items()}
    if isinstance(values, list):
        return [placed(value, root) for value in values]
    if isinstance(values, str) and values.startswith(PLACE):
        path = root / values.removeprefix(PLACE)
        if not path.resolve().is_relative_to(root.resolve()) or not path.exists():
            raise DataError(f"the capsule names {values!r}, which is not in it; it is damaged or forged")
        return str(path)
    return values


def foreign(values: Any, where: str) -> str:
    """Say which node of a packed job is code of somebody's own, which is never run; nothing where none is.

    Raises DataError for options that would read this machine's files, or that are none.
    """
    if isinstance(values, list):
        return next(filter(None, (foreign(value, where) for value in values)), "")
    if not isinstance(values, Mapping):
        return ""
    if is_node(values):
        if not str(values["_target_"]).startswith("fireact."):
            return f"{where} is {values['_target_']}, code of somebody's own, which a capsule neither has nor runs"
        elsewhere = getattr(target(values, where), "elsewhere", "")
        if elsewhere:
            return f"{where} needs {elsewhere}"
        _need_inside(values, where)
    for name in _FOLDERS & values.keys():
        for path in values[name] if isinstance(values[name], list) else [values[name]]:
            _need_place(path, f"{where}.{name}")
    return next(filter(None, (foreign(value, f"{where}.{name}") for name, value in values.items())), "")


def _need_inside(node: Node, where: str) -> None:
    cls = target(node, where)
    known = {field.name for field in fields(cls)}
    for name, value in node.items():
        if name == "_target_":
            continue
        if name not in known:
            raise DataError(f"the capsule's {where}.{name} is not an option of {cls.__name__}; it was made by another "
                            "version of FireAct, or not by pack")
        if leads_somewhere(hint(cls, name), name, value):
            _need_place(value, f"{where}.{name}")


def _need_place(value: Any, where: str) -> None:
    if isinstance(value, str) and not value.startswith(PLACE) and (
            value.startswith(("/", "~", "\\")) or ".." in value or ":\\" in value):
        raise DataError(f"the capsule's {where}={value[:80]!r} is a path outside of it; it was not made by pack")
