"""The student as its own teacher: what it plays itself with an adapter of its own, beside what the teacher plays
(rejection sampling; STaR, Zelikman et al., 2022, arXiv 2203.14465).

It plays training questions as it will be asked, without examples, several attempts each; what is right is learnt with
the teacher's, which holds it. `inputs.player` names the adapter.
"""

from typing import TYPE_CHECKING

from fireact.curate import Source
from fireact.errors import ConfigError
from fireact.generate import PlayJob
from fireact.schema import mix, number, tasks
from fireact.sections import Sampling
from fireact.store import fingerprint

if TYPE_CHECKING:
    from fireact.stages import Stages

METHOD = "own"
"""How its episodes are called in the place of a method's name."""


def plays(stages: "Stages") -> dict[str, PlayJob]:
    """What it plays, by dataset. Raises ConfigError."""
    config = stages.config
    player, own, method = config.inputs.player, config.own, mix(config.strategy).play
    if player is None:
        return {}
    if config.inputs.trajectories:
        raise ConfigError("inputs.player lets the student play beside the teacher in stage=generate, which "
                          "inputs.trajectories leaves out; leave one of the two out")
    if METHOD in mix(config.strategy).parts:
        raise ConfigError(f"a part of the strategy is called {METHOD!r}, as what the student plays itself is; give "
                          "that part another name")
    datasets = tasks(config.dataset).parts
    sampling = Sampling(attempts=own.attempts, until_correct=own.until_correct, filters=config.curate.filters)
    found: dict[str, PlayJob] = {}
    for task in datasets:
        n = number(own.n, task, datasets, "own.n")
        if n != 0:
            job = stages.play(f"{task}/{METHOD}", task, method, {**config.model, "temperature": own.temperature},
                              few_shot=False, split=config.generate.split, n=n, sampling=sampling)
            found[task] = job.model_copy(update={"method": METHOD, "adapter": player,
                                                 "adapter_key": fingerprint(player)})
    return found


def sources(stages: "Stages") -> list[Source]:
    """The same as what is curated."""
    config = stages.config
    return [Source(task=task, method=METHOD, share=0, ratio=config.own.ratio, files=[], key=job.key(),
                   folder=stages.folder("generate", job), dataset=job.dataset, split=job.split, questions=job.n,
                   sampling=job.sampling)
            for task, job in plays(stages).items()]
