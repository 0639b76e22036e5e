"""Paragraphs of a dataset: found in a corpus file by title, or made into one, once."""

import hashlib
import html
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fireact.jsonl import encode, read_located
from fireact.retrieval import Passage, sentences


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
