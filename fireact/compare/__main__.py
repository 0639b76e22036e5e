"""Compare two runs.

    python -m fireact.compare RUN RUN                          or a sweep's cell, multirun/<day>/<time>-<id>/3
    python -m fireact.compare RUN:prompted RUN:finetuned       two students of one run
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fireact.compare import Side, compare
from fireact.compare.page import compare_page
from fireact.compare.text import parts
from fireact.errors import ConfigError
from fireact.jsonl import need_place, write_atomic
from fireact.process import guard
from fireact.report.terminal import show
from fireact.study.types import GUISES


def main(argv: Sequence[str]) -> int:
    """Return the exit code: 0 done, 2 bad input with a sentence."""
    parser = argparse.ArgumentParser("python -m fireact.compare", description="Compare two runs on the same questions.")
    parser.add_argument("a", metavar="A", help="a run directory, or RUN:prompted, RUN:finetuned")
    parser.add_argument("b", metavar="B", help="another, or the same")
    parser.add_argument("--guise", choices=GUISES, help="of both, where they do not say; without: all that both have")
    parser.add_argument("--dataset", help="one of those that both were evaluated on; without: all")
    parser.add_argument("--shared", action="store_true", help="compare the shared questions, where there are others")
    parser.add_argument("--episodes", type=int, default=3, help="how many to show side by side (3)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with the flips' episodes too")
    given = parser.parse_args(argv)

    def work() -> None:
        if given.html:
            need_place("--html", given.html)
        if given.episodes < 0:
            raise ConfigError(f"--episodes {given.episodes} is no number of episodes; give 0 or more")
        sides = [side if side.guise else replace(side, guise=given.guise) for side in map(Side.of, (given.a, given.b))]
        found = compare(sides[0], sides[1], dataset=given.dataset, shared=given.shared)
        show(parts(found, given.episodes))
        if given.html:
            write_atomic(given.html, compare_page(found))
            print(f"written: {given.html}", flush=True)

    return guard(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
