"""The small files of a run directory or a sweep's, read so that a damaged one costs no more than itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fireact.errors import NewerVersion, first_line
from fireact.types import RUN_VERSION

CONFIG, METRICS, MANIFEST, RESULTS = "config.yaml", "metrics.json", "manifest.json", "results.jsonl"
SWEEP, HYDRA_SWEEP = "sweep.json", "multirun.yaml"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML has it: ten times as fast."""


@dataclass
class Reader:
    """Reads, and keeps a sentence for each thing that it could not read."""

    skipped: list[str] = field(default_factory=list)

    def json(self, path: Path, parts: Mapping[str, type]) -> dict[str, Any]:
        """The object in a JSON file; {} where there is none, or nothing that can be read.

        Of its `parts` those are left out that do not map names to values of this type. Raises NewerVersion.
        """
        values = _current(self._mapping(path, json.loads), path)
        for name, kind in parts.items():
            part = values.get(name, {})
            if not isinstance(part, dict) or not all(isinstance(each, kind) for each in part.values()):
                self.skipped.append(f"{path}: its {name!r} is {str(part)[:60]!r}, which is of another form")
                del values[name]
        return values

    def config(self, path: Path) -> dict[str, Any]:
        """A run's resolved configuration; {} where there is none, or nothing that can be read."""
        return self._mapping(path, lambda text: yaml.load(text, Loader=_Loader))

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
