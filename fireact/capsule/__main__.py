"""Pack a run into one file, or check such a file.

    python -m fireact.capsule pack outputs/<day>/<time>-<id> --out table2.capsule.zip
    python -m fireact.capsule verify table2.capsule.zip

Exit codes: 0 packed, or all that could be checked holds; 1 something does not hold; 2 bad input: no run, no capsule,
one that is damaged, unsafe, or of a newer format.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from fireact.jsonl import need_place
from fireact.process import guard

DIFFERS = 1


def main(argv: Sequence[str]) -> int:
    """Do what is asked and return the exit code."""
    given = _parser().parse_args(argv)
    if given.work_of == "pack":
        return guard(lambda: _pack(given))
    held: list[bool] = []
    code = guard(lambda: held.append(_verify(given)))
    return code or (0 if held == [True] else DIFFERS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fireact.capsule", description=(
        "Pack a run with all that its numbers follow from, or check another person's numbers offline."))
    works = parser.add_subparsers(dest="work_of", required=True, metavar="pack|verify")
    pack = works.add_parser("pack", help="write a run, or all cells of a sweep, to one file")
    pack.add_argument("run", type=Path, help="outputs/<day>/<time>-<id>, or a sweep's multirun/<day>/<time>-<id>")
    pack.add_argument("--out", type=Path, metavar="FILE", help="default: <time>-<id>.capsule.zip in this folder")
    pack.add_argument("--without-adapter", action="store_true", help="leave out the trained student's weights")
    pack.add_argument("--without-data", action="store_true", help=(
        "leave out your own files of questions, passages and examples; what needs them cannot be replayed then"))
    pack.add_argument("--allow", action="append", default=[], metavar="TEXT", help=(
        "let this text go along, though it tells of this machine; may be repeated"))
    verify = works.add_parser("verify", help="say of every number of a capsule what holds")
    verify.add_argument("file", type=Path, help="a capsule")
    verify.add_argument("--work", type=Path, metavar="FOLDER", help=(
        "unpack and play here, and keep it; default: a folder that is removed at the end"))
    verify.add_argument("--quick", action="store_true", help="play no episode again")
    verify.add_argument("--json", action="store_true", help="print all numbers as JSON")
    return parser


def _pack(given: argparse.Namespace) -> None:
    from fireact.capsule.pack import pack

    to = given.out or Path(f"{given.run.resolve().name}.capsule.zip")
    need_place("--out", to)
    capsule = pack(given.run, to, with_adapter=not given.without_adapter, with_data=not given.without_data,
                   allow=given.allow)
    for what in capsule.left_out:
        print(f"left out: {what}")
    print(f"capsule {capsule.digest}: {len(capsule.files)} files, {to.stat().st_size / 1e6:,.1f} MB, in {to}")
    print(f"check it: python -m fireact.capsule verify {to}", flush=True)


def _verify(given: argparse.Namespace) -> bool:
    # Before anything is imported that asks the hub, or tells it of this machine.
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    from fireact.capsule.text import COLOURS, as_json, parts
    from fireact.capsule.verify import verify
    from fireact.report.terminal import show

    with TemporaryDirectory(prefix="capsule-") as folder:
        findings = verify(given.file, given.work or Path(folder), given.quick)
        if given.json:
            print(json.dumps(as_json(findings), indent=1))
        else:
            show(parts(findings), COLOURS)
    return findings.holds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
