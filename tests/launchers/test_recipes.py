"""The recipes of conf/hydra/launcher, with the executors that need no cluster."""

import json
import subprocess
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from fireact.checks import check
from fireact.errors import ConfigError
from fireact.plugins import build
from fireact.stages import Stages
from fireact.sweep.jobs import submitted
from tests.conftest import command, environment
from tests.helpers import ROOT, composed

LOCAL = {"gpus": ("gpus=[0,1]",), "slurm_local": (), "ray_tasks": ("hydra.launcher.ray.init.num_cpus=2",)}
PACKAGES = {"gpus": "joblib", "slurm_local": "submitit", "ray_tasks": "ray"}


@pytest.fixture(params=LOCAL)
def launcher(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The options that choose a launcher which works on this machine; its package may be absent."""
    pytest.importorskip(f"hydra_plugins.hydra_{PACKAGES[request.param]}_launcher", exc_type=ImportError,
                        reason="its package is not installed")
    return f"hydra/launcher={request.param}", *LOCAL[request.param]


def test_a_cell_that_fails_takes_no_other_along_and_says_why_at_the_end(launcher, run_main, tmp_path: Path,
                                                                        devices: list[str]) -> None:
    done = run_main("-m", *launcher, "stage=generate", "generate.n=2,99999,3")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "generate.n=99999: generate.n=99999 is more than the 2400 questions of the split 'train'" in done.stdout
    assert "sweep: 2 of 3 cells done" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    for number, n in ((0, 2), (2, 3)):
        assert len((tmp_path / "sweep" / str(number) / "trajectories.jsonl").read_text().splitlines()) >= n
        manifest = json.loads((tmp_path / "sweep" / str(number) / "manifest.json").read_text())
        assert manifest["state"] == "done"
        # In a process of submitit's the arguments are submitit's own, which would start nothing again.
        assert f"main.py -m store={tmp_path}/store" in manifest["command"]


def test_cells_share_one_gpu_stage_by_stage(run_main, tiny_options: Path, tmp_path: Path, devices: list[str]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="hydra-joblib-launcher is not installed")
    done = run_main("-m", "--config-dir", str(tiny_options), "hydra/launcher=gpus", "gpus=[1]",
                    "hydra.launcher.n_jobs=2", "model=tiny_a", "stage=evaluate", "evaluate.finetuned=false",
                    "evaluate.n=2", "seed=0,1", "strategy=direct")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(f"waiting for a free GPU of {devices[1]}\n") == 1
    assert "sweep: 2 of 2 cells done" in done.stdout


def test_a_job_of_slurm_goes_on_where_its_time_was_up() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is not installed")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"], return_hydra_config=True)
    assert cfg.hydra.launcher.max_num_timeout > 0
    assert cfg.hydra.launcher.signal_delay_s > 60


@pytest.mark.parametrize(("options", "sentence"), [
    (("hydra/launcher=gpus",), "hydra/launcher=gpus has as many cells at once as GPUs are shared out, and gpus=null"),
    (("hydra/launcher=gpus", "gpus=[0,5]"), "error: gpus=[0,5] names GPU 5, and 3 are visible here (CUDA_VISIBLE_"),
    (("hydra/launcher=gpus", "gpus=some"), "error: gpus=some is no list; give numbers, e.g. gpus=[0,1], or gpus=all"),
    (("hydra/launcher=slurm",), 'hydra/launcher cannot be used here: Could not detect "srun"'),
])
def test_what_cannot_be_is_told_in_a_sentence(options, sentence: str, run_main, devices: list[str]) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the launchers are not installed")
    done = run_main("-m", *options, "seed=0,1", "stage=generate", "generate.n=2", "model@teacher=smollm2_135m")
    assert done.returncode == 2
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(("name", "package", "install"), [
    ("gpus", "joblib", "-e '.[workers]'"), ("joblib", "joblib", "-e '.[workers]'"),
    ("slurm", "submitit", "-e '.[workers]'"), ("slurm_local", "submitit", "-e '.[workers]'"),
    ("submitit_slurm", "submitit", "-e '.[workers]'"), ("ray_tasks", "ray", "hydra-ray-launcher")])
def test_a_package_that_is_missing_is_named(name: str, package: str, install: str, tmp_path: Path, store: Path) -> None:
    plugins = tmp_path / "without" / "hydra_plugins"
    plugins.mkdir(parents=True)
    # A package in the place of all the others of that name, so that none of these is found, but our own.
    (plugins / "__init__.py").write_text(f"__path__.append({str(ROOT / 'hydra_plugins')!r})")
    done = subprocess.run(command(tmp_path, store, "-m", f"hydra/launcher={name}", "gpus=[0]", "seed=0,1"), cwd=ROOT,
                          env={**environment(), "PYTHONPATH": str(tmp_path / "without")}, capture_output=True,
                          text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr == (f"error: this hydra/launcher needs hydra-{package}-launcher, which is not installed; "
                           f"run: pip install {install}\n")


@pytest.mark.parametrize(("options", "stage", "wanted"), [
    ((), "train", 1), (("train.processes=2",), "train", 2),
    (("train.accelerate_config=conf/accelerate/fsdp2_4.yml",), "train", 4),
    (("train.accelerate_config=conf/accelerate/fsdp2_2x8.yml",), "train", 8),
    ((), "generate", 0), (("model@teacher=smollm2_360m",), "generate", 1),
    (("model@teacher=api", "teacher.model=x"), "generate", 0),
    ((), "evaluate", 1), (("model.device=cpu",), "evaluate", 0), (("model.device=cuda:1",), "evaluate", 0),
    (("model.engine=vllm",), "evaluate", 0), (("model=scripted", "evaluate.finetuned=false"), "evaluate", 0),
    (("model=api", "model.model=x", "train=hosted"), "train", 0),
])
def test_which_stages_take_gpus_is_told_by_what_they_run(options: tuple[str, ...], stage: str, wanted: int) -> None:
    from fireact.slots import wanted_by

    stages = Stages(composed(*options))
    job = {"train": lambda: stages.train, "generate": lambda: next(iter(stages.plays.values())),
           "evaluate": lambda: stages.evaluations[0].job}[stage]()
    assert wanted_by(job) == wanted
    assert wanted_by(stages.curate) == 0


def test_a_served_student_is_loaded_here_to_be_held_against_its_training() -> None:
    from fireact.parity import ParityJob
    from fireact.slots import wanted_by

    node = composed("model.engine=vllm").model
    assert wanted_by(build(node, "model")) == 0
    assert ParityJob(model=node, adapter=Path("a"), adapter_key="k", curated=None, home=Path("h")).gpus == 1


def test_a_training_over_more_gpus_than_are_shared_out_is_refused_first(devices: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"takes 2 GPUs .* gpus=\[0\] names 1"):
        check(Stages(composed("train.processes=2", "gpus=[0]")), ["generate", "curate", "train"])


def test_the_numbers_of_submitted_jobs(tmp_path: Path) -> None:
    assert submitted(tmp_path) == []
    for name in ("1234_0", "1234_1", "77", "%j", "x"):
        (tmp_path / ".submitit" / name).mkdir(parents=True)
    assert submitted(tmp_path) == ["77", "1234"]
