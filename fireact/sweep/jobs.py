"""The jobs of a cluster that a sweep has submitted: they go on where the process that launches them ends."""

import shutil
from pathlib import Path

FOLDER = ".submitit"
"""In a sweep's folder, where submitit keeps a folder for each job, by the number that the cluster gave it."""


def submitted(place: Path) -> list[str]:
    """The numbers of the jobs of the sweep in `place`: of SLURM's arrays, the numbers of the arrays."""
    folders = (place / FOLDER).iterdir() if (place / FOLDER).is_dir() else ()
    numbers = {folder.name.partition("_")[0] for folder in folders}
    return sorted((number for number in numbers if number.isdecimal()), key=int)


def say(place: Path) -> None:
    """Where the launching process is told to end, say what goes on and how that is ended."""
    jobs = submitted(place)
    if jobs:
        end = f"; end them with: scancel {' '.join(jobs)}" if shutil.which("scancel") else ""
        print(f"\nthe jobs that were submitted go on, and the same command goes on from what they do{end}", flush=True)
