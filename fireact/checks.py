"""What is looked at before any work, so that what is wrong with the last stage is said before the first one."""

from collections.abc import Sequence
from typing import Any

from fireact import publish, slots
from fireact.errors import ConfigError
from fireact.generate import PlayJob
from fireact.plugins import build
from fireact.prices import named
from fireact.protocols import Paid, with_inner
from fireact.stages import AnyJob, Stages
from fireact.students import need_trainable
from fireact.tokenize import TokenizeJob


def check(stages: Stages, wanted: Sequence[str]) -> None:
    """Make the keys of all stages that are `wanted`, and look at what they will need. Raises ConfigError."""
    config = stages.config
    jobs = {"generate": lambda: list(stages.plays.values()), "curate": lambda: [stages.curate],
            "tokenize": lambda: [_need_tokens(stages)], "train": lambda: [stages.train],
            "evaluate": lambda: [cell.job for cell in stages.evaluations], "publish": lambda: [stages.merge]}
    if "evaluate" in wanted and not stages.evaluations:
        raise ConfigError("evaluate.prompted=false and evaluate.finetuned=false leave nothing to evaluate, and so "
                          "does evaluate.n=0 for each dataset; set one")
    if config.train.get("cancel") and config.stage != "train":
        raise ConfigError("train.cancel=true goes with stage=train: it ends a job, and begins no other work")
    for name in config.report.prices:
        named(name)
    if "publish" in wanted:
        publish.check(config)
    for stage in wanted:
        for job in jobs[stage]() if stage in jobs else []:
            job.key()
            slots.need(slots.wanted_by(job), config.gpus)
            _need_price(stages, job)
            _need_samples(stages, job, stage)
            _need_turns(stages, job)
            if isinstance(job, PlayJob):
                stages.questions(job, f"{stage}.n")


def is_paid(job: PlayJob) -> bool:
    """Whether calls of a job's model or its tool cost money."""
    return any(isinstance(part, Paid) for part in _parts(job))


def _parts(job: PlayJob) -> list[Any]:
    """The job's model, and its tool with all that it wraps."""
    context = {"home": job.home, "tool": None, "corpus": None}
    return [build(job.model, "model", adapter=job.adapter, **context),
            *with_inner(build(job.tool, "tool", **context))]


def _need_tokens(stages: Stages) -> TokenizeJob:
    need_trainable(stages.config)
    if stages.tokenize is None:
        raise ConfigError("stage=tokenize is for local trainings, and this one is the endpoint's, which makes its own "
                          "tokens; choose train=lora or train=full")
    return stages.tokenize


def _part(stages: Stages, job: PlayJob) -> str:
    """Which of the configuration's models plays."""
    return "teacher" if job in stages.plays.values() else "model"


def _need_turns(stages: Stages, job: AnyJob) -> None:
    """Refuse calls of functions where conversations are one text."""
    if isinstance(job, PlayJob) and job.strategy.get("wire") == "tools":
        for option, value in (("template", "alpaca"), ("route", "completions")):
            if job.model.get(option) == value:
                name = f"{_part(stages, job)}.{option}"
                raise ConfigError(f"{name}={value} writes a conversation as one text, which has no place for calls of "
                                  f"functions and their results; set {name} to another, or strategy.wire=text")


def _need_samples(stages: Stages, job: AnyJob, stage: str) -> None:
    """Refuse attempts that would all be the same."""
    if isinstance(job, PlayJob) and job.sampling.attempts > 1 and job.model.get("temperature") == 0:
        part = _part(stages, job)
        raise ConfigError(f"{stage}.attempts={job.sampling.attempts} would be the same one again and again, for "
                          f"{part}.temperature=0 draws no samples; set e.g. {part}.temperature=0.7")


def _need_price(stages: Stages, job: AnyJob) -> None:
    """Refuse a model of unknown price while a budget in money is set, before anything is spent."""
    budget = stages.config.budget
    caps = {f"budget.{scope}.usd": getattr(budget, scope).usd for scope in ("run", "sweep", "day")}
    option = next((name for name, cap in caps.items() if cap is not None), None)
    # A model that is still to be fine-tuned has no id yet, and hence no price: it is refused at its first call.
    if option is None or not isinstance(job, PlayJob) or (job.adapter and not job.adapter.exists()):
        return
    for part in _parts(job):
        if isinstance(part, Paid) and part.unpriced:
            raise ConfigError(f"{option}={caps[option]:g} needs the prices of all that is paid for: "
                              f"{part.unpriced}; or give the budget in tokens or calls")
