"""What is told of a machine: nothing, and where something is, packing ends."""

from pathlib import Path

import pytest

from fireact.capsule.portable import Portable, foreign, manifest, placed
from fireact.capsule.traces import Trace, need_none, traces, variables
from fireact.errors import DataError
from fireact.store import identity

API = {"_target_": "fireact.model.api.Api", "model": "gpt-x", "base_url": ["http://b:8000/v1", "http://a:8000/v1"],
       "family": None, "key_env": "MY_KEY", "headers": {"x-user": "$ME"}, "timeout": 3.0, "max_tokens": 9}
SECRET = "sk-0123456789/abc"


def test_an_address_becomes_the_family_that_keys_have() -> None:
    told = Portable().job({"model": API})["model"]
    assert told == {"_target_": API["_target_"], "model": "gpt-x", "base_url": None, "family": "a:8000", "timeout": 3.0,
                    "max_tokens": 9}
    assert identity(told) == identity(API)


def test_weights_stay_here_and_keep_their_identity(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text("{}")
    node = {"_target_": "fireact.model.local.Local", "name": "mine", "source": str(tmp_path / "weights"),
            "device": "cpu", "threads": 2}
    portable = Portable()
    told = portable.job({"model": node})["model"]
    assert told["source"] != node["source"]
    assert "device" not in told
    assert told["threads"] == 2
    assert identity(told) == identity(node)
    assert not portable.contents
    assert next(iter(portable.left_out)).startswith("model.source (weights, fingerprint ")


def test_a_users_files_go_along_and_keep_their_identity(tmp_path: Path) -> None:
    source = tmp_path / "my questions.jsonl"
    source.write_text('{"question": "Why?", "answer": "So"}\n')
    node = {"_target_": "fireact.dataset.table.Table", "test": str(source), "train": "hub:a/b/train"}
    portable = Portable()
    told = portable.job({"dataset": node})["dataset"]
    ((name, content),) = portable.contents.items()
    assert told == {**node, "test": f"capsule:{name}"}
    (tmp_path / "to" / "files").mkdir(parents=True)
    assert isinstance(content, Path)
    (tmp_path / "to" / name).write_bytes(content.read_bytes())
    assert identity(placed(told, tmp_path / "to")) == identity(node)


def test_a_place_that_is_not_in_the_capsule_is_refused(tmp_path: Path) -> None:
    for place in ("capsule:../x", "capsule:/etc/passwd", "capsule:nowhere"):
        with pytest.raises(DataError, match="which is not in it"):
            placed({"a": [place]}, tmp_path)


def test_foreign_code_and_paths_are_told(tmp_path: Path) -> None:
    table = {"_target_": "fireact.dataset.table.Table"}
    assert foreign({"dataset": {**table, "test": "capsule:files/x.jsonl"}}, "job") == ""
    assert "os.path.Thing, code of somebody's own" in foreign({"tool": [{"_target_": "os.path.Thing"}]}, "job")
    for path in ("/etc/passwd", "~/x", "a/../../b", "C:\\x"):
        with pytest.raises(DataError, match="is a path outside of it"):
            foreign({**table, "test": path}, "job")
    for job in ({"adapter": "/etc"}, {"sources": [{"files": ["capsule:files/x", "/etc/passwd"]}]}):
        with pytest.raises(DataError, match="is a path outside of it"):
            foreign(job, "job")
    with pytest.raises(DataError, match="is not an option of Table"):
        foreign({**table, "more": 1}, "job")


def test_a_manifest_tells_versions_and_keys_alone() -> None:
    told = manifest({"python": "3.11.7", "platform": "Linux-6.1-made-by-me-x86_64-with-glibc2.36", "commit": "abc",
                     "packages": {"torch": "2"}, "command": "python main.py store=/home/me", "failure": "/home/me",
                     "stages": {"train": {"key": "0" * 16, "folder": "/home/me", "reused": False, "seconds": 1.0}}})
    assert told == {"python": "3.11.7", "platform": "Linux x86_64", "commit": "abc", "packages": {"torch": "2"},
                    "stages": {"train": {"key": "0" * 16, "seconds": 1.0}}}


def test_a_planted_secret_ends_the_packing_and_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", SECRET)
    monkeypatch.setenv("ME", SECRET[::-1])
    wanted = traces([], variables({"model": API}))
    (tmp_path / "big").write_bytes(b"x" * (1 << 22) + SECRET.encode())
    for content in (f"my key is {SECRET}".encode(), b"?key=sk-0123456789%2Fabc", SECRET[::-1].encode(),
                    tmp_path / "big"):
        with pytest.raises(DataError, match=r"what the environment variable (MY_API_KEY|ME) holds") as failure:
            need_none({"tape.jsonl": content}, wanted, allowed=[SECRET])
        assert SECRET not in str(failure.value)
    need_none({"tape.jsonl": b"nothing"}, wanted)


def test_a_folder_ends_the_packing_unless_it_is_allowed() -> None:
    wanted = [Trace("your home folder (/home/me)", "/home/me")]
    need_none({"a": b"/home/melanie, x/home/me, http://x/home/me-too"}, wanted)
    for text in (b"see /home/me/x", b"/home/me", b'"/home/me"'):
        with pytest.raises(DataError, match=r"a would tell others your home folder .* --allow /home/me"):
            need_none({"a": text}, wanted)
        need_none({"a": text}, wanted, allowed=["/home/me"])


def test_the_traces_of_a_machine_are_its_folders_and_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr("socket.gethostname", lambda: "desk-of-somebody")
    texts = {trace.text for trace in traces([tmp_path])}
    assert {"/home/somebody", "desk-of-somebody", str(tmp_path), str(Path.cwd())} <= texts
