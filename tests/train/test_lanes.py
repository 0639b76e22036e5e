"""Passes side by side: what comes out is what one after the other gives, and the same each time."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fireact.train import data, worker
from fireact.train.lanes import Lanes
from fireact.train.loop import Training
from fireact.types import Example, Pair
from tests.train.conftest import VOCABULARY, MakeJob, make_examples, make_pairs

STEPS = {"examples": make_examples(12), "batch_size": 5, "learning_rate": 1e-3, "checkpoint_every": 1}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Leave torch as many threads as it has."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def start(file: Path) -> Training:
    """Load what the job trains."""
    job = worker.read_job(file)
    kind = Pair if job.train.dpo else Example
    return worker.start(job, data.read_examples(job.examples, kind, vocabulary=VOCABULARY, window=None), [])


def train(file: Path, lanes: int) -> dict[str, torch.Tensor]:
    """Do the job, in so many lanes, and return the adapter."""
    assert len(start(file).lanes) == lanes
    job = worker.read_job(file)
    worker.run(job)
    return load_file(job.out / "adapter" / "adapter_model.safetensors")


@pytest.mark.parametrize("options", [
    {}, {"packing": False}, {"gradient_checkpointing": True}, {"dora": True},
    {"examples": make_pairs(8), "dpo": {}, "learning_rate": 1e-4}], ids=str)
def test_it_is_what_one_after_the_other_gives(options: dict, make_job: MakeJob) -> None:
    one = train(make_job("one", **{**STEPS, **options}, threads=1), 1)
    two = train(make_job("two", **{**STEPS, **options}, threads=2), 2)
    again = train(make_job("again", **{**STEPS, **options}, threads=2), 2)
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=0, atol=1e-5)
        assert torch.equal(two[name], again[name])


def test_there_are_no_more_than_examples_fit_beside_each_other(make_job: MakeJob) -> None:
    longest = max(len(example.ids) for example in make_examples(12))
    train(make_job("fits", **STEPS, threads=2, micro_batch_tokens=2 * longest), 2)
    train(make_job("does not", **STEPS, threads=2, micro_batch_tokens=2 * longest - 1), 1)
    train(make_job("three", **STEPS, threads=3, micro_batch_tokens=64), 2)


@pytest.mark.parametrize("options", [{"dropout": 0.1}, {"method": "full"}, {"dtype": "bfloat16"}], ids=str)
def test_what_is_not_done_side_by_side(options: dict, make_job: MakeJob) -> None:
    assert len(start(make_job(**STEPS, **options, threads=2)).lanes) == 1


def test_a_model_that_drops_by_itself_is_not_computed_side_by_side(make_job: MakeJob, base: Path,
                                                                  tmp_path: Path) -> None:
    dropping = shutil.copytree(base, tmp_path / "dropping")
    config = json.loads((dropping / "config.json").read_text(encoding="utf-8"))
    (dropping / "config.json").write_text(json.dumps({**config, "attention_dropout": 0.1}), encoding="utf-8")
    assert len(start(make_job(**STEPS, base=dropping, threads=2)).lanes) == 1


def test_it_goes_on_from_a_checkpoint(make_job: MakeJob) -> None:
    """Every lane has the weights that were read, for they are in the same memory."""
    whole = train(make_job("whole", **STEPS, threads=2), 2)
    halted = start(make_job("halted", **STEPS, threads=2))
    halted.total = 2
    halted.go()
    halted.save()
    resumed = train(make_job("halted", **STEPS, threads=2), 2)
    assert all(torch.equal(weight, whole[name]) for name, weight in resumed.items())


def test_a_lane_that_fails_stops_the_others_and_leaves_the_threads() -> None:
    torch.set_num_threads(3)
    lanes, parts = Lanes(torch.nn.Identity(), 2), []

    def work(_: torch.nn.Module, share: int) -> Iterator[tuple[int, int]]:
        for part in range(share, 10 ** 9):
            parts.append(1 // part)
            yield part, torch.get_num_threads()

    with pytest.raises(ZeroDivisionError):
        lanes.run(work, [1, 0])
    assert torch.get_num_threads() == 3
    assert lanes.run(lambda _, share: iter([share, torch.get_num_threads()]), [5, 6]) == [5, 2, 6, 1]


def test_ctrl_c_does_not_wait_for_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    lanes = Lanes(torch.nn.Identity(), 2)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fireact.train.lanes.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lanes.run(lambda _, share: iter(range(10 ** 12)), [0, 1])
    assert torch.get_num_threads() == 2
    lanes.pool.shutdown(wait=True)  # As Python does where it ends.
