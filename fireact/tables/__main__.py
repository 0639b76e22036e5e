"""Print the tables of a run or sweep for a paper.

    python -m fireact.tables multirun/<day>/<time>-<id> --format latex --table leaderboard
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fireact.errors import ConfigError
from fireact.jsonl import need_place, write_atomic
from fireact.process import guard
from fireact.study import sheets
from fireact.study.read import read
from fireact.study.sheet import Sheet
from fireact.study.types import Study
from fireact.tables.latex import latex
from fireact.tables.markdown import markdown
from fireact.tables.plain import to_csv

TABLES: dict[str, Callable[[Study], Sheet]] = {
    "leaderboard": sheets.leaderboard_sheet, "contrasts": sheets.contrasts_sheet, "failures": sheets.failures_sheet,
    "groups": sheets.groups_sheet, "complement": sheets.complement_sheet, "curves": sheets.curves_sheet}
_FORMATS = ("markdown", "latex", "csv")


def main(argv: Sequence[str]) -> int:
    """Return the exit code: 0 done, 2 bad input with a sentence."""
    parser = argparse.ArgumentParser("python -m fireact.tables", description="Print the tables of a run or sweep.")
    parser.add_argument("folder", type=Path, help="a run directory, or that of a sweep")
    parser.add_argument("--format", choices=_FORMATS, default="markdown")
    parser.add_argument("--table", choices=TABLES, default="leaderboard")
    parser.add_argument("--spread", choices=("se", "interval"), default="se",
                        help="what stands beside a value: its standard error, or its 95%% interval (a CSV has both)")
    parser.add_argument("--top", type=int, help="the first rows alone")
    parser.add_argument("--out", type=Path, help="a file to write, in place of the terminal")
    given = parser.parse_args(argv)

    def work() -> None:
        if given.out:
            need_place("--out", given.out)
        if given.top is not None and given.top < 1:
            raise ConfigError(f"--top {given.top} leaves no row; give 1 or more")
        study = read(given.folder)
        sheet = TABLES[given.table](study)
        for sentence in study.skipped:
            print(f"left out: {sentence}", file=sys.stderr)
        if not sheet.rows:
            raise ConfigError(f"{given.folder} has nothing for the table {given.table}; {_WHY[given.table]}")
        sheet = replace(sheet, rows=sheet.rows[:given.top])
        text = {"markdown": lambda: markdown(sheet, given.spread), "latex": lambda: latex(sheet, given.spread),
                "csv": lambda: to_csv(sheet)}[given.format]()
        if given.out:
            write_atomic(given.out, text)
            print(f"written: {given.out}")
        else:
            sys.stdout.buffer.write(text.encode("utf-8", "replace"))

    return guard(work)


_PLAYED = "it needs runs that evaluated a student (stage=pipeline or stage=evaluate)"
_WHY = {"leaderboard": _PLAYED, "failures": _PLAYED, "groups": _PLAYED,
        "contrasts": "it needs cells that differ in one axis, or a student prompted and fine-tuned",
        "complement": "it needs two conditions or more on the same questions",
        "curves": "it needs a sweep over curate.n or generate.n, whose students were trained on different numbers"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
