"""The axes of a sweep that did not write them down: what its cells' configurations differ in.

Selecting another strategy changes several options at once, so of options of one node that change together one stands
for all: the class, else the name, else the first that tells as many values apart.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from fireact.plugins import plugin_name
from fireact.study.files import leaves, word

Choices = dict[str, str]
_TELLING = ("_target_", "name")
"""The options of a node by which it is called, and its axis by the node alone."""
_NO_AXES = ("worker", "store", "wandb", "name")
"""What shares out or files the work, and changes none of it."""


def derive(configs: Sequence[Mapping[str, Any]]) -> tuple[dict[str, list[str]], list[Choices]]:
    """Return the values of each axis in the order in which they are met, and each cell's choices; {} of one without
    a configuration, whose values nobody knows."""
    flat = [leaves(config) if config else {} for config in configs]
    known = [values for values in flat if values]
    keys = dict.fromkeys(key for values in known for key in values if key.split(".")[0] not in _NO_AXES)
    columns = {key: [word(values.get(key)) for values in known] for key in keys}
    varied = {key: column for key, column in columns.items() if len(set(column)) > 1}
    kept = [key for key in varied if not any(_stands_for(other, key, varied) for other in varied if other != key)]
    names = {key: _axis(key) for key in kept}
    axes = {names[key]: list(dict.fromkeys(_value(key, value) for value in varied[key])) for key in kept}
    choices = [{names[key]: _value(key, word(values.get(key))) for key in kept} if values else {} for values in flat]
    return axes, choices


def _stands_for(other: str, key: str, columns: Mapping[str, Sequence[Hashable]]) -> bool:
    """Whether the option `other` tells all that `key` tells, and is the one to be named."""
    if other.split(".")[0] != key.split(".")[0]:
        return False
    pairs = set(zip(columns[other], columns[key], strict=True))
    if len(pairs) > len(set(columns[other])):
        return False
    alike = len(pairs) == len(set(columns[key]))
    return not alike or _rank(other, columns) < _rank(key, columns)


def _rank(key: str, columns: Mapping[str, Sequence[Hashable]]) -> tuple[int, int, int]:
    last = key.rpartition(".")[2]
    return (_TELLING.index(last) if last in _TELLING else len(_TELLING), key.count("."), list(columns).index(key))


def _axis(key: str) -> str:
    node, _, last = key.rpartition(".")
    return node if last in _TELLING and node else key


def _value(key: str, value: str) -> str:
    return plugin_name({"_target_": value}) if key.endswith("_target_") else value
