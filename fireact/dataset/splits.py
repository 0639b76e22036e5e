"""What the datasets share: a source a split, and the seeded order of their questions."""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Protocol

from fireact.dataset.rows import Row
from fireact.errors import ConfigError, DataError, suggest
from fireact.jsonl import distinct
from fireact.options import CONTENT
from fireact.types import Question

Source = Annotated[str | None, CONTENT]
"""The type of a field that names a source, see `rows`; None where there is none."""

PAPER_SEED = 233
"""The first 500 of HotpotQA's dev questions, shuffled with this seed, are the paper's (FireAct's generation.py)."""
_IDS = ("id", "_id", "qid")


class HasSplits(Protocol):
    """A dataset with a source a split."""

    train: str | None
    validation: str | None
    test: str | None


def sources_of(dataset: HasSplits) -> dict[str, str | None]:
    """The source of each split, by the split's name."""
    return {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}


def source_of(sources: Mapping[str, str | None], split: str) -> str:
    """The source of a split. Raises ConfigError for a split that is unknown or has none."""
    if split not in sources:
        raise ConfigError(f"the dataset has no split {split!r}{suggest(split, sources)}")
    source = sources[split]
    if source is None:
        raise ConfigError(f"the dataset has no file for the split {split!r}; "
                          f"name one, e.g. dataset.{split}=my/questions.jsonl")
    return str(source)


def row_id(row: Mapping[str, Any], name: str, index: int) -> str:
    """A row's own id, or where it has none `name` and its place in the source, counted from 0: 'validation-4367'."""
    own = next((row[column] for column in _IDS if row.get(column) not in (None, "")), None)
    return f"{name}-{index}" if own is None else str(own)


def read(source: str, name: str, located: Iterable[Row], make: Callable[[Mapping[str, Any], str, str], Question],
         shuffle: int | None) -> list[Question]:
    """All questions that `make` makes of a row, its id (see `row_id`) and where it stands, in order (see `ordered`)."""
    return ordered(source, ((where, make(row, row_id(row, name, index), where))
                            for index, (where, row) in enumerate(located)), shuffle)


def ordered(source: str, located: Iterable[tuple[str, Question]], shuffle: int | None) -> list[Question]:
    """All questions of (where, question), shuffled with a seed as the paper did, or in the source's order.

    Raises DataError where there is none, or where an id comes twice.
    """
    questions = list(distinct(located))
    if not questions:
        raise DataError(f"{source} is empty; expected one question a row")
    if shuffle is not None:
        random.Random(shuffle).shuffle(questions)
    return questions
