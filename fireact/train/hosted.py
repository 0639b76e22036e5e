"""Fine-tuning by the student's own endpoint, where it has OpenAI's /files and /fine_tuning/jobs.

    python main.py model=api model.model=gpt-4.1-mini-2025-04-14 train=hosted train.price=5 train.budget=20
    python -m fireact.train.hosted FOLDER/job.json

FOLDER/hosted.json tells what was sent and which job is under way, from the moment on that it is known. The same command
goes on after a kill; what was sent and paid for before is found again, even where the kill came before the note.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fireact.curate import TRAIN, VALIDATION
from fireact.errors import ConfigError, DataError, ProviderError
from fireact.jsonl import decode, write_atomic
from fireact.model.api import Api
from fireact.options import RUNTIME, Count, NotNegative, Positive
from fireact.plugins import build
from fireact.process import stage_main
from fireact.store import DONE, key
from fireact.tracking import METRICS
from fireact.train.hosted_api import Endpoint, Job
from fireact.train.hosted_data import MIN_EXAMPLES, ChatFile, write_chat_file
from fireact.train.hosted_job import BROKEN, LEDGER, Ledger, Tuning, figures

MADE = "model.json"


@dataclass(kw_only=True)
class Hosted:
    """How a model is fine-tuned by its endpoint; address and key are the student's."""

    module: ClassVar[str] = "fireact.train.hosted"
    """What does it, as `python -m`."""
    makes: ClassVar[str] = "model"
    """The folder that it leaves."""
    student: ClassVar[str] = "hosted"
    """Which models it can train, by their `trained_by`."""

    epochs: Count = 3
    """How often every example is seen. 3 is what FireAct's code asked of OpenAI (finetune/gpt/finetune.py)."""
    batch_size: Count | Literal["auto"] = "auto"
    """Examples a step; auto leaves it to the endpoint."""
    learning_rate_multiplier: Positive | Literal["auto"] = "auto"
    """Scales the endpoint's own learning rate."""
    max_length: Count | None = None
    """The longest example in tokens, estimated; None: unchecked. OpenAI cuts what its model does not hold."""
    suffix: Annotated[Annotated[str, Field(max_length=64)] | None, RUNTIME] = None
    """A part of the new model's id, up to 64 characters."""
    price: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars per million training tokens; None: unknown, and so is the cost."""
    budget: Annotated[NotNegative | None, RUNTIME] = None
    """US dollars; nothing is sent where the estimate is above."""
    poll: Annotated[Positive, RUNTIME] = 10.0
    """Seconds between two looks at the job, and before a request that failed is repeated."""
    cancel: Annotated[bool, RUNTIME] = False
    """Cancel the job that is under way, and stop."""

    def hyperparameters(self) -> dict[str, float]:
        """Those that the endpoint is told."""
        named = {"n_epochs": self.epochs, "batch_size": self.batch_size,
                 "learning_rate_multiplier": self.learning_rate_multiplier}
        return {name: value for name, value in named.items() if value != "auto"}


def run(values: dict[str, Any], folder: Path) -> None:
    """Fine-tune as the job says. Raises DataError, ConfigError, ProviderError."""
    if (folder / DONE).exists():
        return
    options: Hosted = build(values["train"], "train")
    student = build(values["model"], "model")
    if not isinstance(student, Api):
        raise ConfigError(f"train=hosted has the student's endpoint train it, and a {type(student).__name__} has none; "
                          "choose model=api, or train=lora")
    files = _files(Path(values["curated"]), folder, options.max_length)
    tuning = _tuning(options, student, files, values["seed"], folder)
    if options.cancel:
        _stop(tuning, folder)
        return
    if not tuning.ledger.job:
        _check_price(options, files[0])
    _finish(tuning.go(), tuning, options, folder)


def _files(curated: Path, folder: Path, max_length: int | None) -> list[ChatFile]:
    """The files to be sent: for training and, where any example is held out, for validation."""
    files = []
    for name in (TRAIN, VALIDATION):
        if not (curated / name).exists():
            raise DataError(f"{curated / name} does not exist; run stage=curate first, or name a folder with "
                            f"{TRAIN} and {VALIDATION} by inputs.curated")
        files.append(write_chat_file(curated / name, folder / f"chat-{name}", max_length))
    if files[0].examples < MIN_EXAMPLES:
        raise DataError(f"{curated / TRAIN} has {files[0].examples} trajectories and an endpoint wants at least "
                        f"{MIN_EXAMPLES}; raise generate.n or loosen curate.filters, nothing was sent")
    return [file for file in files if file.examples]


def _check_price(options: Hosted, train: ChatFile) -> None:
    """Say what the training will take. Raises ConfigError where that is above the budget."""
    tokens = train.tokens * options.epochs
    said = (f"{train.examples:,} examples of about {train.tokens:,} tokens (characters / 4, and 4 a turn), "
            f"{options.epochs} times: about {tokens:,} tokens")
    if options.price is None:
        if options.budget is not None:
            raise ConfigError(f"train.budget={options.budget:g} needs a price: {said}; set train.price to the "
                              "endpoint's US dollars per million training tokens, nothing was sent")
        print(f"  {said}; what they cost is unknown without train.price", flush=True)
        return
    cost = tokens * options.price / 1e6
    if options.budget is not None and cost > options.budget:
        raise ConfigError(f"{said}, about US$ {cost:.2f}, are above train.budget={options.budget:g}; raise it, or "
                          "lower train.epochs or curate.n, nothing was sent")
    print(f"  {said}, about US$ {cost:.2f}", flush=True)


def _tuning(options: Hosted, student: Api, files: list[ChatFile], seed: int, folder: Path) -> Tuning:
    endpoint = Endpoint(student)
    hyperparameters = options.hyperparameters()
    # The result's name, the price and the like are left out: they make no other job.
    mark = key(place=endpoint.place, model=student.model, hyperparameters=hyperparameters, seed=seed,
               files=[file.name for file in files])
    shape = ({"method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}}
             if student.base_url is None else {"hyperparameters": hyperparameters})
    request = {"model": student.model, "seed": seed, **shape, **({"suffix": options.suffix} if options.suffix else {})}
    return Tuning(endpoint=endpoint, folder=folder, mark=mark, files=files, request=request,
                  hyperparameters=hyperparameters, poll=options.poll, tries=student.retries + 1)


def _stop(tuning: Tuning, folder: Path) -> None:
    job = tuning.cancel()
    if job.status != "succeeded":
        raise ConfigError(f"the job {job.id} was cancelled, as train.cancel=true asks; the same command without it "
                          "starts a new one")
    raise ConfigError(f"the job {job.id} cannot be cancelled any more, it has succeeded; leave train.cancel out to "
                      "go on with its model")


def _finish(job: Job, tuning: Tuning, options: Hosted, folder: Path) -> None:
    """Leave the new model's id where an evaluation looks for it. Raises ProviderError where there is none."""
    if not job.fine_tuned_model:
        raise ProviderError(f"{tuning.endpoint.place} says that the job {job.id} has succeeded and names no model; "
                            "look there what became of it")
    tokens = job.trained_tokens
    cost = tokens * options.price / 1e6 if tokens is not None and options.price is not None else None
    known = {"model": job.fine_tuned_model, "job": job.id, "cost": cost}
    made = {**known, "base": tuning.request["model"], "place": tuning.endpoint.place, "files": tuning.ledger.files,
            "hyperparameters": tuning.hyperparameters, "trained_tokens": tokens, "price": options.price}
    (folder / Hosted.makes).mkdir(exist_ok=True)
    write_atomic(folder / Hosted.makes / MADE, json.dumps(made, indent=1))
    train, *held_out = tuning.files
    facts = {**known, "examples": train.examples, "validation_examples": sum(file.examples for file in held_out),
             "epochs": options.epochs, "tokens": tokens, "seconds": job.seconds, **figures(folder / METRICS)}
    write_atomic(folder / DONE, json.dumps(facts, indent=1))
    print(f"  {job.fine_tuned_model}: {'tokens unknown' if tokens is None else f'{tokens:,} tokens'}, "
          f"{'cost unknown' if cost is None else f'US$ {cost:.2f}'}", flush=True)


def ask_to_cancel(values: dict[str, Any], folder: Path) -> None:
    """With train.cancel, ask for it at once: a run that waits for the job holds the folder, and ends by this."""
    options: Hosted = build(values["train"], "train")
    path = folder / LEDGER
    if not options.cancel or not path.exists() or (folder / DONE).exists():
        return
    job = decode(Ledger, path.read_text(encoding="utf-8"), str(path)).job
    if job:
        endpoint = Endpoint(build(values["model"], "model"))
        found = endpoint.job(job)
        if found and found.status not in (*BROKEN, "succeeded"):
            endpoint.cancel(job)
            print(f"  the job {job} is asked to stop", flush=True)


if __name__ == "__main__":
    sys.exit(stage_main(run, sys.argv, first=ask_to_cancel))
