"""What the datasets share: a source a split, the seeded order of their questions, and passages that are built once."""

import hashlib
import html
import os
import random
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fireact.errors import ConfigError, DataError, suggest
from fireact.jsonl import distinct, encode, read_located
from fireact.retrieval import Passage, sentences
from fireact.types import CONTENT, Question

Source = Annotated[str | None, CONTENT]
"""The type of a field that names a source, see `rows`; None where there is none."""

PAPER_SEED = 233
"""The first 500 of HotpotQA's dev questions, shuffled with this seed, are the paper's (FireAct's generation.py)."""
_IDS = ("id", "_id", "qid")


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


@dataclass(frozen=True)
class Paragraph:
    """A passage in sentences, as HotpotQA counts them."""

    id: str
    title: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole passage."""
        return " ".join(sentence.strip() for sentence in self.sentences)


@dataclass(frozen=True)
class _Entry:
    """A line of a corpus file; `sent_starts` are the offsets where its sentences begin, in characters."""

    id: str
    title: str
    text: str
    sent_starts: tuple[int, ...] = ()


def find_titles(corpus: Path, titles: Iterable[str]) -> dict[str, Paragraph]:
    """The passages of a corpus file that have one of these titles, by title; the first of each. Raises DataError."""
    wanted, found = set(titles), {}
    for _, entry in read_located(corpus, _Entry):
        title = html.unescape(entry.title)
        if title in wanted and title not in found:
            found[title] = Paragraph(entry.id, title, _sentences(entry))
    return found


def _sentences(entry: _Entry) -> tuple[str, ...]:
    if not entry.sent_starts:
        return tuple(sentences(entry.text))
    ends = [*entry.sent_starts[1:], len(entry.text)]
    return tuple(entry.text[start:end] for start, end in zip(entry.sent_starts, ends, strict=True))


def find_ids(corpus: Path, ids: Iterable[str]) -> set[str]:
    """Those of `ids` that a corpus file holds. Raises DataError."""
    return set(ids) & {entry.id for _, entry in read_located(corpus, _Entry)}


def build_corpus(home: Path, sources: Iterable[str], passages: Callable[[], Iterable[Passage]]) -> Path | None:
    """The corpus file made of `sources`, which is written under `home` where it is not there yet.

    A passage whose id came before is left out. None where there is no passage at all. Whoever else wants it waits.
    """
    from filelock import FileLock

    path = home / f"corpus-{_stamp(sources)}.jsonl"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                _write(path, passages())
    return path if path.stat().st_size else None


def _stamp(sources: Iterable[str]) -> str:
    """A hash of the names of sources, and of the sizes and times (ns) of those that are files."""
    files = [(source, Path(source)) for source in sources]
    marks = [(source, file.stat().st_size, file.stat().st_mtime_ns) if file.is_file() else (source,)
             for source, file in files]
    return hashlib.sha256(repr(marks).encode()).hexdigest()[:16]


def _write(path: Path, passages: Iterable[Passage]) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    seen = set()
    try:
        with open(part, "w", encoding="utf-8", errors="replace") as file:
            for passage in passages:
                if passage.id not in seen:
                    seen.add(passage.id)
                    file.write(f"{encode(passage)}\n")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
