"""Check a capsule: unpack it, compute its numbers again, play its episodes again."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fireact.capsule import again, archive
from fireact.capsule.calls import read_calls
from fireact.capsule.contents import TAPE, Capsule, file_of
from fireact.capsule.episodes import Place, Replay, open_episodes, replay
from fireact.capsule.keys import keys
from fireact.capsule.numbers import Number, compare, unchecked
from fireact.capsule.runs import PackedRun, read_run
from fireact.capsule.summaries import Played, results, student, teacher
from fireact.errors import DataError

_QUICK = Replay(None, "left out by --quick")
_NOT_DONE = {"train": "a training is not repeated", "parity": "this takes the weights",
             "publish": "nothing is published again"}
"""Why the numbers of a stage are not computed again."""


@dataclass(frozen=True)
class RunFindings:
    """What was found of a run."""

    name: str
    played: list[Played]
    numbers: list[Number]

    @property
    def holds(self) -> bool:
        """Whether nothing is known to be wrong."""
        return "differs" not in {one.level for one in (*self.played, *self.numbers)}


@dataclass(frozen=True)
class Findings:
    """What was found of a capsule, all of whose files are those that were packed."""

    capsule: Capsule
    runs: list[RunFindings]

    @property
    def holds(self) -> bool:
        """Whether all that could be checked holds."""
        return all(run.holds for run in self.runs)


def verify(path: Path, work: Path, quick: bool = False) -> Findings:
    """Check the capsule at `path` in the folder `work`. `quick`: play nothing again.

    Raises DataError for a file that is no capsule, is damaged, unsafe, or was not made by pack.
    """
    for name in ("capsule", "store", "tape.sqlite"):
        if (work / name).exists():
            raise DataError(f"{work / name} is there already, and is left as it is; name an empty folder by --work")
    work.mkdir(parents=True, exist_ok=True)
    work = work.resolve()
    capsule = archive.unpack(path, work / "capsule")
    place = Place(work, read_calls(work / "capsule" / TAPE, work / "tape.sqlite"))
    replays: dict[str, Replay] = {}
    runs = [_findings(place, read_run(place.root / "runs" / str(number), name), replays, quick)
            for number, name in enumerate(capsule.runs)]
    return Findings(capsule, runs)


def _findings(place: Place, run: PackedRun, replays: dict[str, Replay], quick: bool) -> RunFindings:
    """`replays` are those that other runs of the capsule had: cells of a sweep share jobs, and each is played once."""
    played: dict[str, Played] = {}
    for label, stage in run.stages.items():
        if stage.records is None:
            continue
        if label not in run.jobs:
            raise DataError(f"the capsule's jobs.json has no job for {label}; it was not made by pack")
        episodes = open_episodes(place, label, stage.key, run.jobs[label])
        same = f"{stage.key} {json.dumps(run.jobs[label], sort_keys=True)}"
        if same not in replays:
            replays[same] = _QUICK if quick else replay(place, episodes)
        played[label] = Played(episodes, stage.records, replays[same])
    jobs = {label: one.episodes.job for label, one in played.items()}
    numbers = [*keys(run, place.root, place.work, jobs), *teacher(played, run.metrics), *student(played, run.metrics)]
    numbers += results(run.rows, played) if run.rows is not None else ()
    for label, work in (("curate", again.curated), ("tokenize", again.tokenized)):
        if label in run.jobs and label in run.stages:
            numbers += work(place, run.stages[label].key, run.jobs[label], run.claims)
    numbers += _student_files(place, run)
    known = {number.name for number in numbers}
    rest = [number for stage, claims in run.claims.items() for number in unchecked(
        stage, claims, _NOT_DONE.get(stage, "the capsule has no job that it is from")) if number.name not in known]
    return RunFindings(run.name, list(played.values()), numbers + rest)


def _student_files(place: Place, run: PackedRun) -> Iterator[Number]:
    """Hold the trained student's files against what its training noted of them."""
    noted = run.metrics.train.get("checksums")
    key = run.stages["train"].key if "train" in run.stages else None
    packed = {path.name: path for path in place.root.glob(f"store/train/{key}/*/*")}
    for name, digest in noted.items() if isinstance(noted, dict) else ():
        where = f"train/checksums/{name}"
        if name not in packed:
            yield from unchecked(where, digest, "the capsule was packed without the adapter")
            continue
        found = file_of(packed[name]).sha256
        if name in ("adapter_config.json", "fireact.json") and found != digest:
            yield from unchecked(where, digest, "packed without the folder of its base, which it named")
        else:
            yield from compare(where, digest, found, "recomputed")
