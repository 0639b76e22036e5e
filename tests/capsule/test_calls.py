"""What a capsule has of a tape is that tape again on another machine."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fireact.capsule.calls import read_calls, write_calls
from fireact.errors import DataError
from tests.tape.calls import ask, recorded
from tests.tape.test_tape import once, opened

TABLES = ("texts", "parties", "calls", "uses")


def rows(path: Path) -> dict[str, list[tuple]]:
    with closing(sqlite3.connect(path)) as db:
        return {table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Three jobs; `c` was answered with a call of `a`."""
    path = tmp_path / "tape.sqlite"
    for job, texts in {"a": ["one", "two"], "b": ["three"], "c": ["one", "line\u2028four\n"]}.items():
        with opened(path, "replay", job) as open_tape:
            for text in texts:
                once(open_tape, text, answer=f"{job} {text}")
    assert ask("one").key in {key for key, _ in recorded(path)}
    return path


def test_all_jobs_are_the_whole_tape(tape: Path, tmp_path: Path) -> None:
    assert write_calls(tape, ["c", "b", "a"], tmp_path / "calls.jsonl") == {"a", "b", "c"}
    assert read_calls(tmp_path / "calls.jsonl", tmp_path / "again.sqlite") == {"a": 2, "b": 1, "c": 2}
    assert rows(tmp_path / "again.sqlite") == rows(tape)


def test_some_jobs_have_what_they_were_answered_with(tape: Path, tmp_path: Path) -> None:
    assert write_calls(tape, ["c", "never played"], tmp_path / "calls.jsonl") == {"c"}
    read_calls(tmp_path / "calls.jsonl", tmp_path / "again.sqlite")
    assert sorted(recorded(tmp_path / "again.sqlite").values()) == ["a one", "c line\u2028four\n"]


def test_without_a_tape_there_is_an_empty_one(tmp_path: Path) -> None:
    assert write_calls(tmp_path / "tape.sqlite", ["a"], tmp_path / "calls.jsonl") == set()
    assert not read_calls(tmp_path / "calls.jsonl", tmp_path / "again.sqlite")
    assert not any(rows(tmp_path / "again.sqlite").values())


@pytest.mark.parametrize("line", [
    "{}", "[]", "nothing", '{"table": "calls", "row": []}', '{"table": "sqlite_master", "row": ["00", "x"]}',
    '{"table": "uses", "row": ["job", "no hex"]}', '{"table": "uses", "row": [1, "00"]}',
    '{"table": "uses; DROP TABLE calls", "row": ["job", "00"]}'])
def test_what_is_no_row_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "calls.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=r"calls\.jsonl:1: .* is no row of a tape"):
        read_calls(tmp_path / "calls.jsonl", tmp_path / "again.sqlite")
