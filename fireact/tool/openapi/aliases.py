"""YAML of others, whose aliases may stand for far more than is written."""

from typing import Any

SMALL = 10_000_000
"""Characters and values that any text may stand for; a longer one than a tenth of that for ten times its length."""


def load(text: str) -> Any:
    """What YAML stands for, with dates as text. Raises yaml.YAMLError, RecursionError, ValueError."""
    import yaml

    class Loader(yaml.SafeLoader):
        """One that has no dates."""

    def told(loader: Any, node: Any) -> str:
        return str(loader.construct_yaml_timestamp(node))

    Loader.add_constructor("tag:yaml.org,2002:timestamp", told)
    loader = Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        if _size(root, {}) > max(SMALL, 10 * len(text)):  # Before merges are made, and JSON is written.
            raise ValueError("its aliases stand for far more than is written")
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _size(node: Any, sizes: dict[int, int]) -> int:
    """Values and characters that a node of YAML stands for; `sizes` are those of the nodes seen before."""
    if id(node) not in sizes:
        sizes[id(node)] = 0  # For one that holds itself.
        parts = node.value
        if isinstance(parts, list):
            within = [part for pair in parts for part in (pair if isinstance(pair, tuple) else (pair,))]
            sizes[id(node)] = 1 + sum(_size(part, sizes) for part in within)
        else:
            sizes[id(node)] = 1 + len(parts)
    return sizes[id(node)]
