"""Run the benchmarks: `python -m bench` runs all, `python -m bench search start` those named.

Each writes outputs/bench/<name>.json. The machine should be quiet; `job` takes about half an hour, the others minutes.
"""

import os
import subprocess
import sys
from pathlib import Path

from fireact.children import CHILD_ENV

OUT = Path("outputs/bench")
ALL = ("start", "search", "engine", "store", "study", "report", "generation", "training", "plan", "frameworks", "job")
NAMED = (*ALL, "gpu")
"""What runs only where it is named: `python -m bench gpu` needs an NVIDIA GPU."""


def main(names: list[str]) -> int:
    """Run the benchmarks called `names`, all without any; return 2 for a name that is none."""
    unknown = [name for name in names if name not in NAMED]
    if unknown:
        print(f"error: there is no benchmark {unknown[0]!r}; there are {', '.join(NAMED)}", file=sys.stderr)
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in names or ALL:
        print(f"\n== {name}", flush=True)
        # With the environment that FireAct gives its stages.
        code = subprocess.call([sys.executable, "-m", f"bench.{name}", "--out", str(OUT / f"{name}.json")],
                               env=CHILD_ENV | os.environ)
        failed = failed or code
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
