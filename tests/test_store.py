"""The stage store: keys, fingerprints and the lock between processes."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest

from fireact.errors import ConfigError, DataError
from fireact.locks import lock
from fireact.options import RUNTIME
from fireact.store import CHECKSUMS, DONE, Store, checksums, fingerprint, identity, key, need_unchanged
from tests.helpers import ROOT, composed


@dataclass(kw_only=True)
class Plug:
    """A plug-in with every kind of option."""

    name: str
    k: int = 2
    file: Path | None = None
    shares: dict[str, float] = field(default_factory=lambda: {"a": 1.0, "b": 2.0})
    threads: Annotated[int, RUNTIME] = 1
    home: Annotated[Path, RUNTIME] = Path("somewhere")
    _cache: list[int] = field(default_factory=list, init=False)


def plug(**options: object) -> dict[str, object]:
    return identity({"_target_": f"{__name__}.Plug", "name": "x", **options})


def test_a_key_does_not_depend_on_order() -> None:
    assert key(a=1, b={"x": 1, "y": [1, 2]}) == key(b={"y": [1, 2], "x": 1}, a=1)
    assert key(a=[1, 2]) != key(a=[2, 1])
    assert len(key(a=1)) == 16


def test_a_key_is_the_same_in_another_process() -> None:
    code = "from fireact.store import key; print(key(a=1, b={'x': 'é', 'y': None}))"
    for seed in ("1", "2"):
        printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed},
                                 capture_output=True, text=True, check=True).stdout.strip()
        assert printed == key(b={"y": None, "x": "é"}, a=1)


def test_options_that_cannot_change_a_result_stay_out() -> None:
    assert plug(threads=8, home="elsewhere") == plug()
    assert set(plug()) == {"_target_", "revision", "name", "k", "file", "shares"}


def test_every_other_option_counts() -> None:
    others = [plug(), plug(name="y"), plug(k=3), plug(shares={"a": 1.0})]
    assert len({key(node=other) for other in others}) == len(others)


def test_defaults_count_as_if_they_were_written() -> None:
    assert plug(k=2, shares={"b": 2, "a": 1}, file=None) == plug()
    assert plug(k="3") == plug(k=3)


def test_an_option_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="k='many' does not fit"):
        plug(k="many")


def test_a_new_revision_of_a_class_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plug()
    monkeypatch.setattr(Plug, "revision", 2, raising=False)
    assert plug() != before


def test_files_count_by_their_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "deep" / "two.txt"
    two.parent.mkdir()
    one.write_text("same")
    two.write_text("same")
    assert plug(file=one) == plug(file=str(two)) != plug()
    two.write_text("other")
    assert plug(file=one) != plug(file=two)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("first")
    before = fingerprint(path)
    path.write_text("later")
    os.utime(path, ns=(1, 1))
    assert fingerprint(path) != before


def write_folder(folder: Path) -> Path:
    (folder / "b").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "b" / "c").write_text("2")
    return folder


def test_the_fingerprint_of_a_folder_is_its_content(tmp_path: Path) -> None:
    one, two = write_folder(tmp_path / "one"), write_folder(tmp_path / "two")
    assert fingerprint(one) == fingerprint(two)
    (two / "b" / "c").rename(two / "b" / "d")
    assert fingerprint(one) != fingerprint(two)
    (two / "b" / "d").rename(two / "b" / "c")
    (two / "a").write_text("3")
    assert fingerprint(one) != fingerprint(two)


def test_text_cannot_move_from_one_file_to_the_next(tmp_path: Path) -> None:
    for name, first, second in (("one", "12", "3"), ("two", "1", "23")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(first)
        (tmp_path / name / "b").write_text(second)
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")


def test_a_folder_that_is_not_as_its_stage_noted_is_refused(tmp_path: Path) -> None:
    stage, made = tmp_path / "stage", tmp_path / "stage" / "adapter"
    made.mkdir(parents=True)
    need_unchanged(made, stage)  # Nothing is noted yet.
    for name in ("model.safetensors", "config.json", "README.md"):
        (made / name).write_text("as it was")
    (stage / DONE).write_text(json.dumps({CHECKSUMS: checksums(made)}))
    (made / "README.md").write_text("no part of it")
    need_unchanged(made, stage)
    (made / "model.safetensors").write_text("another")
    with pytest.raises(DataError, match=r"model\.safetensors is not what was written there; .* inputs\.adapter="):
        need_unchanged(made, stage)
    (made / "model.safetensors").write_text("as it was")
    (made / "chat_template.jinja").write_text("added")
    with pytest.raises(DataError, match=r"chat_template\.jinja is not what was written there"):
        need_unchanged(made, stage)
    made.rename(tmp_path / "away")
    with pytest.raises(DataError, match="is not what was written there"):
        need_unchanged(made, stage)


@pytest.mark.parametrize("name", ["trajectories.jsonl", "corpus.parquet", "table.csv", "adapter_model.safetensors"])
def test_an_edit_in_the_middle_of_a_large_file_counts(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(6 << 20))
    before = fingerprint(path)
    with path.open("r+b") as file:
        file.seek(3 << 20)
        file.write(b"x")
    assert fingerprint(path) != before


def test_large_weights_count_by_size_head_and_tail(tmp_path: Path) -> None:
    size = 6 << 20

    def written(name: str, at: int | None = None, length: int = size) -> str:
        path = tmp_path / name
        path.write_bytes(bytes(length))
        if at is not None:
            with path.open("r+b") as file:
                file.seek(at)
                file.write(b"x")
        return fingerprint(path)

    whole = written("model.safetensors")
    assert written("model.safetensors", at=10) != whole
    assert written("model.safetensors", at=size - 10) != whole
    assert written("model.safetensors", length=size + 1) != whole
    assert written("model.safetensors", at=size // 2) == whole


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no/such/file does not exist; check the path"):
        fingerprint(Path("no/such/file"))


def test_folders_of_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.folder("train", "abc") == tmp_path / "train" / "abc"
    assert store.home == tmp_path / "home"


HOLD = """
import sys, time
from pathlib import Path
from fireact.locks import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the lock of tmp_path/work until its standard input is closed."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "work")], cwd=ROOT, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        stream.close()


def wait_for_lock(folder: Path) -> threading.Thread:
    """Ask for the lock in a thread, which ends once it was held."""

    def take() -> None:
        with lock(folder):
            pass

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(0.4)
    assert thread.is_alive()
    return thread


def test_a_second_process_waits_and_says_so(tmp_path: Path, holder, capfd: pytest.CaptureFixture[str]) -> None:
    waiting = wait_for_lock(tmp_path / "work")
    assert f"another run is working on {tmp_path / 'work'}; waiting for it" in capfd.readouterr().out
    holder.communicate("", timeout=10)
    waiting.join(10)
    assert not waiting.is_alive()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, holder) -> None:
    waiting = wait_for_lock(tmp_path / "work")
    os.kill(holder.pid, signal.SIGKILL)
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_lock_is_freed_by_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="broken"), lock(tmp_path):
        raise RuntimeError("broken")
    with lock(tmp_path):
        pass
    assert capsys.readouterr().out == ""


def test_an_option_that_shapes_replies_only_trains_nothing_again() -> None:
    config = composed()
    longer = {**config.model, "max_tokens": 7, "temperature": 0.5, "name": "x"}
    assert identity(config.model) != identity(longer)
    assert identity(config.model, replies=False) == identity(longer, replies=False)
    assert "batch_size" not in identity(config.model)
