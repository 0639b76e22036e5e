"""Time and memory of reading and analysing a sweep of 500 cells x 500 questions x 2 guises, of which nothing is cached.

    python -m bench.study

The episodes are made up. Memory is the highest of a process of its own, all its libraries included.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import write
from bench.sweep import by_chance, make

QUESTIONS = 500
AXES = {"strategy": ("react", "cot", "direct", "reflexion", "react_cot"), "model": ("a", "b", "c", "d", "e"),
        "train.rank": ("8", "16"), "curate.n": ("100", "500"), "seed": ("0", "1", "2", "3", "4")}


def measure(folder: Path) -> dict[str, float]:
    """Do all that a report needs of a study; return the seconds of each part, and the most memory in MB."""
    from fireact.study.complement import complements
    from fireact.study.contrasts import planned
    from fireact.study.curves import learning_curves
    from fireact.study.grid import grids
    from fireact.study.leaderboard import leaderboard
    from fireact.study.read import read
    from fireact.study.training import training_curves

    found: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        found[f"{name}_seconds"] = time.perf_counter() - started
        return result

    study = timed("read", lambda: read(folder))
    leaders = timed("leaderboard", lambda: leaderboard(study))
    timed("contrasts", lambda: planned(study))
    timed("grids", lambda: grids(study))
    timed("learning_curves", lambda: learning_curves(study))
    timed("complement", lambda: complements(study, leaders))
    timed("training_curves", lambda: training_curves(study))
    return {**found, "seconds": sum(found.values()),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}


def main() -> None:
    """Make the sweep, and measure in another process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(measure(options.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="fireact-bench-") as name:
        folder = make(Path(name) / "sweep", AXES, QUESTIONS, by_chance)
        done = subprocess.run([sys.executable, "-m", "bench.study", "--folder", str(folder)], text=True,
                              stdout=subprocess.PIPE, check=True)
        rows = sum(1 for path in folder.glob("*/results.jsonl") for _ in path.open("rb"))
    write({"rows": rows, **{key: round(value, 3) for key, value in json.loads(done.stdout).items()}}, options.out)


if __name__ == "__main__":
    main()
