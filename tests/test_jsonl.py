"""JSONL: errors name file and line, and a kill at any byte loses at most the record being written."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import DataError
from fireact.jsonl import Appender, distinct, encode, read_finished, read_jsonl, read_located, write_atomic
from tests.helpers import files_up_to


@dataclass(frozen=True)
class Note:
    id: str
    text: str


NOTES = [Note("a", "one"), Note("b", "zwei\nZeilen"), Note("c", "три\u2028 и 😀")]


def written(path: Path, notes: list[Note]) -> bytes:
    with Appender(path) as out:
        for note in notes:
            out.write(note)
    return path.read_bytes()


def test_what_is_appended_is_read(tmp_path):
    path = tmp_path / "notes.jsonl"
    written(path, NOTES[:1])
    written(path, NOTES[1:])
    assert list(read_jsonl(path, Note)) == NOTES
    assert list(read_finished(path, Note)) == NOTES
    assert [where for where, _ in read_located(path, Note)] == [f"{path}:{n}" for n in (1, 2, 3)]


def test_blank_lines_byte_order_mark_and_carriage_returns_are_no_matter(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f"\r\n{encode(NOTES[0])}\r\n  \n{encode(NOTES[1])}".encode())
    assert [where for where, _ in read_located(path, Note)] == [f"{path}:2", f"{path}:4"]


@pytest.mark.parametrize(("line", "what"), [
    (b'{"id": "x", "te', "Invalid JSON"),
    (b'{"id": "x"}', "text: Field required"),
    (b'{"id": 1, "text": ""}', "id: Input should be a valid string, got '1'"),
    (b'{"id": "x", "text": "\xff"}', "0xff is not UTF-8"),
    (b'{"id": "x", "text": "\\ud83d"}', "Invalid JSON"),
    (b"[]", "expected one Note"),
])
def test_a_broken_line_is_named(tmp_path, line, what):
    path = tmp_path / "notes.jsonl"
    path.write_bytes(encode(NOTES[0]).encode() + b"\n\n" + line + b"\n")
    with pytest.raises(DataError) as error:
        list(read_jsonl(path, Note))
    assert str(error.value).startswith(f"{path}:3: ")
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl: No such file"):
        list(read_jsonl(tmp_path / "nowhere.jsonl", Note))
    with pytest.raises(DataError, match="Is a directory"):
        list(read_jsonl(tmp_path, Note))


def test_an_id_that_comes_twice_is_named_with_both_places():
    with pytest.raises(DataError, match="f:9: the id 'a' was already used at f:1"):
        list(distinct([("f:1", NOTES[0]), ("f:2", NOTES[1]), ("f:9", NOTES[0])]))


@given(notes=st.lists(st.builds(Note, st.text(), st.text()), max_size=5), data=st.data())
def test_a_kill_at_any_byte_loses_only_the_line_being_written(tmp_path_factory, notes, data):
    path = tmp_path_factory.mktemp("kill") / "notes.jsonl"
    whole = written(path, notes)
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    survivors = notes[: whole[:cut].count(b"\n")]
    assert list(read_finished(path, Note)) == survivors
    written(path, [Note("last", "")])
    assert list(read_jsonl(path, Note)) == [*survivors, Note("last", "")]


def test_a_long_unfinished_line_is_cut_off(tmp_path):
    path = tmp_path / "notes.jsonl"
    start = written(path, NOTES)
    path.write_bytes(start + b"x" * 200_000)
    assert written(path, []) == start
    path.write_bytes(b"x" * 200_000)
    assert written(path, []) == b""


def test_an_unfinished_line_is_passed_over_only_at_the_end(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text(f'{{"id": "x\n{encode(NOTES[0])}\n')
    with pytest.raises(DataError, match=":1: "):
        list(read_finished(path, Note))


def test_a_lone_surrogate_leaves_the_file_readable(tmp_path):
    path = tmp_path / "notes.jsonl"
    written(path, [Note("a", "half \ud83d")])
    assert list(read_jsonl(path, Note)) == [Note("a", "half ?")]


def test_a_record_is_in_the_file_when_write_returns(tmp_path):
    path = tmp_path / "notes.jsonl"
    program = ("import os, sys; from pathlib import Path; from fireact.jsonl import Appender\n"
               "from fireact.types import Message\n"
               "Appender(Path(sys.argv[1])).write(Message('user', 'hello')); os.kill(os.getpid(), 9)")
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[1])
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == '{"role":"user","content":"hello","calls":[]}\n'


def test_a_full_disk_is_an_oserror_and_leaves_no_half_line(tmp_path):
    path = tmp_path / "notes.jsonl"
    with files_up_to(1000), Appender(path) as out:
        out.write(NOTES[0])
        with pytest.raises(OSError, match="large") as error:
            out.write(Note("big", "x" * 2000))
        assert error.value.errno == errno.EFBIG
        out.write(NOTES[1])
    assert list(read_jsonl(path, Note)) == NOTES[:2]


def test_a_whole_file_is_replaced_or_left_alone(tmp_path):
    path = tmp_path / "manifest.json"
    write_atomic(path, "old")
    with files_up_to(1000), pytest.raises(OSError, match="large"):
        write_atomic(path, "x" * 2000)
    assert path.read_text() == "old"
    write_atomic(path, "neu: ä\n")
    assert path.read_bytes() == "neu: ä\n".encode()
    assert os.listdir(tmp_path) == ["manifest.json"]


def test_closing_twice_does_no_harm(tmp_path):
    out = Appender(tmp_path / "notes.jsonl")
    out.close()
    out.close()
