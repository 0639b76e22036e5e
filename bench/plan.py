"""How long it takes to plan a grid of 512 cells, beside Hydra composing the same cells one after the other.

    python -m bench.plan
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import write

AXES = ("strategy=react,cot,reflexion,direct", "seed=0,1,2,3", "curate.n=100,200,300,350",
        "model=smollm2_135m,smollm2_360m", "train.rank=8,16", "train.epochs=1,2")
COMPOSE = """
import itertools, sys
from hydra import compose, initialize_config_dir
axes = [[f"{name}={value}" for value in values.split(",")] for name, values in (a.split("=") for a in sys.argv[2:])]
with initialize_config_dir(sys.argv[1], version_base="1.3"):
    cells = [compose("config", overrides=list(cell)) for cell in itertools.product(*axes)]
print(len(cells))
"""
RUNS = 3
UNIT = 1 if sys.platform == "darwin" else 1024


def timed(command: list[str]) -> tuple[float, str]:
    """Run a command; return its wall time in seconds, and what it wrote."""
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout


def main() -> None:
    """Measure both in turn, so that both meet the same noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as store:
        plan = [sys.executable, "main.py", "-m", "stage=plan", f"store={store}", *AXES]
        compose = [sys.executable, "-c", COMPOSE, str(Path("conf").absolute()), *AXES]
        timed([sys.executable, "main.py", "stage=plan", f"store={store}", f"hydra.run.dir={store}/run"])
        planned, composed = [], []
        for _ in range(RUNS):
            seconds, said = timed(plan)
            planned.append(seconds)
            composed.append(timed(compose)[0])
    write({"cells": 512, "plan": said.strip().splitlines()[0],
           "plan_seconds": round(statistics.median(planned), 1),
           "hydra_compose_seconds": round(statistics.median(composed), 1),
           "ratio": round(statistics.median(a / b for a, b in zip(planned, composed, strict=True)), 2),
           "largest_process_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * UNIT / 1e6)},
          options.out)


if __name__ == "__main__":
    main()
