"""One hosted fine-tuning, from the upload to its end: what was sent is noted at once, and never sent or paid twice."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from json import dumps
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from fireact.errors import ConfigError, DataError, ProviderError
from fireact.jsonl import decode, decode_text, open_file, write_atomic
from fireact.tracking import METRICS, append_metrics, parse_metrics
from fireact.train.hosted_api import Endpoint, Event, File, Job, patiently
from fireact.train.hosted_data import ChatFile

T = TypeVar("T")
LEDGER = "hosted.json"
PATIENCE = 60
"""Looks at a job in a row that may fail."""
_MARK = "fireact"
"""The key of a job's metadata by which it is found again."""
_PROCESSING = ("pending", "running", "processing")
BROKEN = ("failed", "cancelled", "canceled", "expired")
_MEASURES = {"train_loss": "loss", "train_mean_token_accuracy": "token_accuracy",
             "valid_loss": "validation_loss", "valid_mean_token_accuracy": "validation_token_accuracy",
             "full_valid_loss": "validation_loss", "full_valid_mean_token_accuracy": "validation_token_accuracy"}
"""OpenAI's names and ours; the later of two for the same is the better one, over the whole validation file."""


@dataclass
class Ledger:
    """What the endpoint holds of this fine-tuning."""

    mark: str
    """Stands for all that makes the job this one."""
    files: dict[str, str] = field(default_factory=dict)
    """The ids of the files sent, by name."""
    job: str | None = None
    """The job that is under way, or has succeeded."""
    ended: list[str] = field(default_factory=list)
    """The jobs that came to nothing."""


@dataclass(kw_only=True)
class Tuning:
    """A fine-tuning at an endpoint. All methods raise ConfigError, ProviderError, DataError."""

    endpoint: Endpoint
    folder: Path
    mark: str
    files: list[ChatFile]
    """For training and, perhaps, for validation."""
    request: dict[str, Any]
    """What a job is asked for with, but for its files."""
    hyperparameters: dict[str, float]
    poll: float
    """Seconds."""
    tries: int
    """How often a request is made before it is given up."""

    @cached_property
    def ledger(self) -> Ledger:
        """What hosted.json says; empty before the first upload."""
        path = self.folder / LEDGER
        if not path.exists():
            return Ledger(self.mark)
        with open_file(path) as file:
            found = decode(Ledger, decode_text(file.read(), str(path)), str(path))
        if found.job and found.mark != self.mark:
            raise DataError(f"{path} is about the job {found.job}, of other data, model or options; give this training "
                            "another folder, or delete the file if that job is not wanted any more")
        return replace(found, mark=self.mark)

    def go(self) -> Job:
        """Start the job, unless that was done, and wait for its success."""
        try:
            if self.ledger.job is None:
                self._start()
            job = self._wait()
        except KeyboardInterrupt:
            self._say_how_to_go_on()
            raise
        if job.status in BROKEN:
            self._drop(job)
            raise ProviderError(_ending(job))
        return job

    def cancel(self) -> Job:
        """Cancel the job that is under way, and return it as it ended; it may have succeeded before."""
        if self.ledger.job is None:
            found = patiently(self._find, self.tries, self.poll)
            if found is None:
                raise ConfigError("train.cancel=true, and no job is under way for this training; leave it out to "
                                  "start one")
            self._note(found)
        if self._look().status not in (*BROKEN, "succeeded"):
            patiently(lambda: self.endpoint.cancel(self._id), self.tries, self.poll)
        job = self._wait()
        if job.status in BROKEN:
            self._drop(job)
        return job

    @property
    def _id(self) -> str:
        assert self.ledger.job is not None
        return self.ledger.job

    def _start(self) -> None:
        ids = [self._sent(file) for file in self.files]
        names = ("training_file", "validation_file")
        request = {**self.request, **dict(zip(names, ids, strict=False)), "metadata": {_MARK: self.mark}}
        # Looked for before each try: an answer that was lost may have been about a job that was made.
        self._note(patiently(lambda: self._find() or self.endpoint.create(request), self.tries, self.poll))

    def _sent(self, file: ChatFile) -> str:
        """Return the id of a file at the endpoint, sent now if that was not done."""
        stored = patiently(lambda: self._stored(file) or self.endpoint.upload(file), self.tries, self.poll)
        self.ledger.files[file.name] = stored.id
        self._save()
        while stored.status in _PROCESSING:
            time.sleep(self.poll)
            stored = patiently(partial(self.endpoint.file, stored.id), self.tries, self.poll) or stored
        if stored.status == "error":
            raise DataError(f"{self.endpoint.place} refuses the file {file.path} ({stored.id}): "
                            f"{stored.status_details or 'it does not say why'}; mend what is curated, or delete the "
                            "file there to have it sent again")
        return stored.id

    def _stored(self, file: ChatFile) -> File | None:
        known = self.ledger.files.get(file.name)
        stored = self.endpoint.file(known) if known else None
        return stored or next((there for there in self.endpoint.files() if there.filename == file.name
                               and there.bytes in (None, file.size) and there.status not in ("error", "deleted")), None)

    def _find(self) -> Job | None:
        """The job, where it was made before."""
        found = next((job for job in self.endpoint.jobs() if job.status not in BROKEN
                      and job.id not in self.ledger.ended and self._is_this(job)), None)
        if found:
            print(f"  the job {found.id} of an earlier start is found again", flush=True)
        return found

    def _is_this(self, job: Job) -> bool:
        if job.metadata:
            return job.metadata.get(_MARK) == self.mark
        # An endpoint that keeps no metadata: what it does tell must be the same, and one that tells nothing of how it
        # trained cannot be asked: another setting's model must not be taken for this one.
        ids = [self.ledger.files.get(file.name) for file in self.files]
        told = {"seed": job.seed, **(job.hyperparameters or {})}
        wanted = {"seed": self.request["seed"], **self.hyperparameters}
        return (None not in ids and [job.training_file, *filter(None, [job.validation_file])] == ids
                and job.model.startswith(self.request["model"])
                and any(told.get(name) is not None for name in wanted)
                and all(told.get(name) in (None, "auto", value) for name, value in wanted.items()))

    def _wait(self) -> Job:
        """Look at the job until it ends, and show what happens."""
        status, seen = "", {line["event"] for line in read_metrics(self.folder / METRICS)}
        while True:
            job = self._look()
            if job.status != status:
                status = job.status
                print(f"  job {job.id}: {status}", flush=True)
            self._show(seen)
            if status in (*BROKEN, "succeeded"):
                return job
            time.sleep(self.poll)

    def _look(self) -> Job:
        job = self._watched(lambda: self.endpoint.job(self._id))
        if job is None:
            raise ProviderError(f"{self.endpoint.place} has no job {self._id}, which this training waits for; set the "
                                f"key it was made with, or delete {self.folder / LEDGER} to pay for a new one")
        return job

    def _show(self, seen: set[str]) -> None:
        """Print and log what is new; of many measurements only the last is printed."""
        new = self._watched(lambda: self.endpoint.events(self._id, seen))
        last = max((number for number, event in enumerate(new) if event.step is not None), default=None)
        for number, event in enumerate(new):
            if event.step is None or number == last:
                print(f"    {event.message}", flush=True)
            append_metrics(self.folder / METRICS, _values(event))
            seen.add(event.id)

    def _watched(self, look: Callable[[], T]) -> T:
        try:
            return patiently(look, PATIENCE, self.poll)
        except ProviderError as failure:
            raise ProviderError(f"{failure}; the job {self.ledger.job} goes on there, start the same command again to "
                                "wait for it") from None

    def _say_how_to_go_on(self) -> None:
        if self.ledger.job is None and len(self.ledger.files) < len(self.files):
            return
        job = f"the job {self.ledger.job} goes on" if self.ledger.job else "a job may have been started"
        print(f"\n{job} at {self.endpoint.place}; start the same command again to wait for it, or with "
              "train.cancel=true to cancel it", file=sys.stderr, flush=True)

    def _note(self, job: Job) -> None:
        self.ledger.job = job.id
        self._save()
        # Those of a job before, which came to nothing.
        (self.folder / METRICS).unlink(missing_ok=True)

    def _drop(self, job: Job) -> None:
        self.ledger.ended.append(job.id)
        self.ledger.job = None
        self._save()

    def _save(self) -> None:
        write_atomic(self.folder / LEDGER, dumps(asdict(self.ledger), indent=1))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file, none where there is no file."""
    return parse_metrics(path.read_bytes()) if path.exists() else []


def figures(metrics: Path) -> dict[str, Any]:
    """What a finished job's events tell: steps, and losses; the training loss is the mean of the last tenth."""
    lines = read_metrics(metrics)
    losses, held_out = ([line[name] for line in lines if name in line] for name in ("loss", "validation_loss"))
    last = losses[-max(1, len(losses) // 10):]
    return {"steps": max((line["step"] for line in lines if "step" in line), default=None),
            "train_loss": fmean(last) if last else None, "validation_loss": held_out[-1] if held_out else None}


def _values(event: Event) -> dict[str, Any]:
    values: dict[str, Any] = {"event": event.id, "time": event.created_at, "message": event.message}
    if event.step is None:
        return values
    measured = {ours: event.data[theirs] for theirs, ours in _MEASURES.items()
                if isinstance(event.data.get(theirs), (int, float))}
    return {**values, "step": event.step, **measured}


def _ending(job: Job) -> str:
    if job.status == "failed":
        error = job.error
        why = f"{error.message} ({error.code})" if error and error.message else "the endpoint does not say why"
        said = f"failed: {why}"
    else:
        said = f"{'has' if job.status == 'expired' else 'was'} {job.status} at the endpoint"
    return f"the job {job.id} {said}; the same command starts a new one with the files that were sent"
