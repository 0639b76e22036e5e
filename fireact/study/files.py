"""The small files of a run directory or a sweep's, read so that a damaged one costs no more than itself."""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fireact.errors import NewerVersion, first_line
from fireact.plugins import expected
from fireact.study.shapes import Configuration, Shape
from fireact.types import RUN_VERSION

CONFIG, METRICS, MANIFEST, RESULTS = "config.yaml", "metrics.json", "manifest.json", "results.jsonl"
SWEEP, HYDRA_SWEEP = "sweep.json", "multirun.yaml"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML has it: ten times as fast."""


@dataclass
class Reader:
    """Reads, and keeps a sentence for each thing that it could not read."""

    skipped: list[str] = field(default_factory=list)

    def json(self, path: Path, shape: type[Shape]) -> dict[str, Any]:
        """The object in a JSON file; {} where there is none, or nothing that can be read.

        Parts that are of another shape are left out. Raises NewerVersion.
        """
        return self._shaped(_current(self._mapping(path, json.loads), path), shape, path)

    def config(self, path: Path) -> dict[str, Any]:
        """A run's resolved configuration; {} where there is none, or nothing that can be read."""
        values = self._mapping(path, lambda text: yaml.load(text, Loader=_Loader))
        return self._shaped(values, Configuration, path)

    def _shaped(self, values: dict[str, Any], shape: type[Shape], path: Path) -> dict[str, Any]:
        try:
            shape.model_validate(values)
        except ValidationError as failure:
            first = {str(error["loc"][0]): error for error in reversed(failure.errors())}
            self.skipped += [_sentence(path, part, error) for part, error in first.items()]
            return {name: value for name, value in values.items() if name not in first}
        return values

    def _mapping(self, path: Path, parse: Any) -> dict[str, Any]:
        try:
            values = parse(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            self.skipped.append(f"{path}: it cannot be read ({' '.join(first_line(error).split())})")
            return {}
        if not isinstance(values, dict):
            self.skipped.append(f"{path}: it holds {str(values)[:60]!r} in place of names and values")
            return {}
        return values


def _current(values: dict[str, Any], path: Path) -> dict[str, Any]:
    version = values.get("version", RUN_VERSION)
    if isinstance(version, int) and version > RUN_VERSION:
        raise NewerVersion(f"{path}: a newer FireAct wrote these results (version {version}, here up to "
                           f"{RUN_VERSION}); update FireAct to read them")
    return values


def _sentence(path: Path, part: str, error: Any) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{path}: its {part!r} is left out, for {place} is {reprlib.repr(error['input'])} ({expected(error)})"


def leaves(values: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings: "train.rank" -> 8. A list, and an empty mapping, is one value."""
    if not isinstance(values, Mapping) or not values:
        return {prefix: values}
    found: dict[str, Any] = {}
    for name, value in values.items():
        found.update(leaves(value, f"{prefix}.{name}" if prefix else str(name)))
    return found


def word(value: Any) -> str:
    """Write a value of a configuration as the command line has it."""
    return value if isinstance(value, str) else json.dumps(value)
