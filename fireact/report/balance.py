"""In which order questions are taken where a page has no room for all of them."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from hashlib import sha256
from itertools import zip_longest
from typing import TypeVar

T = TypeVar("T")


def balanced(items: Iterable[T], name: Callable[[T], str], outcome: Callable[[T], Hashable],
             variety: Callable[[T], Hashable]) -> list[T]:
    """Order `items` so that any prefix holds outcomes in equal parts, and within an outcome every variety.

    Which of equals comes first depends on nothing but the item's name.
    """
    shuffled = sorted(items, key=lambda item: sha256(name(item).encode("utf-8", "replace")).digest())
    return _interleaved([_interleaved(_groups(part, variety)) for part in _groups(shuffled, outcome)])


def _groups(items: Iterable[T], label: Callable[[T], Hashable]) -> list[list[T]]:
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[label(item)].append(item)
    return list(groups.values())


def _interleaved(groups: Iterable[Sequence[T]]) -> list[T]:
    return [item for layer in zip_longest(*groups) for item in layer if item is not None]
