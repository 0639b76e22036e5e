"""A W&B server on the loopback, and a run's directory with what a run leaves there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fireact.schema import Config
from fireact.store import Store
from tests.helpers import ROOT, composed
from tests.tracking.server import KEY, Server, serving

METRICS = {"train": {"steps": 4, "loss": 0.25},
           "evaluate": {"factbook": {"prompted": {"n": 2, "em": 0.0, "em_se": 0.0},
                                     "finetuned": {"n": 2, "em": 0.5, "em_se": 0.5}}}}
ROWS: list[dict[str, Any]] = [
    {"dataset": "factbook", "guise": guise, "fault": "", "id": f"q{number}", "em": number / 2, "answer": None}
    for guise in ("prompted", "finetuned") for number in range(2)]

Sync = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(folder: Path, url: str) -> dict[str, str]:
    """What W&B is told by its variables: a key, where its server is, and no file outside the test's folder."""
    places = ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR")
    return {**{name: str(folder / "home") for name in places}, "WANDB_BASE_URL": url, "WANDB_API_KEY": KEY,
            "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true", "NO_PROXY": "127.0.0.1"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that W&B in this process talks to, from its beginning."""
    wandb = pytest.importorskip("wandb", reason="W&B is not installed")
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    with serving() as serves:
        for name, value in environment(tmp_path, serves.url).items():
            monkeypatch.setenv(name, value)
        wandb.teardown()
        yield serves
        serves.status = 0
        wandb.teardown()


@pytest.fixture
def cell(tmp_path: Path) -> Callable[..., Config]:
    """Compose a configuration with this test's store."""
    return lambda *overrides: composed(f"store={tmp_path}/store", "wandb.mode=online", *overrides)


@pytest.fixture
def sync(tmp_path: Path, server: Server) -> Sync:
    """Run `wandb sync` on folders, those of the store where none is named."""
    def run(*folders: Path) -> "subprocess.CompletedProcess[str]":
        names = map(str, folders or [tmp_path / "store" / "wandb"])
        return subprocess.run([sys.executable, "-m", "wandb", "sync", *names], capture_output=True, text=True,
                              env={**os.environ, "WANDB_SILENT": "false"}, cwd=tmp_path, timeout=60)

    return run


def child(code: str, *arguments: object, **variables: str) -> "subprocess.Popen[str]":
    """Run Python code in a process of its own, with the environment of the test."""
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, cwd=ROOT,
                            env={**os.environ, "PYTHONPATH": str(ROOT), **variables})


def filled(run_dir: Path, store: Path) -> Path:
    """A run directory with what all stages leave there, and the links into the store."""
    run_dir.mkdir(parents=True, exist_ok=True)
    dataset, adapter = Store(store).folder("curate", "c" * 16), Store(store).folder("train", "a" * 16) / "adapter"
    for folder in (dataset, adapter):
        folder.mkdir(parents=True, exist_ok=True)
    for name in ("train.jsonl", "validation.jsonl", "funnel.json"):
        (dataset / name).write_text(f"{name}\n")
    (adapter / "adapter_model.safetensors").write_bytes(b"w" * 1000)
    (adapter / "adapter_config.json").write_text("{}")
    for name, to in (("curated", dataset), ("adapter", adapter)):
        if not (run_dir / name).exists():
            (run_dir / name).symlink_to(to, target_is_directory=True)
    (run_dir / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (run_dir / "metrics.json").write_text(json.dumps(METRICS))
    (run_dir / "report.html").write_text("<p>report</p>")
    return run_dir
