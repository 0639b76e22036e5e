"""What a sweep, or a run, will take before anything runs: work that is shared, tokens, money, and hours."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fireact.children import Task
from fireact.errors import ConfigError
from fireact.forecast import Forecast, forecast, total
from fireact.forecast.sample import Samples
from fireact.forecast.training import Trained, Training
from fireact.generate import PlayJob, Splits, open_dataset
from fireact.ledger import taken_today
from fireact.play.engine import ledger_file
from fireact.play.played import plan
from fireact.report.forecast import SCOPES
from fireact.report.forecast import parts as forecast_parts
from fireact.report.text import Table
from fireact.sweep import power
from fireact.sweep.cells import STAGES, Cell, counted, merged, refused
from fireact.sweep.state import State
from fireact.sweep.status import cell_kind, states
from fireact.train.job import TrainJob

ONE_BY_ONE = 8
"""So many jobs are foretold one by one; more, by what they have in common."""


@dataclass(frozen=True)
class Outlook:
    """What is left of a sweep."""

    cells: Sequence[Cell]
    tasks: Mapping[str, Mapping[str, Task]]
    """All jobs by stage and key, each once."""
    states: Mapping[str, Mapping[str, State]]
    plays: Sequence[Forecast]
    trainings: Sequence[Training]
    """Those that are not done."""


def look_ahead(cells: Sequence[Cell]) -> Outlook:
    """See what is done, and estimate the rest by what the store holds.

    Raises DataError, and ConfigError where none of the cells can be run.
    """
    if all(cell.error is not None for cell in cells):
        raise ConfigError(f"none of {counted(len(cells), 'cell')} can be run: {cells[0].error}")
    tasks, found = merged(cells), states(cells)
    splits, samples = Splits(), Samples()
    plays = [_forecast(task, cells[0].config.concurrency, splits, samples)
             for stage in ("generate", "evaluate") for task in tasks[stage].values()]
    trained, sizes = Trained.of(cells[0].config.store), _sizes(cells)
    trainings = [trained.expected(task.job, sizes.get(name)) for name, task in tasks["train"].items()
                 if found["train"][name].kind != "done" and isinstance(task.job, TrainJob)]
    return Outlook(cells, tasks, found, plays, trainings)


def parts(outlook: Outlook) -> Iterator[Table | str]:
    """What a terminal shows."""
    cells, first = outlook.cells, outlook.cells[0].config
    yield headline(outlook)
    yield _shared(outlook)
    today = taken_today(ledger_file(first.budget, first.store))
    yield from forecast_parts(_gathered(outlook.plays), first.budget, today, SCOPES if len(cells) == 1 else SCOPES[1:])
    if outlook.trainings:
        yield _trainings(outlook.trainings)
    yield _hours(outlook)
    yield from power.sentences(cells, outlook.tasks["evaluate"], Splits())
    yield from refused(cells)


def headline(outlook: Outlook) -> str:
    """How many cells there are, which work they come to, and how many are done."""
    counts = ", ".join(counted(len(outlook.tasks[stage]), noun) for stage, noun in STAGES.items()
                       if outlook.tasks[stage] and stage != "tokenize")
    done = sum(cell_kind(cell, outlook.states) == "done" for cell in outlook.cells)
    return f"{counted(len(outlook.cells), 'cell')} → {counts}; {done:,} done"


def _shared(outlook: Outlook) -> Table:
    """How often each stage is asked for, and how much of it is to be done."""
    rows = []
    for stage, noun in STAGES.items():
        kinds = Counter(each.kind for each in outlook.states[stage].values())
        asked = sum(len(cell.tasks.get(stage, ())) for cell in outlook.cells)
        if asked:
            rows.append((f"{noun}s", f"{asked:,}", f"{kinds.total():,}", f"{kinds['done']:,}", f"{kinds['running']:,}",
                         f"{kinds['failed']:,}", f"{kinds['waiting']:,}"))
    return Table("What the cells share", ("", "asked for", "distinct", "done", "running", "failed", "waiting"),
                 tuple(rows))


def _forecast(task: Task, concurrency: int, splits: Splits, samples: Samples) -> Forecast:
    job = task.job
    assert isinstance(job, PlayJob)
    wanted = plan(splits.first(job), job.sampling, open_dataset(job.dataset, job.home))
    return forecast(job, task.folder, wanted, concurrency, samples)


def _gathered(plays: Sequence[Forecast]) -> list[Forecast]:
    """Many jobs, added up by what they are called."""
    if len(plays) <= ONE_BY_ONE:
        return list(plays)
    alike: dict[str, list[Forecast]] = defaultdict(list)
    for each in plays:
        alike[each.label].append(each)
    return [total(label, each) for label, each in alike.items()]


def _sizes(cells: Sequence[Cell]) -> dict[str, int]:
    """How many trajectories each training is to learn from, as far as its configuration tells."""
    return {task.folder.name: cell.config.curate.n for cell in cells for task in cell.tasks.get("train", ())
            if cell.config.curate.n}


def _trainings(trainings: Sequence[Training]) -> str:
    known = [each.tokens for each in trainings if each.tokens is not None]
    unseen = len(trainings) - len(known)
    sets = f"{f' and {unseen:,}' if known else ''} over sets that nobody has seen yet" if unseen else ""
    return f"{counted(len(trainings), 'training')}{f' over {sum(known):,.0f} tokens' if known else ''}{sets}."


def _hours(outlook: Outlook) -> str:
    """All of it one after the other, on a machine like those that the samples were taken on."""
    left = [each.seconds for each in outlook.plays if each.episodes]
    left += [each.seconds for each in outlook.trainings]
    known = [seconds for seconds in left if seconds is not None]
    if not left:
        return "Nothing is left to be done."
    if not known:
        return "How long it will take is not known: the store has nothing of its like."
    unknown = len(left) - len(known)
    more = f", and what {counted(unknown, 'job')} will take of whose like the store has none" if unknown else ""
    return f"About {_duration(sum(known))} one after the other{more}."


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
