"""The student as its own teacher: what it plays itself with an adapter of its own, beside what the teacher plays
(rejection sampling; STaR, Zelikman et al., 2022, arXiv 2203.14465).

It plays training questions as it will be asked, without examples, several attempts each; what is right is learnt with
the teacher's, which holds it. `inputs.player` names the adapter.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from fireact.curate import Source
from fireact.errors import ConfigError
from fireact.generate import PlayJob, first, open_dataset
from fireact.schema import Config, mix, number, tasks
from fireact.sections import Sampling
from fireact.store import fingerprint
from fireact.students import need_student
from fireact.study.types import OWN


def need(config: Config) -> None:
    """Refuse what a student could not play itself, before there is one. Raises ConfigError, DataError."""
    own, datasets = config.own, tasks(config.dataset).parts
    if config.inputs.trajectories:
        raise ConfigError("inputs.player lets the student play beside the teacher in stage=generate, which "
                          "inputs.trajectories leaves out; leave one of the two out")
    if OWN in mix(config.strategy).parts:
        raise ConfigError(f"a part of the strategy is called {OWN!r}, as what the student plays itself is; give "
                          "that part another name")
    if own.attempts > 1 and own.temperature == 0:
        raise ConfigError(f"own.attempts={own.attempts} would be the same one again and again, for own.temperature=0 "
                          "draws no samples; set e.g. own.temperature=0.7")
    wanted = {task: number(own.n, task, datasets, "own.n") for task in datasets}
    if not any(n != 0 for n in wanted.values()):
        raise ConfigError("own.n=0 for each dataset leaves the student nothing to play; raise one, or leave out "
                          "inputs.player")
    for task, n in wanted.items():
        questions = open_dataset(datasets[task], config.store / "home").questions(config.generate.split)
        if n != 0:
            first(questions, config.generate.split, n, "own.n", own.skip)


def plays(config: Config, player: Path, labels: Mapping[str, str], play: Callable[..., PlayJob]) -> dict[str, PlayJob]:
    """What it plays, by the dataset; `labels` name the same for people, and `play` makes a job (`Stages.play`).

    Raises ConfigError, DataError.
    """
    need(config)
    need_student(player, "inputs.player")
    own = config.own
    model = {**config.model, "temperature": own.temperature}
    sampling = Sampling(attempts=own.attempts, until_correct=own.until_correct, filters=config.curate.filters)
    found: dict[str, PlayJob] = {}
    for task, label in labels.items():
        n = number(own.n, task, tasks(config.dataset).parts, "own.n")
        if n != 0:
            job = play(label, task, mix(config.strategy).play, model, few_shot=False, split=config.generate.split,
                       n=n, sampling=sampling)
            found[task] = job.model_copy(update={"method": OWN, "skip": own.skip, "adapter": player,
                                                 "adapter_key": fingerprint(player)})
    return found


def source(config: Config, task: str, job: PlayJob, folder: Path) -> Source:
    """The same as what is curated, out of the folder that it is kept in."""
    return Source(task=task, method=OWN, share=0, ratio=config.own.ratio, files=[], key=job.key(), folder=folder,
                  dataset=job.dataset, split=job.split, questions=job.n, skip=job.skip, sampling=job.sampling)
