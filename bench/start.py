"""How long `main.py` takes to start, beside a bare interpreter that imports hydra.

    python -m bench.start
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench import write

COMMANDS = {
    "--help": [sys.executable, "main.py", "--help"],
    "--cfg job": [sys.executable, "main.py", "--cfg", "job"],
    "import hydra": [sys.executable, "-c", "import hydra"],
}
RUNS = 7


def seconds(command: list[str]) -> float:
    """Run a command once and return its wall time."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure the commands in turn, so that all meet the same noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    medians = {name: round(statistics.median(values), 3) for name, values in times.items()}
    ratios = {name: round(value / medians["import hydra"], 2) for name, value in medians.items()}
    result = {"median_seconds": medians, "ratio_to_import_hydra": ratios}
    write(result, options.out)


if __name__ == "__main__":
    main()
