"""The default job: how long it takes, how much memory, and by how much the fine-tuned student is better.

    python -m bench.job

plays, trains and evaluates from an empty store (the dataset and the converted weights are set up before the clock
starts, as `make setup` and a first run leave them), then evaluates 200 questions for the headline difference. The
prompted student is the baseline, on the same questions.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench import write

STORE = Path("outputs/bench/store")
UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes that ru_maxrss counts in."""


def run(*options: str) -> float:
    """Run main.py and return its wall time in seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "main.py", f"store={STORE}", f"hydra.run.dir={STORE.parent}/run",
                    "wandb.mode=disabled", *options], check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure the job, then the difference on 200 questions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    for stage in ("generate", "curate", "train"):
        shutil.rmtree(STORE / stage, ignore_errors=True)
    set_up = run("stage=generate", "generate.n=1")
    shutil.rmtree(STORE / "generate")
    whole = run()
    longer = run("evaluate.n=200")
    metrics = json.loads((STORE.parent / "run" / "metrics.json").read_text(encoding="utf-8"))
    result = {
        "set_up_seconds": round(set_up, 1),
        "default_job_seconds": round(whole, 1),
        "evaluation_of_100_more_seconds": round(longer, 1),
        "largest_process_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * UNIT / 1e6),
        "evaluate": metrics["evaluate"],
        "train": metrics["train"],
    }
    write(result, options.out)


if __name__ == "__main__":
    main()
