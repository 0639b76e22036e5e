"""Traces of a machine and its keys: what must not be in a file that is given away, and where it is.

The search is a safety net. What a capsule tells is chosen so that there is nothing to be found (`portable.py`); but the
words of an episode, or of a user's own file, may hold anything.
"""

import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fireact.errors import DataError
from fireact.keys import SECRET

_SECRETIVE = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)S?$", re.IGNORECASE)
_BLOCK = 1 << 22
_SHORTEST = 5
"""A shorter path or name is a word."""


@dataclass(frozen=True)
class Trace:
    """Something that must not be found."""

    what: str
    """What it is, in words that do not tell a secret."""
    text: str
    secret: bool = False


def traces(folders: Iterable[Path], variables: Iterable[str] = ()) -> list[Trace]:
    """What tells of this machine: its user's folder, the `folders` of the run, its name, and the keys in `variables`.

    Variables of the environment whose names end in KEY, TOKEN, SECRET, PASSWORD count too.
    """
    here = {Path.home(): "your home folder", Path.cwd(): "the folder you are in", Path(sys.prefix): "Python's folder",
            **{folder.absolute(): "a folder of the run" for folder in folders}}
    found = [Trace(f"{what} ({path})", str(path)) for path, what in here.items()
             if len(str(path)) >= _SHORTEST and path != Path("/tmp")]
    host = socket.gethostname()
    if len(host) >= _SHORTEST and host != "localhost":
        found.append(Trace(f"the name of this machine ({host})", host))
    named = {*variables, *(name for name in os.environ if _SECRETIVE.search(name))}
    secrets = {name: os.environ.get(name, "").strip() for name in sorted(named)}
    return [*found, *(Trace(f"what the environment variable {name} holds", secret, secret=True)
                      for name, secret in secrets.items() if len(secret) >= SECRET)]


def variables(values: object) -> Iterator[str]:
    """The environment variables that a configuration takes secrets from: key_env, and values written $NAME."""
    if isinstance(values, Mapping):
        if isinstance(values.get("key_env"), str):
            yield values["key_env"]
        for value in values.values():
            yield from variables(value)
    elif isinstance(values, list):
        for value in values:
            yield from variables(value)
    elif isinstance(values, str) and re.fullmatch(r"\$\w+", values):
        yield values[1:]


def need_none(contents: Mapping[str, bytes | Path], wanted: Iterable[Trace], allowed: Iterable[str] = ()) -> None:
    """Refuse files that hold a trace, unless its text is `allowed`; a secret never is. Raises DataError, OSError."""
    kept = {text for text in allowed if text}
    by_text = {form: trace for trace in wanted if trace.secret or trace.text not in kept for form in _forms(trace)}
    if not by_text:
        return
    pattern = re.compile(b"|".join(re.escape(text) if by_text[text].secret else _word(text)
                                   for text in sorted(by_text, key=len, reverse=True)))
    for name, content in contents.items():
        for block in _blocks(content, max(map(len, by_text))):
            if hit := pattern.search(block):
                trace = by_text[hit[0]]
                mend = ("take it out of the run's files, and make a new key" if trace.secret else
                        f"take it out, or let it go along with --allow {trace.text}")
                raise DataError(f"{name} would tell others {trace.what}; {mend}")


def _word(text: bytes) -> bytes:
    return rb"(?<![\w.-])" + re.escape(text) + rb"(?![\w-])"


def _forms(trace: Trace) -> set[bytes]:
    """How a text stands in a file."""
    texts = {trace.text, quote(trace.text, safe="")} if trace.secret else {trace.text}
    return {text.encode() for text in texts}


def _blocks(content: bytes | Path, overlap: int) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        tail = b""
        while block := file.read(_BLOCK):
            yield tail + block
            tail = (tail + block)[-overlap - 2:]
