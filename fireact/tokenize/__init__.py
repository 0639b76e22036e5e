"""Turn curated trajectories into token ids and loss masks, and look at them before anything is trained on.

    python -m fireact.tokenize FOLDER/job.json

writes FOLDER/train.jsonl and validation.jsonl (of `fireact.types.Example`), audit.json and audit.html. Trainings that
learn the same in the same tokens share the folder.
"""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from fireact.curate import TRAIN, VALIDATION
from fireact.errors import DataError
from fireact.examples import Lesson, Loss
from fireact.jsonl import encode, read_jsonl, write_atomic
from fireact.plugins import Node, build
from fireact.sections import Section
from fireact.store import DONE, identity, key
from fireact.tokenize.audit import summarize
from fireact.tokenize.page import page
from fireact.tokenize.rows import Maker, Row, TooLong
from fireact.types import Count, NotNegative, Trajectory

if TYPE_CHECKING:
    from fireact.model.local import Local

VERSION = 1
AUDIT, PAGE = "audit.json", "audit.html"
_MANY = 2000
"""From so many rows on, several processes are worth the seconds that they take to start."""


class TokenizeJob(Section):
    """What becomes tokens, and how."""

    curated: Path
    curated_key: str
    model: Node
    loss: Loss
    step_weights: Annotated[list[NotNegative], Field(min_length=1)]
    final_weight: NotNegative
    end_of_turn: bool
    max_length: Count | None
    too_long: TooLong
    home: Path

    def key(self) -> str:
        """The store key of the folder that holds the tokens."""
        options = self.model_dump(exclude={"curated", "model", "home"})
        return key(stage="tokenize", version=VERSION, model=identity(self.model, replies=False), **options)

    @property
    def lesson(self) -> Lesson:
        """What is learnt."""
        return Lesson(self.loss, tuple(self.step_weights), self.final_weight, self.end_of_turn)


def run(values: dict[str, Any], folder: Path) -> None:
    """Tokenise into `folder`. Raises DataError, ConfigError."""
    job = TokenizeJob.model_validate(values)
    for name in (TRAIN, VALIDATION):
        if not (job.curated / name).exists():
            raise DataError(f"{job.curated / name} does not exist; run stage=curate first, or name a folder with "
                            f"{TRAIN} and {VALIDATION} by inputs.curated")
    maker = _maker(values)
    sets = {name: _rows(values, maker, list(read_jsonl(job.curated / name, Trajectory)))
            for name in (TRAIN, VALIDATION)}
    for name, rows in sets.items():
        write_atomic(folder / name, "".join(f"{encode(row.example)}\n" for row in rows if not row.left_out))
    summary = {"train": summarize(sets[TRAIN]), "validation": summarize(sets[VALIDATION]), "window": maker.window}
    write_atomic(folder / AUDIT, json.dumps(summary, indent=1))
    write_atomic(folder / PAGE, page(maker.tokenizer, sets[TRAIN], summary["train"]))
    write_atomic(folder / DONE, json.dumps({"rows": summary["train"]["used"]}))


def _maker(values: dict[str, Any]) -> Maker:
    job = TokenizeJob.model_validate(values)
    student: Local = build(job.model, "model", home=job.home / "weights")
    window = min(student.context_window(), job.max_length or student.context_window())
    return Maker(student.tokenizer(), job.lesson, window, job.too_long)


def _rows(values: dict[str, Any], maker: Maker, records: Sequence[Trajectory]) -> list[Row]:
    """The rows in the order of the records; many are made by all processors."""
    workers = min(os.cpu_count() or 1, len(records) // (_MANY // 2))
    if workers < 2:
        return [maker.row(record) for record in records]
    size = -(-len(records) // workers)
    parts = [records[start: start + size] for start in range(0, len(records), size)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return [row for part in pool.map(partial(_part, values), parts) for row in part]


def _part(values: dict[str, Any], records: Sequence[Trajectory]) -> list[Row]:
    """What one process of several does."""
    maker = _maker(values)
    return [maker.row(record) for record in records]
