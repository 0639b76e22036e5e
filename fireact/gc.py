"""Make room in the stage store: delete what no recent run uses.

    python -m fireact.gc --days 30              say what would go
    python -m fireact.gc --days 30 --delete     and delete it

A run uses the stages that its manifest.json and config.yaml name. What somebody works on stays, and so does what was
played by a paid model or tool, unless --paid is given; the tape, datasets and converted weights are never touched.
"""

import argparse
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fireact.checks import is_paid
from fireact.errors import ConfigError, FireActError
from fireact.generate import PlayJob
from fireact.process import guard
from fireact.report.terminal import show
from fireact.report.text import Table
from fireact.sweep.state import busy, held

STAGES = ("generate", "curate", "tokenize", "train", "parity", "merged")
"""The folders of a store that hold finished stages."""
DAY = 86_400
_GONE = ".deleted"
"""How the name ends of a stage that is being deleted."""
_NAMED = re.compile(rf"\b({'|'.join(STAGES)})[/\\]+([0-9a-f]{{16}})\b")


@dataclass(frozen=True)
class Found:
    """One stage's folder."""

    stage: str
    folder: Path
    bytes: int
    kept: str
    """Why it stays; empty where it goes."""


def main(argv: Sequence[str]) -> int:
    """Say what goes, delete it if that is asked for, and return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m fireact.gc", description="Delete stages that no recent run uses.")
    parser.add_argument("--store", type=Path, default=Path("outputs/store"), help="the stage store")
    parser.add_argument("--runs", type=Path, nargs="+", help="where the runs are that keep what they use; outputs and "
                        "multirun, if nothing is named")
    parser.add_argument("--days", type=float, default=30, help="the age up to which a run is recent")
    parser.add_argument("--paid", action="store_true", help="delete what a paid model or tool played, too")
    parser.add_argument("--delete", action="store_true", help="delete, in place of saying what would go")
    given = parser.parse_args(argv[1:])
    return guard(lambda: _collect(given.store, given.runs, given.days, given.paid, given.delete))


def _collect(store: Path, runs: Sequence[Path] | None, days: float, paid: bool, delete: bool) -> None:
    if not 0 <= days < float("inf"):
        raise ConfigError(f"--days {days:g} is no age; give a number of days, 0 or more")
    found = list(look(store, runs or _usual(), days, paid))
    going = [each for each in found if not each.kept]
    rows = [(stage, *_counted([each for each in found if each.stage == stage])) for stage in STAGES]
    show([Table(f"Stages in {store}", ("", "kept", "MB", "not used by a recent run", "MB"), tuple(rows))])
    if not delete:
        print(f"{len(going)} would be deleted; add --delete to do it")
        return
    for left in store.glob(f"*/.*{_GONE}"):
        shutil.rmtree(left)
    print(f"{sum(map(_delete, going))} deleted")


def _usual() -> list[Path]:
    known = [folder for folder in (Path("outputs"), Path("multirun")) if folder.is_dir()]
    if not known:
        raise ConfigError("neither outputs nor multirun is here, so no run would keep what it uses; start this where "
                          "the runs are, or name their folders with --runs")
    return known


def _delete(each: Found) -> bool:
    """Delete a stage, unless somebody has begun to work on it since."""
    gone = each.folder.with_name(f".{each.folder.name}{_GONE}")
    try:
        with held(each.folder, each.stage == "generate") as mine:
            if not mine:
                return False
            # Renamed first: a stage is whole or not there, also where this is killed.
            each.folder.rename(gone)
    except FileNotFoundError:
        return False
    shutil.rmtree(gone)
    return True


def look(store: Path, runs: Sequence[Path], days: float, paid: bool) -> Iterator[Found]:
    """Yield every stage's folder with the reason for which it stays. Raises ConfigError where there is no store."""
    for option, folder in (("--store", store), *(("--runs", folder) for folder in runs)):
        if not folder.is_dir():
            raise ConfigError(f"{option} {folder} is no folder; name that of the "
                              f"{'store' if option == '--store' else 'runs that keep what they use'}")
    used = set(_used(runs, time.time() - days * DAY))
    for stage in STAGES:
        for folder in sorted((store / stage).glob("[0-9a-f]*")):
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            yield Found(stage, folder, size, _reason(stage, folder, used, days, paid))


def _reason(stage: str, folder: Path, used: set[tuple[str, str]], days: float, paid: bool) -> str:
    if (stage, folder.name) in used:
        return "used"
    with suppress(FileNotFoundError):
        if time.time() - max(file.stat().st_mtime for file in (folder, *folder.iterdir())) < days * DAY:
            return "recent"
    if busy(folder, stage == "generate"):
        return "worked on"
    return "paid" if stage == "generate" and not paid and _was_paid(folder) else ""


def _used(runs: Iterable[Path], since: float) -> Iterator[tuple[str, str]]:
    """The stages that recent runs name, in the folders `runs` and below: days, sweeps, cells, rounds."""
    for root in runs:
        for depth in ("*", "*/*", "*/*/*", "*/*/*/*", "*/*/*/*/*"):
            for manifest in root.glob(f"{depth}/manifest.json"):
                if manifest.stat().st_mtime >= since:
                    for file in (manifest, manifest.with_name("config.yaml")):
                        if file.exists():
                            yield from _NAMED.findall(file.read_text(encoding="utf-8", errors="replace"))


def _was_paid(folder: Path) -> bool:
    """Whether calls of it cost money; yes, where nobody can tell."""
    for file in folder.glob("job-*.json"):
        try:
            return is_paid(PlayJob.model_validate_json(file.read_text(encoding="utf-8")))
        except (ValueError, FireActError):
            return True
    return True


def _counted(found: Sequence[Found]) -> tuple[str, ...]:
    kept, going = ([each.bytes for each in found if bool(each.kept) == stays] for stays in (True, False))
    return f"{len(kept):,}", f"{sum(kept) / 1e6:,.1f}", f"{len(going):,}", f"{sum(going) / 1e6:,.1f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv))
