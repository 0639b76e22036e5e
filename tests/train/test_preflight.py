"""What is looked at before a teacher is paid for what its student could not be trained on."""

import json
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import ConfigError, DataError
from fireact.loopback import serve
from fireact.train import Train, memory, preflight, ranks
from tests.model.tiny import tiny_model


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return tiny_model(tmp_path_factory.mktemp("student"))


def job(student: Path, folder: Path, **train: Any) -> dict[str, Any]:
    model = {"_target_": "fireact.model.local.Local", "name": "tiny", "source": str(student)}
    return {"model": model, "train": {"_target_": "fireact.train.Train", **train}, "home": str(folder)}


ALL_AT_ONCE = {"micro_batch_tokens": 10 ** 10, "batch_size": 10 ** 9}


@pytest.mark.parametrize(("options", "sentence"), [
    ({"bits": 4}, "train.bits=4 needs an NVIDIA GPU"),
    ({"dtype": "float16"}, "train.dtype=float16 needs an NVIDIA GPU"),
    ({"liger": True}, "train.liger=true needs an NVIDIA GPU"),
    ({"targets": ["query"]}, "train.targets names 'query'"),
    ({**ALL_AT_ONCE}, "this training takes about"),
    ({**ALL_AT_ONCE, "processes": 2}, "this training takes about"),
    ({**ALL_AT_ONCE, "accelerate_config": "conf/accelerate/fsdp2_8.yml"}, "this training takes about"),
    ({"start_from": "nowhere"}, "nowhere"),
])
def test_what_cannot_be_trained_here_is_refused(student: Path, tmp_path: Path, options: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        preflight.run(job(student, tmp_path, **options), tmp_path)


def test_what_can_be_is_not_and_leaves_nothing(student: Path, tmp_path: Path) -> None:
    preflight.run(job(student, tmp_path, targets=["q_proj"], threads=1), tmp_path)
    preflight.run(job(student, tmp_path, micro_batch_tokens=10 ** 10), tmp_path)  # A batch has far less.
    preflight.run(job(student, tmp_path, **ALL_AT_ONCE, check_memory=False), tmp_path)
    assert not list(tmp_path.iterdir())


def test_shards_are_those_of_the_layout() -> None:
    options = [Train(processes=2), *(Train(accelerate_config=Path(f"conf/accelerate/{name}.yml"))
                                     for name in ("ddp_4", "fsdp2_8", "zero2_4"))]
    assert [memory.shards_of(kind, processes, stage) for kind, processes, stage in map(ranks.planned, options)] == [
        memory.WHOLE, memory.WHOLE, memory.Shards(8, 8, 8), memory.Shards(1, 4, 4)]


def test_a_layout_of_no_number_of_processes_is_refused(student: Path, tmp_path: Path) -> None:
    layout = tmp_path / "layout.yml"
    layout.write_text("num_processes: many\n")
    with pytest.raises(DataError, match=r"layout\.yml: num_processes is 'many'; expected a number above 0"):
        preflight.run(job(student, tmp_path, accelerate_config=str(layout)), tmp_path)


def test_a_paid_teacher_is_not_asked_before(run_main, tmp_path: Path, tiny_options: Path) -> None:
    with serve() as endpoint:
        done = run_main("--config-dir", str(tiny_options), "model=tiny_a", "train.targets=[query]", "generate.n=4",
                        "model@teacher=api", f"teacher.base_url={endpoint.url}")
    assert done.returncode == 2, done.stdout
    assert done.stderr == ("error: train.targets names 'query', which is no linear module of this model; expected "
                           "'all-linear' or some of down_proj, gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, "
                           "v_proj\n")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["stages"] == {}
    assert endpoint.stats.requests == 0
