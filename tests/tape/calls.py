"""Requests to record, and a look at a tape from outside."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from fireact.database import Journal
from fireact.requests import Act, Ask
from fireact.sections import Mode
from fireact.tape import Tape
from fireact.tape.file import TapeFile
from fireact.tape.request import Party, Request, act_request, ask_request
from fireact.types import Episode, Message

MODEL = Party.of(model={"_target_": "made.Up", "name": "made-up", "temperature": 0.0}, adapter=None)
TOOL = Party.of(tool={"_target_": "made.Search", "k": 2}, corpus="c0")


def ask(*texts: str, seed: int = 0, party: Party = MODEL, **rest: Any) -> Request:
    """A request to a model."""
    return ask_request(party, Ask(tuple(Message("user", text) for text in texts), episode=Episode("q", seed), **rest))


def act(argument: str, party: Party = TOOL, **rest: Any) -> Request:
    """A request to a stateless tool."""
    return act_request(party, Act("search", argument, **rest), stateless=True)


def recorded(path: Path) -> dict[tuple[bytes, str], str]:
    """The answers on a tape by key and job, read by another connection."""
    with closing(sqlite3.connect(path)) as db:
        return {(key, job): answer for key, job, answer in db.execute("SELECT key, job, answer FROM calls")}


class Asked:
    """Gives an answer, and counts how often it was asked."""

    def __init__(self, answer: str = '{"text":"yes"}') -> None:
        self.answer, self.times = answer, 0

    async def __call__(self) -> str:
        self.times += 1
        return self.answer


class Opened(Tape):
    """A tape with a file of its own."""

    def __init__(self, path: Path, mode: Mode, job: str = "", journal: Journal = "wal") -> None:
        super().__init__(TapeFile(path, journal, only_read=mode == "strict"), mode, job)

    def close(self) -> None:
        self.cancel()
        self.file.close()
