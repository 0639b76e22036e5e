"""The files of a packed run, read with suspicion."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import Field

from fireact.capsule.contents import CONFIG, JOBS, MANIFEST, METRICS
from fireact.errors import DataError
from fireact.jsonl import decode, decode_text, open_file
from fireact.paper.runs import ROWS

T = TypeVar("T")
Summaries = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Stage:
    """A stage of the run's manifest."""

    key: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    records: str | None = None
    """The digest of its episodes, where it played some."""


@dataclass(frozen=True)
class _Manifest:
    stages: dict[str, Stage]


@dataclass(frozen=True)
class Metrics:
    """The numbers of a run, as far as they are computed again."""

    generate: Summaries = field(default_factory=dict)
    evaluate: dict[str, Summaries] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PackedRun:
    """One run of a capsule."""

    name: str
    stages: Mapping[str, Stage]
    metrics: Metrics
    claims: Mapping[str, Any]
    """The whole of metrics.json."""
    jobs: Mapping[str, Mapping[str, Any]]
    """By the labels of their stages, as they are packed."""
    config: Mapping[str, Any]
    rows: list[dict[str, Any]] | None
    """results.jsonl."""


def read_run(folder: Path, name: str) -> PackedRun:
    """Read a run's files. Raises DataError."""
    rows = _text(folder / ROWS).splitlines() if (folder / ROWS).exists() else None
    return PackedRun(name, _read(_Manifest, folder / MANIFEST).stages, _read(Metrics, folder / METRICS),
                     _read(dict[str, Any], folder / METRICS), _read(dict[str, dict[str, Any]], folder / JOBS),
                     _yaml(folder / CONFIG),
                     rows if rows is None else [decode(dict[str, Any], row, f"the capsule's {ROWS}") for row in rows])


def _read(cls: type[T], path: Path) -> T:
    return decode(cls, _text(path), f"the capsule's {path.parent.name}/{path.name}")


def _yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(_text(path))
        return decode(dict[str, Any], json.dumps(values), f"the capsule's {path.name}")
    except (yaml.YAMLError, TypeError, ValueError, RecursionError):
        raise DataError(f"the capsule's {path.parent.name}/{path.name} is no configuration; it was not made by pack"
                        ) from None


def _text(path: Path) -> str:
    with open_file(path) as file:
        return decode_text(file.read(), f"the capsule's {path.name}")
