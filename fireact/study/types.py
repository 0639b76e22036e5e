"""The nouns of a study. Shares are between 0 and 1, money is US dollars, arrays have one value an episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from fireact.stats import Contrast, Estimate

GUISES = {"prompted": "prompted", "finetuned": "fine-tuned"}
"""How the guises of the student are called in a report."""
OWN = "own"
"""How what the student plays itself is called in the place of a method's name."""
ROUND = "round"
"""The axis of the rounds of self-improvement."""
SEED = "seed"
"""The axis whose values repeat a measurement; `worker` only shares out the work."""


@dataclass(frozen=True)
class Asked:
    """A question that was evaluated."""

    id: str
    text: str
    gold: str
    kind: str
    hops: int | None


@dataclass(frozen=True)
class Cell:
    """One configuration of a sweep, or a run."""

    number: int
    folder: Path
    choices: Mapping[str, str]
    """What it has on each axis of the sweep, e.g. {"strategy": "react", "seed": "0"}; {} of a single run."""
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    manifest: Mapping[str, Any]
    error: str | None = None
    """The first line of why it failed; None for one that did not."""


@dataclass(frozen=True)
class Series:
    """The episodes of one cell's student in one guise on one dataset, with a sound tool or with one fault."""

    cell: int
    """The index in `Study.cells`."""
    dataset: str
    guise: str
    """prompted | finetuned."""
    fault: str
    method: str
    """How the student was asked."""
    question: np.ndarray
    """Indices in `Study.questions[dataset]`."""
    attempt: np.ndarray
    values: Mapping[str, np.ndarray]
    """em, f1, rounds, tool_calls, prompt_tokens, completion_tokens, seconds, cost (NaN where it is not known)."""
    stop: Sequence[str]
    failure: Sequence[str]
    """A kind of `fireact.failures.FAILURES`; empty for a right episode."""
    answer: Sequence[str | None]


@dataclass(frozen=True)
class Study:
    """What was run, and how each question went."""

    folder: Path
    name: str
    axes: Mapping[str, Sequence[str]]
    """The values of each axis in their order."""
    cells: Sequence[Cell]
    questions: Mapping[str, Sequence[Asked]]
    """By dataset."""
    series: Sequence[Series]
    skipped: Sequence[str] = ()
    """A sentence for each record or file that could not be read."""


@dataclass(frozen=True)
class Condition:
    """What is compared: the series of cells that differ in nothing but the seed."""

    label: str
    """What tells it from the study's others, e.g. "react, fine-tuned"."""
    choices: Mapping[str, str]
    """Of the axes, without the seed."""
    dataset: str
    guise: str
    fault: str
    series: Sequence[int]
    """The indices in `Study.series`, one a seed."""


@dataclass(frozen=True)
class Leader:
    """A line of the leaderboard."""

    condition: Condition
    em: Estimate
    f1: Estimate
    effort: Mapping[str, float | None]
    """Means an episode: rounds, tool_calls, prompt_tokens, completion_tokens, seconds, cost; `finished` a share."""
    failures: Mapping[str, int]
    kinds: Mapping[str, tuple[int, float]]
    """n and EM by kind of question."""
    hops: Mapping[str, tuple[int, float]]
    paper: str = ""
    """What the paper has for it, in words; empty where it has nothing."""
    passes: Mapping[int, Estimate] = field(default_factory=dict)
    """pass@k by k, for questions that were played several times; empty where each was played once."""
    seed_spread: float | None = None
    """The standard deviation of EM between seeds, how far another run may lie; None for one seed."""


@dataclass(frozen=True)
class Planned:
    """A contrast that the study was made for, with its verdict in the family of all of them."""

    label: str
    """E.g. "strategy: reflexion against react"."""
    dataset: str
    first: str
    second: str
    contrast: Contrast
    """By how much `second` is better than `first`, each question's mean over all cells that differ in this alone."""
    adjusted_p: float
    """By Holm, over all planned contrasts of the study."""
    verdict: str
    """In words."""


@dataclass(frozen=True)
class Grid:
    """EM over two axes, the mean over all others."""

    dataset: str
    guise: str
    rows: tuple[str, Sequence[str]]
    """The axis and its values."""
    columns: tuple[str, Sequence[str]]
    values: Sequence[Sequence[Estimate | None]]


@dataclass(frozen=True)
class LearningCurve:
    """EM over the number of trajectories that were trained on."""

    label: str
    dataset: str
    sizes: Sequence[int]
    points: Sequence[Estimate]
    needed: Sequence[tuple[float, str]]
    """(a target EM, how many samples it takes in words)."""


@dataclass(frozen=True)
class Complement:
    """What a choice of the best condition for each question would be worth, as in the paper's Table 4."""

    dataset: str
    labels: Sequence[str]
    oracle: Estimate
    random: Estimate
    only: Mapping[str, Sequence[str]]
    """The ids of the questions that a condition alone got right, by its label."""


@dataclass(frozen=True)
class TrainingCurve:
    """The losses of one training; cells that share it are named together."""

    label: str
    steps: Sequence[int]
    loss: Sequence[float | None]
    validation: Sequence[tuple[int, float]] = field(default=())
