"""Trajectories on disk: found without being parsed, written by many, put into order with none lost."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact.errors import DataError, NewerVersion
from fireact.jsonl import decode, encode, read_finished
from fireact.play.records import TRAJECTORIES, Name, Records, parse
from fireact.types import Completion, Question, Score, Step, StopReason, Trajectory
from tests.episodes import record
from tests.helpers import ROOT, files_up_to

TRICKY = ['"stop":"model"', '","stop":"tool","score":{"em":1.0,', '"score":{"em":1', '"attempt":7}', '"attempt":7}}\n',
          "\\", '\\"', "\n", "\u2028", "\x00", "😀", "\ud83d", '{"id":"x",', "stop", ""]
TEXT = st.text(max_size=5) | st.sampled_from(TRICKY)
READABLE = TEXT.filter(lambda text: "\ud83d" not in text)
SCORES = st.builds(Score, st.sampled_from([0.0, 1.0, 0.5, 1e-05, 1.0000000001]), st.just(0.0))
STEPS = st.builds(Step, st.sampled_from(["ask", "act", "refuse"]), TEXT, st.sampled_from(["react", None]), TEXT, TEXT,
                  st.lists(TEXT, max_size=2).map(tuple), TEXT, st.none() | st.builds(Completion, TEXT))
FIELDS = st.sampled_from(["stop", "score", "attempt", "id", "em"])
PROVENANCE = st.dictionaries(FIELDS, st.recursive(st.integers(0, 9) | READABLE,
                                                  lambda inner: st.dictionaries(FIELDS, inner)), max_size=3)
FORMS = ["ours", "before there were attempts", "by another program", "with surrogates"]
RECORDS = st.builds(Trajectory, READABLE, st.builds(Question, TEXT, TEXT, st.tuples(TEXT)), TEXT,
                    st.lists(STEPS, max_size=3).map(tuple), st.none() | TEXT, st.sampled_from(StopReason), SCORES,
                    st.none() | TEXT, st.floats(0, 9), PROVENANCE, dataset=TEXT, attempt=st.integers(0, 1000))


def line(record: Trajectory, form: str = "ours") -> bytes:
    """A record as one line, as this program and others write it."""
    values = asdict(record)
    if form == "before there were attempts":
        del values["attempt"]
    if form == "by another program":
        text = json.dumps(values)
    elif form == "in another order":
        text = json.dumps(dict(reversed(values.items())), separators=(",", ":"))
    elif form == "ours":
        text = encode(record)
    else:
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Empty folders, one an example."""
    root, numbers = tmp_path_factory.mktemp("records"), count()

    def fresh() -> Iterator[Path]:
        for number in numbers:
            (root / f"{number}").mkdir()
            yield root / f"{number}"

    return fresh()


def write(folder: Path, *lines: bytes) -> Path:
    with open(folder / TRAJECTORIES, "ab") as file:
        file.writelines(lines)
    return folder


def ids(folder: Path) -> list[Name]:
    """What the file holds, parsed."""
    return [(each.id, each.attempt) for each in read_finished(folder / TRAJECTORIES, Trajectory)]


@settings(max_examples=300)
@given(each=RECORDS, form=st.sampled_from(FORMS))
def test_what_is_found_in_the_bytes_is_what_the_parser_reads(folders: Iterator[Path], each: Trajectory,
                                                             form: str) -> None:
    written = line(each, form)
    if "\\ud83d" in written.decode():
        return  # No program writes half a surrogate pair so that others can read it.
    parsed = decode(Trajectory, written.decode(), "here")
    with closing(Records(write(next(folders), written))) as records:
        (name,) = records.places
        assert name == (parsed.id, parsed.attempt)
        assert records.played(*name) == parsed.stop.played
        assert records.places[name].correct == (parsed.score.em == 1)
        assert records.correct(*name) == (parsed.stop.played and parsed.score.em == 1)
        assert records.read(*name) == parsed


def test_a_line_in_another_order_is_read_too(tmp_path: Path) -> None:
    with closing(Records(write(tmp_path, line(record("q1", 3, 0.0), "in another order")))) as records:
        assert list(records.places) == [("q1", 3)]


@pytest.mark.parametrize("id", ['"', "\\", 'a","stop":"model', "ä \u2028 😀", "\n", "", "\x00"])
def test_any_id_is_found_again(tmp_path: Path, id: str) -> None:
    with closing(Records(tmp_path)) as records:
        records.append(record(id, 2))
        assert not records.played(id, 2)
        records.refresh()
        assert records.played(id, 2)
        assert records.read(id, 2) == record(id, 2)
        assert not records.played(id)


OUTCOMES = st.sampled_from([StopReason.FINISHED, StopReason.ROUNDS, StopReason.MODEL, StopReason.TOOL])
NAMES = [(id, attempt) for id in "abc" for attempt in range(2)]
PLAYS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1), OUTCOMES), max_size=12)


@given(plays=PLAYS, looked=st.sets(st.integers(0, 12)), order=st.permutations(NAMES))
def test_of_an_attempt_the_last_record_that_counts_is_kept(folders: Iterator[Path], plays: list[Any], looked: set[int],
                                                           order: list[Name]) -> None:
    wanted: dict[Name, Trajectory] = {}
    with closing(Records(next(folders))) as records:
        for number, (id, attempt, stop) in enumerate(plays):
            records.append(record(id, attempt, stop=stop, seconds=float(number)))
            if number in looked:
                records.refresh()
            if stop.played or not ((id, attempt) in wanted and wanted[id, attempt].stop.played):
                wanted[id, attempt] = record(id, attempt, stop=stop, seconds=float(number))
        for _ in range(2):
            records.settle(order[:4])
            assert {name: records.read(*name) for name in records.places} == wanted
            settled = ids(records.folder) if plays else []
            first = [name for name in order[:4] if name in wanted]
            assert settled[: len(first)] == first
            assert sorted(settled) == sorted(wanted)


@given(stops=st.lists(OUTCOMES, min_size=1, max_size=4), data=st.data())
def test_a_writer_killed_at_any_byte_loses_only_its_last_record(folders: Iterator[Path], stops: list[StopReason],
                                                                data: st.DataObject) -> None:
    whole = [record(f"q{number}", stop=stop) for number, stop in enumerate(stops)]
    content = b"".join(map(line, whole))
    cut = content[: data.draw(st.integers(0, len(content)))]
    with closing(Records(write(next(folders), cut))) as records:
        survivors = whole[: cut.count(b"\n")]
        assert [records.read(*name) for name in records.places] == survivors
        records.append(record("last"))
        records.refresh()
        assert [records.read(*name) for name in records.places] == [*survivors, record("last")]


def test_half_a_line_is_no_record_until_it_is_whole(tmp_path: Path) -> None:
    whole = line(record("q1"))
    with closing(Records(write(tmp_path, line(record("q0")), whole[:100]))) as records:
        assert list(records.places) == [("q0", 0)]
        write(tmp_path, whole[100:])
        records.refresh()
        assert records.read("q1") == record("q1")


def test_settling_drops_what_a_killed_writer_left(tmp_path: Path) -> None:
    with closing(Records(write(tmp_path, line(record("q0")), b'{"id":"q1","que'))) as records:
        records.settle([("q0", 0)])
    assert (tmp_path / TRAJECTORIES).read_bytes() == line(record("q0"))


def test_blank_lines_are_passed_over(tmp_path: Path) -> None:
    with closing(Records(write(tmp_path, b"\n", line(record("q0")), b" \r\n", line(record("q1"))))) as records:
        assert [records.read(*name).id for name in records.places] == ["q0", "q1"]


@pytest.mark.parametrize("bad", [b"{}\n", b'{"id":"q1","stop":"finished"}\n', b"no JSON\n", b'{"id":"\\x","a":1}\n',
                                 b"\xff\n", b'{"id":"q1","score":{"em":1,"f1":1}}\n', line(record())[1:]])
def test_a_file_of_something_else_is_named(tmp_path: Path, bad: bytes) -> None:
    with pytest.raises(DataError, match=f"{TRAJECTORIES}: ") as error:
        Records(write(tmp_path, bad))
    assert "\n" not in str(error.value)


def test_a_damaged_record_is_named_when_it_is_read(tmp_path: Path) -> None:
    with closing(Records(write(tmp_path, line(record("q0")).replace(b'"method"', b'"me\xffhod"')))) as records:
        assert records.played("q0")
        with pytest.raises(DataError, match=f"{TRAJECTORIES}: method"):
            records.read("q0")


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / TRAJECTORIES).mkdir()
    with pytest.raises(DataError, match="Is a directory"):
        Records(tmp_path)


def test_a_folder_without_records_is_empty(tmp_path: Path) -> None:
    with closing(Records(tmp_path)) as records:
        records.settle([("q0", 0)])
        assert not records.places
        assert not records.played("q0")
        assert not records.correct("q0")
    assert not records.path.exists()


def test_a_full_disk_loses_no_record(tmp_path: Path) -> None:
    with closing(Records(tmp_path)) as records:
        records.append(record("q0"))
        with files_up_to(2000), pytest.raises(OSError, match="large"):
            records.append(record("q1", error="x" * 3000))
        records.append(record("q2"))
    assert ids(tmp_path) == [("q0", 0), ("q2", 0)]


APPEND = """
import sys
from pathlib import Path
from fireact.play.records import Records
from tests.episodes import record
records = Records(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    records.append(record(f"{sys.argv[2]}{number}", error=sys.argv[2] * 30_000))
"""


def appending(folder: Path, name: str, n: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", APPEND, str(folder), name, str(n)], cwd=ROOT)


def assert_whole(folder: Path, names: Sequence[str], n: int) -> None:
    """All records of all writers are there, each once and intact."""
    found = list(read_finished(folder / TRAJECTORIES, Trajectory))
    assert sorted(each.id for each in found) == sorted(f"{name}{number}" for name in names for number in range(n))
    assert all(each == record(each.id, error=each.id[0] * 30_000) for each in found)


def test_processes_append_at_once_and_each_record_stays_whole(tmp_path: Path) -> None:
    started = [appending(tmp_path, name, 60) for name in "abc"]
    with closing(Records(tmp_path)) as records:
        while any(process.poll() is None for process in started) or len(records.places) < 180:
            records.refresh()
            assert all(process.poll() in (None, 0) for process in started)
            if records.places:
                assert records.read(*list(records.places)[-1]).stop is StopReason.FINISHED
    assert_whole(tmp_path, "abc", 60)


def test_settling_while_others_append_loses_nothing(tmp_path: Path) -> None:
    started, turns = [appending(tmp_path, name, 60) for name in "ab"], count()
    with closing(Records(tmp_path)) as records, closing(Records(tmp_path)) as other:
        while any(process.poll() is None for process in started):
            order = sorted(records.places, reverse=next(turns) % 2 == 0)
            records.settle(order)
            other.settle(sorted(other.places))
            assert set(order) <= set(records.places)
    assert_whole(tmp_path, "ab", 60)


def test_a_reader_takes_notice_of_another_order(tmp_path: Path) -> None:
    with closing(Records(tmp_path)) as one, closing(Records(tmp_path)) as other:
        for number in range(5):
            one.append(record(f"q{number}", error="x" * number))
        one.refresh()
        other.refresh()
        one.settle([(f"q{number}", 0) for number in reversed(range(5))])
        assert other.read("q1") == record("q1", error="x"), "the file that it knows is open still"
        other.append(record("q5"))
        other.refresh()
        assert [name for name, _ in other.places] == ["q4", "q3", "q2", "q1", "q0", "q5"]
        assert [other.read(*name) for name in other.places] == list(read_finished(one.path, Trajectory))


def test_two_may_settle_one_after_the_other(tmp_path: Path) -> None:
    with closing(Records(tmp_path)) as one, closing(Records(tmp_path)) as other:
        for id in "ba":
            one.append(record(id))
        other.refresh()
        one.settle([("a", 0), ("b", 0)])
        other.settle([("b", 0), ("a", 0)])
        assert ids(tmp_path) == [("b", 0), ("a", 0)]
        other.append(record("c"))
        assert ids(tmp_path) == [("b", 0), ("a", 0), ("c", 0)]


def test_a_file_in_order_is_left_as_it_is(tmp_path: Path) -> None:
    with closing(Records(tmp_path)) as records:
        for id in "abc":
            records.append(record(id))
        before = os.stat(records.path)
        records.settle([("a", 0), ("b", 0), ("c", 0), ("d", 0)])
        after = os.stat(records.path)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


SETTLE = """
import os, sys
from pathlib import Path
from fireact.play import records
os.replace = lambda *names: os.kill(os.getpid(), 9)
records.Records(Path(sys.argv[1])).settle([("b", 0), ("a", 0)])
"""


def test_a_kill_while_settling_loses_nothing(tmp_path: Path) -> None:
    write(tmp_path, line(record("a")), line(record("b")))
    done = subprocess.run([sys.executable, "-c", SETTLE, str(tmp_path)], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    assert ids(tmp_path) == [("a", 0), ("b", 0)]
    with closing(Records(tmp_path)) as records:
        records.settle([("b", 0), ("a", 0)])
    assert ids(tmp_path) == [("b", 0), ("a", 0)]
    assert not list(tmp_path.glob("*.part"))


def test_records_of_two_samples_are_two_attempts(tmp_path: Path) -> None:
    with closing(Records(tmp_path)) as records:
        for attempt, em in ((0, 0.0), (1, 1.0)):
            records.append(replace(record("q", attempt, em)))
        records.refresh()
        assert [records.correct("q", attempt) for attempt in range(3)] == [False, True, False]
        assert [records.played("q", attempt) for attempt in range(3)] == [True, True, False]


@pytest.mark.parametrize("more", [{}, {"score": "of another form"}, {"steps": None}])
def test_a_record_of_a_newer_version_is_refused_as_such(more: dict) -> None:
    """Whether its fields are those of today or not."""
    values = {**asdict(record("q")), "version": 2, **more}
    with pytest.raises(NewerVersion, match=r"file:3: a newer FireAct wrote this record \(version 2, here up to 1\)"):
        parse(json.dumps(values, default=str).encode(), "file:3")
