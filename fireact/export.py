"""Write what was curated in the forms of other trainers, a folder a form: see fireact/formats/writing.py."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from fireact import formats
from fireact.curate import HELD_PREFERENCES, PREFERENCES, TRAIN, VALIDATION
from fireact.jsonl import read_jsonl
from fireact.preferences import Preference
from fireact.types import Trajectory


def export(curated: Path, folder: Path, forms: Sequence[formats.Name | Literal["preference"]]) -> None:
    """Write the curated trajectories and pairs under `folder`, and say how many. Raises DataError, OSError."""
    for name, of_pairs in ((TRAIN, PREFERENCES), (VALIDATION, HELD_PREFERENCES)):
        records = list(read_jsonl(curated / name, Trajectory))
        for form in forms:
            path = (folder / form / name).with_suffix(formats.SUFFIXES[form])
            count = (formats.write_pairs(read_jsonl(curated / of_pairs, Preference), path) if form == "preference" else
                     formats.write(form, records, path))
            print(f"export: {count} records in {path}", flush=True)
