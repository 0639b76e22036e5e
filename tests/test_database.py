"""SQLite files: opened by many at once, refused in one sentence, and left as they are where they are not ours."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from fireact.database import Database
from fireact.errors import DataError
from tests.helpers import ROOT, files_up_to

SCHEMA = "CREATE TABLE notes (text TEXT NOT NULL); CREATE TABLE others (text TEXT NOT NULL);"


def notes(path: Path, **options) -> Database:
    return Database(path, "the notes", SCHEMA, **options)


def read(path: Path) -> list[str]:
    with closing(notes(path).read()) as db:
        return [text for text, in db.execute("SELECT text FROM notes")]


def note(path: Path, text: str = "kept", **options) -> None:
    with closing(notes(path, **options).connect()) as db:
        db.execute("INSERT INTO notes VALUES (?)", (text,))


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Let this process write nothing in a folder that it can read; root is made nobody, who has no more rights."""
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)
        folder.chmod(0o755)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others can look into, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_file_is_made_and_found_again(tmp_path: Path, journal: str) -> None:
    path = tmp_path / "a folder" / "100% #1?.sqlite"
    note(path, "ä", journal=journal)
    note(path, "b", journal=journal)
    assert read(path) == ["ä", "b"]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == (journal,)
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_file_of_version_0_is_begun_and_found_again(tmp_path: Path) -> None:
    note(tmp_path / "notes.sqlite", version=0)
    note(tmp_path / "notes.sqlite", version=0)


def test_an_empty_file_is_begun(tmp_path: Path) -> None:
    (tmp_path / "notes.sqlite").touch()
    note(tmp_path / "notes.sqlite")
    assert read(tmp_path / "notes.sqlite") == ["kept"]


CONNECT = """
import sys
from pathlib import Path
from fireact.database import Database
from tests.test_database import notes
db = notes(Path(sys.argv[1])).connect()
for number in range(20):
    db.execute("INSERT INTO notes VALUES (?)", (f"{sys.argv[2]} {number}",))
"""


def test_many_processes_begin_a_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite"
    started = [subprocess.Popen([sys.executable, "-c", CONNECT, str(path), name], cwd=ROOT) for name in "abc"]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert sorted(read(path)) == sorted(f"{name} {number}" for name in "abc" for number in range(20))


KILLED = """
import os, sys
from pathlib import Path
from tests.test_database import notes
db = notes(Path(sys.argv[1])).connect()
db.execute("INSERT INTO notes VALUES ('whole')")
db.execute("BEGIN IMMEDIATE")
db.execute("INSERT INTO notes VALUES ('half')")
os.kill(os.getpid(), 9)
"""


def test_a_kill_leaves_what_was_committed_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    note(path, "after")
    assert read(path) == ["whole", "after"]


def test_the_tables_come_all_or_none(tmp_path: Path) -> None:
    broken = Database(tmp_path / "notes.sqlite", "the notes", f"{SCHEMA} CREATE NONSENSE")
    with pytest.raises(DataError, match="NONSENSE"):
        broken.connect()
    note(tmp_path / "notes.sqlite")


def refusals(tmp_path: Path) -> dict[str, Path]:
    """Files that are none of ours."""
    paths = {name: tmp_path / name for name in ("version", "other", "text", "damaged", "folder")}
    note(paths["version"], version=7)
    with closing(sqlite3.connect(paths["other"])) as db:
        db.executescript("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1); PRAGMA user_version=1")
    paths["text"].write_text("no database " * 500)
    note(paths["damaged"], "x" * 5000)
    paths["damaged"].write_bytes(paths["damaged"].read_bytes()[:100] + bytes(4000))
    paths["folder"].mkdir()
    return paths


@pytest.mark.parametrize(("name", "sentence"), [
    ("version", "is of version 7, and this program writes version 1; it is left as it is"),
    ("other", "is to be the notes, and holds something else; it is left as it is"),
    ("text", r"the notes, cannot be used \(file is not a database\)"),
    ("damaged", r"the notes, cannot be used \("),
    ("folder", r"the notes, cannot be used \(unable to open database file\)|the notes, is no file"),
])
def test_what_is_not_ours_is_refused_and_left_as_it_is(tmp_path: Path, name: str, sentence: str) -> None:
    path = refusals(tmp_path)[name]
    before = path.is_file() and path.read_bytes()
    for way in (notes(path).connect, notes(path).read):
        with pytest.raises(DataError, match=sentence) as error:
            way()
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    assert (path.is_file() and path.read_bytes()) == before


def test_a_lock_that_is_never_freed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fireact.database._PATIENCE", 0.1)
    with FileLock(tmp_path / "notes.sqlite.lock"), pytest.raises(
            DataError, match=r"the notes, cannot be opened: another process holds .*notes\.sqlite\.lock "):
        note(tmp_path / "notes.sqlite")
    note(tmp_path / "notes.sqlite")


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no file; check the path"):
        notes(tmp_path / "notes.sqlite").read()
    assert not list(tmp_path.iterdir())


def test_a_file_is_read_while_another_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite"
    note(path)
    with closing(notes(path).connect()) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO notes VALUES ('under way')")
        assert read(path) == ["kept"]
        db.execute("COMMIT")
        assert read(path) == ["kept", "under way"]


def test_who_reads_cannot_write(tmp_path: Path) -> None:
    note(tmp_path / "notes.sqlite")
    file = notes(tmp_path / "notes.sqlite")
    with closing(file.read()) as db, pytest.raises(DataError, match="readonly"), file.sentence():
        db.execute("DELETE FROM notes")


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_without_rights_a_file_is_read_and_not_written(open_folder: Path, journal: str) -> None:
    note(open_folder / "notes.sqlite", journal=journal)
    with without_rights(open_folder):
        if os.access(open_folder, os.W_OK):
            pytest.skip("this user may write everywhere")
        assert read(open_folder / "notes.sqlite") == ["kept"]
        with pytest.raises(DataError, match=r"cannot be used \(Permission denied\); .* see that it may be written"):
            notes(open_folder / "notes.sqlite").connect()
        with pytest.raises(DataError, match=r"cannot be used \(Permission denied\)"):
            notes(open_folder / "new" / "notes.sqlite").connect()


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    note(tmp_path / "notes.sqlite", "first")
    file = notes(tmp_path / "notes.sqlite")
    with closing(file.connect()) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO notes VALUES (?)", ("x" * 1_000_000,))
        with files_up_to(200_000), pytest.raises(DataError, match=r"cannot be used .*; make room"), file.sentence():
            db.execute("COMMIT")
        db.rollback()
        db.execute("INSERT INTO notes VALUES ('last')")
    assert read(tmp_path / "notes.sqlite") == ["first", "last"]
