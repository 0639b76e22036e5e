"""Benchmarks: they measure, print ratios against a baseline run side by side, and write JSON. They are no tests."""

import json
from pathlib import Path
from typing import Any


def write(result: dict[str, Any], out: Path | None) -> None:
    """Print a benchmark's figures, and write them to `out` where it is named."""
    text = json.dumps(result, indent=1)
    print(text)
    if out:
        out.write_text(text + "\n", encoding="utf-8")
