"""A capsule is unpacked with suspicion: plain files with plain names, of the size and sum that are told."""

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.capsule import archive
from fireact.capsule.contents import CAPSULE, FORMAT, Capsule, file_of, is_safe, read_capsule
from fireact.errors import DataError

WEIGHTS = "store/train/0123/adapter/weights.bin"
FILES = {"runs/0/metrics.json": b"{}", "tape.jsonl": b"", WEIGHTS: bytes(range(256)) * 64}


def told(files: dict[str, bytes]) -> Capsule:
    return Capsule(FORMAT, "0.1.0", None, ["a run"], [], {name: file_of(data) for name, data in files.items()})


def made(path: Path, entries: list[tuple[str | zipfile.ZipInfo, bytes]], capsule: Capsule | None = None) -> Path:
    """A zip by hand, which `capsule` describes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        if capsule:
            zipped.writestr(CAPSULE, capsule.text())
        for name, data in entries:
            zipped.writestr(name, data)
    return path


def refused(path: Path, to: Path) -> str:
    with pytest.raises(DataError) as failure:
        archive.unpack(path, to)
    return str(failure.value)


def test_what_is_written_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(FILES[WEIGHTS])
    contents: dict[str, bytes | Path] = {**FILES, WEIGHTS: tmp_path / "big"}
    archive.write(tmp_path / "a.zip", told(FILES), contents)
    assert archive.unpack(tmp_path / "a.zip", tmp_path / "to") == told(FILES)
    assert {path.relative_to(tmp_path / "to").as_posix(): path.read_bytes()
            for path in (tmp_path / "to").rglob("*") if path.is_file()} == FILES
    archive.write(tmp_path / "b.zip", told(FILES), FILES)
    assert archive.unpack(tmp_path / "b.zip", tmp_path / "other") == told(FILES)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "C:\\out", "a\\..\\out", "~/out", "a//b", "a/",
                                  "./a", "a\nb", "con:", "é", "a" * 300, ""])
def test_a_name_that_may_lead_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    assert not is_safe(name)
    data = json.loads(told({}).text())
    with pytest.raises(DataError, match="no plain path inside a folder"):
        read_capsule(json.dumps({**data, "files": {name: vars(file_of(b""))}}).encode(), "a.zip")
    if name:
        path = made(tmp_path / "a.zip", [(name, b"x")], told({}))
        assert "is unsafe" in refused(path, tmp_path / "work" / "to")
        assert not (tmp_path / "work").exists()


@given(st.text(st.sampled_from("ab./\\:~ \n-"), max_size=12))
def test_every_name_that_is_taken_stays_inside(name: str) -> None:
    if is_safe(name):
        for kind in (PurePosixPath, PureWindowsPath):
            assert not kind(name).is_absolute()
            assert not {"..", "."} & set(name.split("/"))
            assert kind(name).parts == tuple(name.split("/"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR])
def test_links_devices_and_folders_are_refused(tmp_path: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("tape.jsonl")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    assert "is no plain file" in refused(made(tmp_path / "a.zip", [(entry, b"/etc/passwd")], told(
        {"tape.jsonl": b"/etc/passwd"})), tmp_path / "to")


def test_a_file_that_comes_twice_is_refused(tmp_path: Path) -> None:
    entries: list[tuple[str | zipfile.ZipInfo, bytes]] = [("tape.jsonl", b"a"), ("Tape.jsonl", b"b")]
    assert "twice" in refused(made(tmp_path / "a.zip", entries, told(dict([("tape.jsonl", b"a")]))), tmp_path / "to")


def test_files_and_their_list_are_the_same(tmp_path: Path) -> None:
    assert "does not name" in refused(made(tmp_path / "a.zip", [("more", b"")], told({})), tmp_path / "to")
    assert "is missing" in refused(made(tmp_path / "b.zip", [], told({"less": b""})), tmp_path / "to")
    assert "is no capsule" in refused(made(tmp_path / "c.zip", [("more", b"")]), tmp_path / "to")


@pytest.mark.parametrize("other", [b"2", b"12", b""])
def test_a_changed_file_is_damage(tmp_path: Path, other: bytes) -> None:
    path = made(tmp_path / "a.zip", [("tape.jsonl", other)], told({"tape.jsonl": b"1"}))
    assert "tape.jsonl is not the file that was packed" in refused(path, tmp_path / "to")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    capsule = json.loads(told({"tape.jsonl": b""}).text())
    capsule["files"]["tape.jsonl"]["bytes"] = 1 << 40
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr(CAPSULE, json.dumps(capsule))
        zipped.writestr("tape.jsonl", b"")
    assert "more than any text is packed to" in refused(path, tmp_path / "to")


def test_more_bytes_than_were_told_are_not_written(tmp_path: Path) -> None:
    path = made(tmp_path / "a.zip", [("tape.jsonl", bytes(1 << 23))], told({"tape.jsonl": b"few"}))
    assert "is damaged" in refused(path, tmp_path / "to")
    assert (tmp_path / "to" / "tape.jsonl").stat().st_size < 1 << 22


@pytest.mark.parametrize("break_it", [
    lambda data: b"", lambda data: b"nothing", lambda data: data[: len(data) // 2], lambda data: data[:-30],
    lambda data: data[:600] + bytes(byte ^ 255 for byte in data[600:640]) + data[640:]])
def test_a_damaged_archive_is_one_sentence(tmp_path: Path, break_it: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.zip"
    archive.write(path, told(FILES), FILES)
    path.write_bytes(break_it(path.read_bytes()))
    assert "\n" not in refused(path, tmp_path / "to")


def test_every_flipped_byte_is_found_or_harmless(tmp_path: Path) -> None:
    """Whatever is changed, the file is refused in a sentence or has what was packed."""
    path = tmp_path / "a.zip"
    archive.write(path, told(FILES), FILES)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
        to = tmp_path / str(at)
        try:
            found = archive.unpack(path, to)
        except DataError:
            continue
        assert {name: (to / name).read_bytes() for name in found.files} == FILES
