"""Compare runs with a table of the paper.

    python -m fireact.paper table2 multirun/<day>/<time>-<id>
    python -m fireact.paper figure3 multirun/<day>/<time>-<id> multirun/<day>/<time>-<id>

prints the comparison and writes it as CSV and Markdown into the first folder.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fireact.paper import compare, names
from fireact.paper.text import COLOURS, parts, write
from fireact.process import guard
from fireact.report.terminal import show


def main(argv: Sequence[str]) -> int:
    """Return the exit code: 0 done, 2 bad input with a sentence."""
    parser = argparse.ArgumentParser("python -m fireact.paper", description="Compare runs with the FireAct paper.")
    parser.add_argument("table", help=f"one of {', '.join(names())}")
    parser.add_argument("runs", nargs="+", type=Path, help="run directories, or those of sweeps")
    given = parser.parse_args(argv)

    def work() -> None:
        comparison = compare(given.runs, given.table)
        show(parts(comparison), COLOURS)
        print(*(f"written: {path}" for path in write(comparison, given.runs[0])), sep="\n", flush=True)

    return guard(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
