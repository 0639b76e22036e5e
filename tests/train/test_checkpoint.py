"""Checkpoints and metrics on disk."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fireact.errors import DataError
from fireact.train import checkpoint
from fireact.train.checkpoint import Progress


def test_a_checkpoint_comes_back_and_replaces_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    tensors = {"a": torch.randn(3, 2), "step": torch.tensor(4.0)}
    checkpoint.save(folder, Progress("job", step=2), {"a": torch.zeros(3, 2)}, keep=1)
    written = Progress("job", step=4, tokens=9, losses=[1.0, 0.1 + 0.2])
    checkpoint.save(folder, written, tensors, keep=1)
    found = checkpoint.load(folder, "job")
    assert found is not None
    progress, loaded = found
    assert progress == written
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    assert [path.name for path in folder.iterdir()] == ["step-00000004"]


def test_a_checkpoint_half_written_does_not_count(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, Progress("job", step=2), {"a": torch.zeros(1)}, keep=1)

    with suppress(KeyboardInterrupt), checkpoint.replacing(tmp_path / "step-00000004") as part:
        (part / "state.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt
    found = checkpoint.load(tmp_path, "job")
    assert found is not None
    assert found[0].step == 2
    assert checkpoint.load(tmp_path / "nowhere", "job") is None


def test_a_checkpoint_never_makes_room_for_later_ones(tmp_path: Path) -> None:
    """Those are left of a start that came further, and was damaged since or is done again."""
    for step in (5, 6, 2):
        checkpoint.save(tmp_path, Progress("job", step=step), {"a": torch.zeros(1)}, keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_as_many_as_are_wanted_are_kept(tmp_path: Path, keep: int) -> None:
    for step in range(1, 7):
        checkpoint.save(tmp_path, Progress("job", step=step), {"a": torch.zeros(1)}, keep=keep)
        assert len(list(tmp_path.iterdir())) == min(step, keep)


def test_what_else_lies_among_them_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / checkpoint.CHECKPOINTS
    for name in ("step-00000009.bak", "step-last"):
        (folder / name).mkdir(parents=True)
    assert checkpoint.newest(tmp_path) is None
    for step in (2, 4):
        checkpoint.save(folder, Progress("job", step=step), {"a": torch.zeros(1)}, keep=1)
    assert checkpoint.newest(tmp_path) == 4
    found = checkpoint.load(folder, "job")
    assert found is not None
    assert found[0].step == 4
    assert {path.name for path in folder.iterdir()} == {"step-00000009.bak", "step-last", "step-00000004"}
    checkpoint.drop(folder)
    assert {path.name for path in folder.iterdir()} == {"step-00000009.bak", "step-last"}


def test_files_are_for_whom_the_folder_is(tmp_path: Path) -> None:
    with checkpoint.replacing(tmp_path / "adapter") as part:
        (part / "weights").write_bytes(b"")
        (part / "weights").chmod(0o600)
        part.chmod(0o750)
    assert (tmp_path / "adapter" / "weights").stat().st_mode & 0o777 == 0o640


def test_another_jobs_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, Progress("this", step=2), {"a": torch.zeros(1)}, keep=1)
    with pytest.raises(DataError, match=r"checkpoint of another job \(hash this, this one is that\)"):
        checkpoint.load(tmp_path, "that")


def test_metrics_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        checkpoint.append(path, {"step": step, "loss": 1 / 3})
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"step": 4, "lo')
    checkpoint.rewind(path, 2)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 1, "loss": 0.3333333}, {"step": 2, "loss": 0.3333333}]


def test_half_a_line_in_the_middle_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 0.1}\n{"step": 2, "lo')
    checkpoint.append(path, {"step": 2, "loss": 0.2})
    checkpoint.append(path, {"step": 3, "loss": 0.3})
    checkpoint.rewind(path, 2)
    assert path.read_text(encoding="utf-8") == '{"step": 1, "loss": 0.1}\n{"step": 2, "loss": 0.2}\n'


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("this system has no device that is always full")
    with pytest.raises(DataError, match=r"cannot write under .*: No space left on device; make room"), \
            checkpoint.writing(tmp_path):
        checkpoint.append(full, {"step": 1})
    with pytest.raises(DataError, match=r"cannot write under .*os error"), checkpoint.writing(tmp_path):
        save_file({"a": torch.zeros(1)}, tmp_path / "missing" / "file")
