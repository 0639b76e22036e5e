"""Do a stage again whose result follows from the packed files: the curation, and the tokens that were made of it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fireact import curate, report, tokenize
from fireact.capsule.episodes import Place
from fireact.capsule.numbers import Number, compare, unchecked
from fireact.capsule.portable import foreign, placed
from fireact.curate import HELD_PREFERENCES, PREFERENCES, TRAIN, VALIDATION, read_funnel
from fireact.errors import FireActError
from fireact.jsonl import read_jsonl
from fireact.play.played import digest
from fireact.preferences import Preference
from fireact.types import Trajectory

_NO_STUDENT = "this takes the student's tokenizer, which was in a folder of its own and is not in the capsule"


def curated(place: Place, key: str, job: Mapping[str, Any], metrics: Mapping[str, Any]) -> Iterator[Number]:
    """Choose again what is trained on; its counts, and the files themselves."""
    claims = {name: metrics[name] for name in ("curate", "contamination") if name in metrics}
    packed, folder = place.root / "store" / "curate" / key, place.store / "curate" / key
    claims["curated"] = _digests(packed)
    why = (_NO_STUDENT if "fits" in job.get("filters", ()) and _is_left_out(job) else "") or _do(
        place, curate.run, job, folder)
    if why:
        return unchecked("", claims, why)
    funnel = read_funnel(folder)
    found = {"curate": funnel["cells"], "contamination": funnel["contamination"], "curated": _digests(folder)}
    return compare("", claims, found, "recomputed")


def tokenized(place: Place, key: str, job: Mapping[str, Any], metrics: Mapping[str, Any]) -> Iterator[Number]:
    """Make tokens of it again, which takes the student's tokenizer, and count them."""
    claims, folder = {"tokenize": metrics.get("tokenize", {})}, place.store / "tokenize" / key
    why = _NO_STUDENT if _is_left_out(job) else _do(place, tokenize.run, job, folder)
    if why:
        return unchecked("", claims, why)
    audit = json.loads((folder / tokenize.AUDIT).read_text(encoding="utf-8"))
    found = {name: report.counted(audit[name]) for name in ("train", "validation")}
    return compare("", claims, {"tokenize": found}, "recomputed")


def _digests(folder: Path) -> dict[str, str]:
    """What was chosen, by file, without times and commits: played anew it is the same. Raises DataError."""
    found = {name: digest(read_jsonl(folder / name, Trajectory)) for name in (TRAIN, VALIDATION)
             if (folder / name).exists()}
    for name in (PREFERENCES, HELD_PREFERENCES):
        if (folder / name).exists():
            found[name] = digest(side for pair in read_jsonl(folder / name, Preference)
                                 for side in (pair.chosen, pair.rejected))
    return found


def _is_left_out(job: Mapping[str, Any]) -> bool:
    """Whether the student is a folder of which the capsule has the fingerprint alone."""
    model = job.get("model") or {}
    return not model.get("package") and re.fullmatch("[0-9a-f]{16}", str(model.get("source"))) is not None


def _do(place: Place, run: Callable[[dict[str, Any], Path], None], job: Mapping[str, Any], folder: Path) -> str:
    """Do a job in a fresh folder; return why that was not possible, or nothing. Raises DataError for a forged job."""
    why, values = foreign(job, folder.parent.name), {**placed(job, place.root), "home": str(place.home)}
    if why:
        return why
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (folder / "said.txt").open("w") as said, redirect_stdout(said), redirect_stderr(said):
            run(values, folder)
    except FireActError as failure:
        return str(failure)
    except ImportError as failure:
        return f"this takes {failure.name}, which is not installed"
    except (ValidationError, OSError, KeyError) as failure:
        return str(failure).splitlines()[0]
    return ""
