"""What several tests share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from fireact.dataset import scoring
from fireact.schema import Config, typed
from fireact.types import Question, Score

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("FIREACT_DATA", ROOT.parent / "shared" / "data"))
"""Real benchmark data, not part of the project."""


def real_data(*parts: str) -> Path:
    """A file or folder of the real data; the test skips where it is absent."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is absent; FIREACT_DATA names the folder of the real data")
    return path


def composed(*overrides: str) -> Config:
    """Compose and check a configuration, as main.py does."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return typed(compose("config", overrides=list(overrides)))


@dataclass(frozen=True)
class Gold:
    """A dataset of one question, without a corpus."""

    question: Question
    prompt: ClassVar[str] = "factbook"
    evaluation_split: ClassVar[str] = "test"

    def questions(self, split: str) -> list[Question]:
        """The question, in every split."""
        return [self.question]

    def corpus(self) -> None:
        """There is none."""

    def score(self, question: Question, answer: str | None) -> Score:
        """HotpotQA's scores."""
        return scoring.score(answer, question.answers)


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: what is larger fails as on a full disk.

    For the body of a test, not for a fixture: pytest's own report goes to a file too.
    """
    resource = pytest.importorskip("resource", reason="this system has no limits on files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
