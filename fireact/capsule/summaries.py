"""The numbers of a run's episodes, computed again from the packed ones."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fireact import evaluate
from fireact.capsule.episodes import Episodes, Replay
from fireact.capsule.numbers import Level, Number, compare, unchecked
from fireact.capsule.runs import Metrics
from fireact.errors import DataError
from fireact.evaluate import Evaluation, Guise
from fireact.paper.runs import ROWS

_GUISES: dict[str, Guise] = {"prompted": "prompted", "finetuned": "finetuned"}
_OF_THE_DAY = {"priced": "prices change from day to day", "seconds": "how long it took can only be measured"}
_TIMED = "from the times in the packed records; the tape plays in no time"


@dataclass(frozen=True)
class Played:
    """A job's episodes, with what was claimed of them and what came of playing them again."""

    episodes: Episodes
    claimed: str
    """Their digest, as the run's manifest has it."""
    replay: Replay

    @property
    def level(self) -> Level:
        """What holds of them."""
        if self.episodes.broken or self.replay.differs:
            return "differs"
        if self.episodes.digest != self.claimed:
            return "unchecked" if self.episodes.dataset is None else "differs"
        return "recomputed" if self.replay.digest is None else "replayed"

    @property
    def cell(self) -> Evaluation | None:
        """Which of the student's evaluations it is, if it is one. Raises DataError."""
        stage, _, label = self.episodes.label.partition("/")
        job = self.episodes.job
        if stage != "evaluate":
            return None
        guise, _, fault = label.removeprefix(f"{job.task}/").partition("/")
        if label != job.label or guise not in _GUISES:
            raise DataError(f"the capsule's jobs.json has {label!r} for the job {job.label!r}; it was not made by pack")
        return Evaluation(job.task, _GUISES[guise], fault, job)

    def summary(self) -> dict[str, Any]:
        """As a run has it, but for prices and for the time that the whole took."""
        return evaluate.summarize(self.episodes.records)


def teacher(played: Mapping[str, Played], metrics: Metrics) -> Iterator[Number]:
    """Hold the numbers of the teacher, by method, against its episodes."""
    for label, claims in metrics.generate.items():
        one = played.get(f"generate/{label}")
        yield from _of(f"generate/{label}", _held(f"generate/{label}", claims, one and one.summary(), [one]))


def student(played: Mapping[str, Played], metrics: Metrics) -> Iterator[Number]:
    """Hold the numbers of the student, by dataset and guise, against its episodes. Raises DataError."""
    found = _gathered([one for one in played.values() if not one.episodes.broken])
    for dataset, claims in metrics.evaluate.items():
        mine, whole = found.get(dataset, {}), f"evaluate/{dataset}"
        for guise, part in claims.items():
            if guise == "faults":
                yield from _faults(played, whole, part, mine.get("faults", {}))
                continue
            needed = list(_GUISES) if guise == "difference" else [guise]
            name = f"{whole}/{guise}"
            yield from _of(name, _held(name, part, mine.get(guise), [played.get(f"{whole}/{one}") for one in needed]))


def _faults(played: Mapping[str, Played], whole: str, claims: Mapping[str, Any], found: Mapping[str, Any]
            ) -> Iterator[Number]:
    for fault, by_guise in claims.items():
        for guise, part in by_guise.items() if isinstance(by_guise, Mapping) else ():
            name = f"{whole}/faults/{fault}/{guise}"
            yield from _of(name, _held(name, part, found.get(fault, {}).get(guise),
                                       [played.get(f"{whole}/{guise}"), played.get(f"{whole}/{guise}/{fault}")]))


def _of(summary: str, numbers: Iterable[Number]) -> Iterator[Number]:
    return (replace(number, summary=summary) for number in numbers)


def _held(name: str, claims: Any, found: Any, needed: Sequence[Played | None]) -> Iterator[Number]:
    """Hold a summary against what was claimed; its numbers are worth no more than the episodes they follow from."""
    if isinstance(claims, Mapping):
        for part, why in _OF_THE_DAY.items():
            if part in claims:
                yield from unchecked(f"{name}/{part}", claims[part], why)
        claims = {part: value for part, value in claims.items() if part not in _OF_THE_DAY}
    there = [one for one in needed if one is not None]
    why = next((one.episodes.broken for one in there if one.episodes.broken), "")
    if found is None or len(there) < len(needed) or why:
        why = why or "the capsule has not the episodes that it is about"
        yield from (Number(one.name, one.claimed, None, "differs", why) for one in unchecked(name, claims, why))
        return
    if any(one.level == "unchecked" for one in there):
        yield from unchecked(name, claims, "the packed records do not have the scores that it was computed from, and "
                                           "without the dataset nobody can judge them anew")
        return
    level: Level = "replayed" if all(one.level == "replayed" for one in there) else "recomputed"
    as_packed = any(one.episodes.dataset is None for one in there)
    for number in compare(name, claims, found, level, "from the scores as they were packed" if as_packed else ""):
        timed = number.level == "replayed" and number.name.endswith("latency_seconds")
        yield replace(number, level="recomputed", why=_TIMED) if timed else number


def _gathered(played: Sequence[Played]) -> dict[str, Any]:
    cells = {cell.label: (cell, one) for one in played if (cell := one.cell)}
    usable = [cell for label, (cell, _) in cells.items() if label.removesuffix(f"/{cell.fault}") in cells]
    try:
        return evaluate.gather(usable, {label: one.episodes.records for label, (_, one) in cells.items()},
                               {label: one.summary() for label, (_, one) in cells.items()})
    except ValueError as failure:
        raise DataError(f"the capsule's guises of the student have not played the same questions ({failure}); it was "
                        "not made by pack") from None


def results(rows: Sequence[Mapping[str, Any]], played: Mapping[str, Played]) -> Iterator[Number]:
    """Hold the rows of results.jsonl against the episodes. Raises DataError."""
    cells = [(cell, one) for one in played.values() if (cell := one.cell)]
    made = {_named(row): row for cell, one in cells
            for row in evaluate.rows(cell.guise, cell.dataset, one.episodes.records, cell.fault)}
    level: Level = "replayed" if all(one.level == "replayed" for _, one in cells) else "recomputed"
    wrong = [row for row in rows if any(number.level == "differs" for number in
                                        compare("", row, made.get(_named(row), dict.fromkeys(row)), level))]
    right = len(rows) == len(made) and not wrong
    why = f"e.g. the row of {wrong[0].get('id')}" if wrong else "but for the column seconds" if right else ""
    yield Number(ROWS, f"{len(rows)} rows", f"{len(made)} rows", level if right else "differs", why)


def _named(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in ("dataset", "guise", "fault", "id", "attempt"))
