"""Fixtures that are dear, made once: the embedded dataset with its index, and two tiny models."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.helpers import ROOT
from tests.model.tiny import tiny_model

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each of several processes has a core of its own; torch, which comes later, would take them all.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where the tests run in the background, Ctrl-C is ignored, and processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

Main = Callable[..., "subprocess.CompletedProcess[str]"]
MadeOnce = Callable[[str, Callable[[Path], None]], Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test, so that at the end no core waits for it."""
    items.sort(key=lambda item: "tests/sweep/test_sweep.py" not in item.nodeid)


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    """Let each test choose its precision: Accelerate, where it is imported, remembers the first of a process."""
    yield
    if "accelerate.state" in sys.modules:
        sys.modules["accelerate.state"].AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Have a folder filled by the first of all processes of a test run that asks for it, and return it."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, fill: Callable[[Path], None]) -> Path:
        place, filled = root / name, root / f"{name}.filled"
        with FileLock(root / f"{name}.lock"):
            if not filled.exists():
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                fill(place)
                filled.touch()
        return place

    return folder


@pytest.fixture(scope="session")
def shared_home(made_once: MadeOnce) -> Path:
    """Where the dataset and its index are built once for all tests."""
    return made_once("home", lambda _: None)


@pytest.fixture
def store(tmp_path: Path, shared_home: Path) -> Path:
    """An empty stage store, whose dataset is built already."""
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "home").symlink_to(shared_home, target_is_directory=True)
    return folder


@pytest.fixture(scope="session")
def tiny_options(made_once: MadeOnce) -> Path:
    """A folder for --config-dir with the models tiny_a and tiny_b, randomly initialised."""
    return made_once("options", _tiny_options)


def _tiny_options(folder: Path) -> None:
    (folder / "model").mkdir()
    for seed, name in enumerate(("tiny_a", "tiny_b")):
        weights = tiny_model(folder / "weights" / name, seed=seed, window=4096, hidden=32)
        (folder / "model" / f"{name}.yaml").write_text(
            f"defaults: [_local, _self_]\nname: {name}\nsource: {weights}\nmax_tokens: 12\n")


@pytest.fixture
def run_main(tmp_path: Path, store: Path) -> Main:
    """Run main.py in a process of its own, with this test's store and run directory."""
    return lambda *options, **kwargs: subprocess.run(command(tmp_path, store, *options), **process_options(), **kwargs)


@pytest.fixture
def start_main(tmp_path: Path, store: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start main.py in a process group of its own, and go on."""
    return lambda *options: subprocess.Popen(command(tmp_path, store, *options), start_new_session=True,
                                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                             cwd=ROOT, env=environment())


def command(tmp_path: Path, store: Path, *options: str) -> list[str]:
    """The command line of a run; options for Hydra itself come first."""
    flags = [option for option in options if option.startswith("-")]
    rest = [option for option in options if option not in flags]
    if "--config-dir" in flags:
        flags.remove("--config-dir")
        flags += ["--config-dir", rest.pop(0)]
    return [sys.executable, "main.py", *flags, f"store={store}", f"hydra.run.dir={tmp_path}/run",
            f"hydra.sweep.dir={tmp_path}/sweep", "wandb.mode=disabled", *rest]


def process_options() -> dict:
    """How the processes of a test are run."""
    return {"cwd": ROOT, "capture_output": True, "text": True, "env": environment()}


def environment() -> dict[str, str]:
    """The environment of a user without keys and without a hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "OPENAI_", "HF_"))}
    return {**kept, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
