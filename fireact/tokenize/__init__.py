"""Turn curated trajectories into token ids and loss masks, and look at them before anything is trained on.

    python -m fireact.tokenize FOLDER/job.json

writes FOLDER/train.jsonl and validation.jsonl (of `fireact.types.Example`, or of `Pair` for a training on pairs),
audit.json and audit.html. Trainings that learn the same in the same tokens share the folder.
"""

import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from fireact.curate import HELD_PREFERENCES, PREFERENCES, TRAIN, VALIDATION
from fireact.errors import DataError
from fireact.examples import Loss, Masking, name_of
from fireact.jsonl import encode, read_jsonl, write_atomic
from fireact.options import Count, NotNegative
from fireact.plugins import Node, build
from fireact.preferences import Preference
from fireact.sections import Section
from fireact.store import DONE, identity, key
from fireact.tokenize.audit import summarize
from fireact.tokenize.page import page
from fireact.tokenize.pairs import Named, pairs, sides, together
from fireact.tokenize.rows import Row, RowBuilder, TooLong
from fireact.types import Example, Pair, Trajectory

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
    pairs: bool = False
    """Whether pairs of trajectories become tokens, in the place of trajectories."""
    home: Path

    def key(self) -> str:
        """The store key of the folder that holds the tokens."""
        options = self.model_dump(exclude={"curated", "model", "home"})
        return key(stage="tokenize", version=VERSION, model=identity(self.model, replies=False), **options)

    @property
    def masking(self) -> Masking:
        """What is learnt."""
        return Masking(self.loss, tuple(self.step_weights), self.final_weight, self.end_of_turn)


def run(values: dict[str, Any], folder: Path) -> None:
    """Tokenise into `folder`. Raises DataError, ConfigError."""
    job = TokenizeJob.model_validate(values)
    files = (PREFERENCES, HELD_PREFERENCES) if job.pairs else (TRAIN, VALIDATION)
    for file in files:
        if not (job.curated / file).exists():
            raise DataError(f"{job.curated / file} does not exist; run stage=curate first"
                            f"{', with curate.pairs of 1 or more' if job.pairs else ''}, or name a folder with "
                            f"{' and '.join(files)} by inputs.curated")
    builder = _builder(values)
    sets = {name: _rows(values, builder, _named(job, file))
            for name, file in zip((TRAIN, VALIDATION), files, strict=True)}
    if job.pairs:
        sets = {name: together(rows) for name, rows in sets.items()}
    for name, rows in sets.items():
        write_atomic(folder / name, "".join(f"{encode(unit)}\n" for unit in _units(job, rows)))
    summary = {"train": summarize(sets[TRAIN]), "validation": summarize(sets[VALIDATION]), "window": builder.window}
    write_atomic(folder / AUDIT, json.dumps(summary, indent=1))
    write_atomic(folder / PAGE, page(builder.tokenizer, sets[TRAIN], summary["train"]))
    write_atomic(folder / DONE, json.dumps({"rows": summary["train"]["used"]}))


def _named(job: TokenizeJob, file: str) -> list[Named]:
    if job.pairs:
        return sides(list(read_jsonl(job.curated / file, Preference)))
    return [(name_of(record), record) for record in read_jsonl(job.curated / file, Trajectory)]


def _units(job: TokenizeJob, rows: Sequence[Row]) -> Iterable[Example | Pair]:
    return pairs(rows) if job.pairs else (row.example for row in rows if not row.left_out)


def _builder(values: dict[str, Any]) -> RowBuilder:
    job = TokenizeJob.model_validate(values)
    student: Local = build(job.model, "model", home=job.home / "weights")
    window = min(student.context_window(), job.max_length or student.context_window())
    return RowBuilder(student.tokenizer(), job.masking, window, job.too_long)


def _rows(values: dict[str, Any], builder: RowBuilder, records: Sequence[Named]) -> list[Row]:
    """The rows in the order of the records; many are made by all processors."""
    workers = min(os.cpu_count() or 1, len(records) // (_MANY // 2))
    if workers < 2:
        return [builder.row(record, name) for name, record in records]
    size = -(-len(records) // workers)
    parts = [records[start: start + size] for start in range(0, len(records), size)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return [row for part in pool.map(partial(_part, values), parts) for row in part]


def _part(values: dict[str, Any], records: Sequence[Named]) -> list[Row]:
    """What one process of several does."""
    builder = _builder(values)
    return [builder.row(record, name) for name, record in records]
