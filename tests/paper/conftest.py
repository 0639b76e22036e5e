"""What a run as the paper's is made of."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fireact.paper import match
from fireact.schema import Config
from tests.helpers import composed
from tests.paper.made import GOOGLE, GPT, HOSTED


@pytest.fixture(scope="module")
def plain() -> Config:
    """The default run."""
    return composed()


@pytest.fixture
def made(plain: Config) -> Config:
    """A run as the paper's GPT-3.5 had it."""
    hotpotqa = {"_target_": "fireact.dataset.hotpotqa.HotpotQA", "scoring": "faithful"}
    teacher = {"_target_": "fireact.model.api.Api", "model": "gpt-4"}
    return plain.model_copy(update={"model": GPT, "tool": GOOGLE, "train": HOSTED, "dataset": hotpotqa,
                                    "teacher": teacher})


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The questions of these tests are the paper's."""
    marks = [match.mark(f"What is {i}?") for i in range(500)]
    path = tmp_path / "questions.json"
    path.write_text(json.dumps({"hotpotqa": marks, "bamboogle": marks[:125]}), encoding="utf-8")
    monkeypatch.setattr(match, "QUESTIONS", path)
    match._known_questions.cache_clear()
    yield
    match._known_questions.cache_clear()
