"""Convert files: python -m fireact.formats FILE --to sharegpt --out FILE; without --to it only says what is in FILE."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from fireact.errors import ConfigError
from fireact.formats import Imported, Name, read, write
from fireact.process import guard


def main(argv: Sequence[str]) -> int:
    """Convert a file and return an exit code; bad input ends in one sentence and 2."""
    parser = argparse.ArgumentParser(prog="python -m fireact.formats", description="Convert files of trajectories.")
    parser.add_argument("file", type=Path, help="Alpaca, OpenAI, ShareGPT, conversational, trajs or trajectories.jsonl")
    parser.add_argument("--to", choices=get_args(Name), help="the format to write")
    parser.add_argument("--out", type=Path, help="the file to write")
    given = parser.parse_args(argv)
    return guard(lambda: _convert(given.file, given.to, given.out))


def _convert(file: Path, name: Name | None, out: Path | None) -> None:
    if (name is None) != (out is None):
        raise ConfigError("a format to write and a file to write it to go together; give both, e.g. --to sharegpt "
                          "--out sharegpt.jsonl")
    if out is not None and out.resolve() == file.resolve():
        raise ConfigError(f"--out {out} is the file that is read; choose another")
    if out is not None and out.is_dir():
        raise ConfigError(f"--out {out} is a folder; name a file, e.g. --out {out / 'converted.jsonl'}")
    found = read(file)
    print("\n".join(summary(found)))
    if name is not None and out is not None:
        try:
            count = write(name, found.trajectories, out)
        except OSError as error:
            raise ConfigError(f"--out {out} cannot be written: {error.strerror}; choose another place") from None
        print(f"wrote {count:,} records to {out}")


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
    sys.exit(main(sys.argv[1:]))
