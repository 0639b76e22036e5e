"""Runs to be packed, each made once, and a forger."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from fireact.capsule import archive
from fireact.capsule.__main__ import main
from fireact.capsule.contents import CAPSULE, as_json, file_of, read_capsule
from fireact.loopback import serve
from tests.conftest import MadeOnce, environment
from tests.helpers import ROOT

SECRET = "sk-planted-0123456789abcdef"
Files = dict[str, bytes]


@dataclass(frozen=True)
class Told:
    """What a command ended with."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `verify` sets them, put back behind each test."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")


@pytest.fixture
def capsule(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """The command, in this process."""

    def run(*argv: object) -> Told:
        code = main([str(each) for each in argv])
        return Told(code, *capsys.readouterr())

    return run


@pytest.fixture
def verified(capsule: Callable[..., Told], tmp_path: Path, shared_home: Path) -> Callable[..., Told]:
    """Verify a file in a folder of its own, for which the embedded dataset is built already."""

    def run(file: Path, *options: str) -> Told:
        work = tmp_path / f"work-{sha256(file.read_bytes()).hexdigest()[:8]}{len(options)}"
        work.mkdir()
        (work / "home").symlink_to(shared_home, target_is_directory=True)
        return capsule("verify", file, "--work", work, *options)

    return run


def finished(*command: str, **env: str) -> None:
    """Run main.py, which must go well."""
    done = subprocess.run([sys.executable, "main.py", *command], cwd=ROOT, capture_output=True, text=True,
                          env={**environment(), "NO_PROXY": "127.0.0.1", **env})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def whole_run(made_once: MadeOnce, tiny_options: Path, shared_home: Path) -> Path:
    """The whole loop: the scripted expert, a curation, a tiny student that is trained and evaluated."""

    def fill(folder: Path) -> None:
        (folder / "store").mkdir()
        (folder / "store" / "home").symlink_to(shared_home, target_is_directory=True)
        finished("--config-dir", str(tiny_options), f"store={folder}/store", f"hydra.run.dir={folder}/run",
                 "wandb.mode=disabled", "model=tiny_a", "generate.n=16", "curate.n=6", "curate.validation=2",
                 "evaluate.n=3", "train.batch_size=2", "train.max_steps=1", "curate.filters=[finished,correct]",
                 "evaluate.parity.check=false")

    return made_once("whole-run", fill) / "run"


@pytest.fixture(scope="session")
def paid_sweep(made_once: MadeOnce) -> Path:
    """Two cells that play a user's own questions by a model behind an endpoint: 4 of them, then 6."""
    return made_once("paid-sweep", lambda folder: _play_paid(folder, "replay")) / "sweep"


@pytest.fixture(scope="session")
def drawn_sweep(made_once: MadeOnce, shared_home: Path) -> Path:
    """Several attempts until enough are right, and faults of the tool, by models that are computed and not taped."""

    def fill(folder: Path) -> None:
        (folder / "store").mkdir()
        (folder / "store" / "home").symlink_to(shared_home, target_is_directory=True)
        finished("-m", f"store={folder}/store", f"hydra.sweep.dir={folder}/sweep", "wandb.mode=disabled",
                 "stage=generate,evaluate", "teacher.mistakes=0.4", "generate.n=12", "generate.attempts=3",
                 "generate.until_correct=true", "generate.kept=4", "model=scripted",
                 'model.replies=["Thought: a\\nAction: search[France]", "Thought: b\\nAction: finish[Paris]"]',
                 "evaluate.n=3", "evaluate.finetuned=false", "evaluate.faults=[random,truncated]")

    return made_once("drawn-sweep", fill) / "sweep"


@pytest.fixture(scope="session")
def untaped_sweep(made_once: MadeOnce) -> Path:
    """The same without a tape."""
    return made_once("untaped-sweep", lambda folder: _play_paid(folder, "off")) / "sweep"


def _play_paid(folder: Path, mode: str) -> None:
    questions = [{"id": f"q{n}", "question": f"Which word is the last one, word{n}?", "answer": f"word{n}"}
                 for n in range(8)]
    passages = [{"id": str(n), "title": f"Word {n}", "text": f"This is about word{n}."} for n in range(8)]
    for name, rows in (("questions", questions), ("passages", passages)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serve() as server:
        finished("-m", f"store={folder}/store", f"hydra.sweep.dir={folder}/sweep", "wandb.mode=disabled",
                 "stage=evaluate", "evaluate.finetuned=false", "evaluate.n=4,6", "model=api", "model.model=scripted",
                 f"model.base_url={server.url}", "model.key_env=PLANTED", "+model.headers={x-key: $ALSO_PLANTED}",
                 "dataset=table", f"dataset.test={folder}/questions.jsonl", f"dataset.passages={folder}/passages.jsonl",
                 f"tape.mode={mode}", PLANTED=SECRET, ALSO_PLANTED=f"{SECRET}-too")


def read(file: Path) -> Files:
    """The files of a capsule."""
    with zipfile.ZipFile(file) as archived:
        return {name: archived.read(name) for name in archived.namelist()}


def forge(file: Path, to: Path, change: Callable[[Files], object]) -> Path:
    """Change a capsule's files, and all checksums with them, as a forger would."""
    files = read(file)
    capsule = read_capsule(files.pop(CAPSULE), str(file))
    change(files)
    told = {**json.loads(capsule.text()), "files": {name: vars(file_of(data)) for name, data in files.items()}}
    archive.write(to, read_capsule(as_json(told), str(to)), files)
    return to


def edit(files: Files, name: str, change: Callable[[dict], object]) -> None:
    """Change one of them that is JSON."""
    values = json.loads(files[name])
    change(values)
    files[name] = json.dumps(values).encode()


def trajectories(files: Files, *, of: str = "") -> str:
    """The name of a file of episodes; `of` is a part of its text."""
    return next(name for name in sorted(files) if name.endswith("trajectories.jsonl") and of.encode() in files[name])
