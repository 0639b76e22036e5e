"""Convert files: python -m fireact.formats FILE --to sharegpt --out FILE; without --to it only says what is in FILE."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import get_args

from fireact.errors import ConfigError
from fireact.formats import Imported, Name, read, write
from fireact.formats.record import side_file
from fireact.process import guard


def main(argv: Sequence[str]) -> int:
    """Convert a file and return an exit code; bad input ends in one sentence and 2."""
    parser = argparse.ArgumentParser(prog="python -m fireact.formats", description="Convert files of trajectories.")
    parser.add_argument("file", type=Path, help="Alpaca, OpenAI, ShareGPT, conversational, trajs or trajectories.jsonl")
    parser.add_argument("--to", choices=get_args(Name), help="the format to write")
    parser.add_argument("--out", type=Path, help="the file to write")
    given = parser.parse_args(argv)
    return guard(lambda: _convert(given.file, given.to, given.out))


def _printed(lines: Sequence[str]) -> None:
    """Print; a reader that has seen enough (`| head -1`) is no failure."""
    try:
        print(*lines, sep="\n", flush=True)
    except OSError as error:
        # Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise ConfigError(f"what is in the file cannot be printed: {error.strerror}; print it elsewhere") from None


def _convert(file: Path, name: Name | None, out: Path | None) -> None:
    if (name is None) != (out is None):
        raise ConfigError("a format to write and a file to write it to go together; give both, e.g. --to sharegpt "
                          "--out sharegpt.jsonl")
    written = [] if out is None or name is None else _written(name, out)
    if os.path.realpath(file) in map(os.path.realpath, written):
        raise ConfigError(f"--out {out} would overwrite {file}, the file that is read; choose another")
    found = read(file)
    lines = summary(found)
    if name is not None and out is not None:
        try:
            count = write(name, found.trajectories, out)
        except OSError as error:
            raise ConfigError(f"--out {out} cannot be written: {error.strerror}; choose another place") from None
        lines.append(f"wrote {count:,} records to {' and '.join(map(str, written))}")
    _printed(lines)


def _written(name: Name, out: Path) -> list[Path]:
    """The files that will be written. Raises ConfigError for a folder, a device and the like."""
    if os.path.isdir(out):
        raise ConfigError(f"--out {out} is a folder; name a file, e.g. --out {out / 'converted.jsonl'}")
    if os.path.exists(out) and not os.path.isfile(out):
        raise ConfigError(f"--out {out} is no ordinary file; name one, e.g. --out converted.jsonl")
    return [out, side_file(out)] if name == "openai" else [out]


def summary(found: Imported) -> list[str]:
    """Say how many trajectories there are of each dataset and method, and how often each defect occurs."""
    counts = Counter((record.dataset or "unknown", record.method) for record in found.trajectories)
    right = Counter((record.dataset or "unknown", record.method) for record in found.trajectories if record.score.em)
    lines = [f"{len(found.trajectories):,} trajectories"]
    lines += [f"  {dataset:12} {method:10} {n:6,}   {right[dataset, method]:,} right"
              for (dataset, method), n in sorted(counts.items())]
    kinds = Counter(defect.kind for defect in found.defects)
    texts = {defect.kind: defect for defect in found.defects}
    for kind, n in kinds.most_common():
        lines.append(f"{n:,} x {kind}: {texts[kind].text} (last at {texts[kind].where})")
    return lines


if __name__ == "__main__":
    if isinstance(sys.stdout, TextIOWrapper):
        # A name of a file may hold what the terminal's encoding cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
