"""Pack a run, or all cells of a sweep, into a capsule."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

import fireact
from fireact.capsule import archive
from fireact.capsule.calls import write_calls
from fireact.capsule.contents import (
    CONFIG,
    FORMAT,
    JOBS,
    LOCK,
    MANIFEST,
    METRICS,
    PLACE,
    TAPE,
    Capsule,
    as_json,
    file_of,
    is_safe,
)
from fireact.capsule.portable import Portable, manifest
from fireact.capsule.traces import need_none, traces, variables
from fireact.card.words import base_name
from fireact.curate import CONTAMINATION, FUNNEL, HELD_PREFERENCES, PREFERENCES, TRAIN, VALIDATION
from fireact.errors import DataError
from fireact.generate import PlayJob, open_dataset
from fireact.jsonl import encode
from fireact.manifest import commit
from fireact.paper.runs import ROWS, read_config, run_dirs
from fireact.play.played import require
from fireact.play.records import TRAJECTORIES, Name, Records
from fireact.skills import SKILLS
from fireact.stages import Stages
from fireact.store import fingerprint
from fireact.tokenize import TokenizeJob

_CURATED = (TRAIN, VALIDATION, SKILLS, FUNNEL, CONTAMINATION, PREFERENCES, HELD_PREFERENCES)
_STUDENT = {".json", ".safetensors", ".bin", ".jinja", ".model", ".txt"}
"""What the files of a trained student end in."""
_NAMES_ITS_BASE = {"adapter_config.json": "base_model_name_or_path", "fireact.json": "base_name"}


def pack(run: Path, to: Path, *, with_adapter: bool = True, with_data: bool = True,
         allow: Sequence[str] = ()) -> Capsule:
    """Write the capsule of a run directory or a sweep's to the file `to`.

    Texts that tell of this machine, and are in what is packed, are refused unless they are in `allow`. Raises
    ConfigError, DataError for a run that is not finished or was made otherwise than it would be now, OSError.
    """
    if to.exists():
        raise DataError(f"{to} is there already, and is left as it is; name a new file by --out")
    runs = run_dirs([run])
    with TemporaryDirectory() as folder:
        packing = _Packing(Path(folder), Portable(with_data), with_adapter)
        for number, one in enumerate(runs):
            packing.add(number, one)
        contents = packing.finish()
        if unsafe := next((name for name in contents if not is_safe(name)), None):
            raise DataError(f"{unsafe!r} is no name that a file may have on every system; rename that file, or leave "
                            "such files out with --without-data")
        capsule = Capsule(FORMAT, fireact.__version__, commit(), [one.resolve().name for one in runs],
                          list(packing.portable.left_out),
                          {name: file_of(contents[name]) for name in sorted(contents)})
        told = {**contents, "capsule.json": capsule.text().encode()}
        need_none(told, traces([*packing.folders, *runs], packing.variables), allow)
        archive.write(to, capsule, contents)
    return capsule


@dataclass
class _Packing:
    """What has been gathered so far."""

    staging: Path
    portable: Portable
    with_adapter: bool
    variables: set[str] = field(default_factory=set)
    """Of the environment, that configurations name."""
    folders: list[Path] = field(default_factory=list)
    """That must not be told."""
    _played: dict[Path, set[Name]] = field(default_factory=dict)
    """The attempts that count, by the folder of their records."""
    _tapes: dict[Path, dict[str, str]] = field(default_factory=dict)
    """Of each tape the jobs, with their labels."""

    def add(self, number: int, run: Path) -> None:
        """Take all of one run. Raises ConfigError, DataError."""
        config, told = read_config(run / CONFIG), _json(run / MANIFEST)
        values = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
        self.variables.update(variables(values))
        self.folders.append(config.store)
        jobs = self._jobs(Stages(config), told.get("stages", {}), run)
        place, contents = f"runs/{number}", self.portable.contents
        contents[f"{place}/{CONFIG}"] = yaml.safe_dump(
            self.portable.config(values), sort_keys=False, allow_unicode=True).encode()
        contents[f"{place}/{MANIFEST}"] = as_json(manifest(told))
        contents[f"{place}/{JOBS}"] = as_json(jobs)
        for name in (METRICS, ROWS):
            if (run / name).exists():
                contents[f"{place}/{name}"] = run / name

    def _jobs(self, stages: Stages, told: Mapping[str, Any], run: Path) -> dict[str, Any]:
        """The jobs of the stages that a run had, by their labels, and what they left."""
        found = {}
        for label, stage in told.items():
            kind, _, name = label.partition("/")
            if kind in ("generate", "evaluate"):
                if "records" not in stage:
                    raise DataError(f"{run}: {label} is not finished; start its command again, and pack it then")
                cells = {cell.label: cell.job for cell in stages.evaluations} if kind == "evaluate" else stages.plays
                job = _same(cells.get(name), label, stage, run)
                found[label] = self._play(stages, job, label, stage["key"])
            elif label == "curate":
                job = _same(stages.curate, label, stage, run)
                found[label] = {**self.portable.job(job.model_dump(mode="json")), "home": "home", "sources": [
                    self._source(source) for source in job.sources]}
                self._curated(stages.folder("curate", job), f"store/curate/{stage['key']}")
            elif label == "tokenize" and stages.tokenize is not None:
                job = _same(stages.tokenize, label, stage, run)
                found[label] = {**self.portable.job(job.model_dump(mode="json")), "home": "home",
                                "curated": self._tokenized(stages, job)}
        return found

    def _play(self, stages: Stages, job: PlayJob, label: str, key: str) -> dict[str, Any]:
        folder, stage = stages.store.folder("generate", key), label.partition("/")[0]
        played = require(folder, open_dataset(job.dataset, job.home), stages.questions(job, f"{stage}.n"), job.sampling,
                         stage)
        played.records.close()
        self._played.setdefault(folder, set()).update(played.names)
        tape = stages.config.tape.file or stages.store.root / "tape.sqlite"
        self._tapes.setdefault(tape, {})[key] = label
        adapter_key = job.adapter_key or (job.adapter and fingerprint(job.adapter))
        return {**self.portable.job(job.model_dump(mode="json")), "home": "home", "adapter_key": adapter_key,
                "adapter": self._student(job.adapter, str(adapter_key), ours=bool(job.adapter_key)),
                "library": job.library and self._library(job.library, str(job.library_key))}

    def _library(self, library: Path, key: str) -> str:
        """The skills that a job plays with."""
        place = f"store/curate/{key}/{library.name}"
        self.portable.contents[place] = library
        return PLACE + place

    def _student(self, adapter: Path | None, key: str, ours: bool) -> str | None:
        """A fine-tuned model's folder. Of one that its endpoint keeps there is only its id."""
        if adapter is None:
            return None
        files = [file for file in sorted(adapter.iterdir()) if file.is_file() and file.suffix in _STUDENT]
        hosted = [file for file in files if file.name == "model.json"]
        if not (self.with_adapter or hosted):
            self.portable.left_out[f"the trained student ({key})"] = None
            return None
        place = f"store/train/{key}/{adapter.name}" if ours else f"files/{key}"
        self.portable.contents.update({f"{place}/{file.name}": _without_folder(file) for file in hosted or files})
        return PLACE + place

    def _source(self, source: Any) -> dict[str, Any]:
        told = self.portable.job(source.model_dump(mode="json"))
        return {**told, "folder": source.folder and f"{PLACE}store/generate/{source.key}",
                "files": [self.portable.file(file, "inputs.trajectories") for file in source.files]}

    def _tokenized(self, stages: Stages, job: TokenizeJob) -> str:
        given = stages.config.inputs.curated
        place = f"files/{job.curated_key}" if given else f"store/curate/{job.curated_key}"
        self._curated(job.curated, place)
        return PLACE + place

    def _curated(self, folder: Path, place: str) -> None:
        self.portable.contents.update({f"{place}/{name}": folder / name for name in _CURATED
                                       if (folder / name).exists()})

    def finish(self) -> dict[str, bytes | Path]:
        """Take what runs have in common, once. Raises DataError, OSError."""
        contents = self.portable.contents
        for folder, names in self._played.items():
            part = self.staging / folder.name
            _write_records(folder, names, part)
            contents[f"store/generate/{folder.name}/{TRAJECTORIES}"] = part
        whole = self.staging / TAPE
        with whole.open("wb") as file:
            for tape, jobs in self._tapes.items():
                part = self.staging / "part"
                known = write_calls(tape, list(jobs), part)
                with part.open("rb") as calls:
                    shutil.copyfileobj(calls, file)
                for key, label in jobs.items():
                    if key not in known:
                        self.portable.left_out[f"the calls of {label} ({key}): the tape has none"] = None
        contents[TAPE] = whole
        lock = Path(fireact.__file__).parents[1] / LOCK
        if lock.exists():
            contents[LOCK] = lock
        return contents


def _same(job: Any, label: str, stage: Mapping[str, Any], run: Path) -> Any:
    """The job that a stage's key stands for. Raises DataError where the configuration leads to another one now."""
    now = job.key() if job is not None else "none"
    if now != stage["key"]:
        raise DataError(f"{run}: {label} was made under the key {stage['key']}, and its configuration leads to {now} "
                        "here; FireAct, or a file that the configuration names, has changed since: pack it where it "
                        "was made, or run the command again")
    return job


def _write_records(folder: Path, names: Iterable[Name], to: Path) -> None:
    """Write some of a folder's records, in its order."""
    with closing(Records(folder)) as records, to.open("wb") as file:
        for name in sorted(names, key=lambda name: records.places[name].offset):
            file.write(f"{encode(records.read(*name))}\n".encode("utf-8", "replace"))


def _without_folder(file: Path) -> bytes | Path:
    """A student's file, which is not to tell in which folder its base was."""
    if file.name not in _NAMES_ITS_BASE:
        return file
    told, option = _json(file), _NAMES_ITS_BASE[file.name]
    base = told.get(option)
    return as_json({**told, option: base_name(base)[0]}) if base and base_name(base)[0] != base else file


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); it is what main.py wrote, restore it") from None
