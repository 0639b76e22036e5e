"""Self-improvement in rounds: the student plays, what it got right is learnt with the teacher's, and again.

    python main.py experiment=self_improve

Round 0 is an ordinary run: the student learns from the teacher. In every further round the student of the round before
plays training questions (fireact/own.py), and a student is trained on both. Each is judged on the validation split. It
ends where that falls, and the best round's student and the first are judged on the split that results are reported on.

    RUN/0, RUN/1, ...      a run directory a round; the report shows them side by side, as it does the cells of a sweep
    RUN/test/0, ...        the first and the best on the split that results are reported on
    RUN/improve.json       what each round played, kept and reached; RUN itself is the best student's run directory

As every stage is in the store, the same command goes on where it was ended.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from fireact import own, report
from fireact.checks import check
from fireact.curate import FUNNEL, read_funnel
from fireact.errors import ConfigError
from fireact.generate import first, open_dataset
from fireact.improve.rounds import VALIDATION, adapter, best_of, ending, final_config, reported, round_config
from fireact.improve.told import Round, note, read_round, save, take_over
from fireact.order import upstream
from fireact.plugins import options
from fireact.process import ChildFailed
from fireact.report.rounds import is_own
from fireact.report.study import parts
from fireact.report.terminal import show
from fireact.schema import Config, number, tasks
from fireact.stages import Stages
from fireact.study.read import read

__all__ = ["TEST", "final_config", "improve", "need", "round_config"]

TEST = "test"
"""The folder of what is judged at the end."""

Runner = Callable[[Config, Path], None]
"""Runs a configuration into a folder."""


def improve(config: Config, run_dir: Path, run: Runner) -> None:
    """Run the rounds into `run_dir`. Raises FireActError, ChildFailed, KeyboardInterrupt; what is done is kept."""
    need(config)
    done, errors, why = list[Round](), dict[int, str](), ""
    while not why:
        latest = len(done)
        note(run_dir, config, range(latest + 1))
        one = round_config(config, latest, _player(run_dir, latest))
        try:
            run(one, run_dir / str(latest))
        except ChildFailed as failure:
            if not _nothing_new(one):
                raise
            why, errors = f"Round {latest} was not trained: {failure.sentence.split(';')[0]}.", {latest: str(failure)}
        else:
            done.append(read_round(run_dir / str(latest), latest))
            why = ending([each.score for each in done], config.improve.rounds, config.improve.patience)
    note(run_dir, config, range(len(done) + len(errors)), errors)
    best = best_of([each.score for each in done])
    save(run_dir, config, done, best, why)
    show([*parts(read(run_dir)), f"improve: on the split {VALIDATION}, round {best} is the best. {why}"])
    print(f"report: {report.write_html(run_dir)}", flush=True)
    _judge(config, run_dir, sorted({0, best}), run)
    take_over(run_dir, run_dir / TEST / str(best))
    print(f"run: {run_dir}", flush=True)


def need(config: Config) -> None:
    """Refuse what cannot go in rounds, before anything is played. Raises ConfigError, DataError."""
    if config.improve.rounds == 0:
        raise ConfigError("stage=improve plays improve.rounds=0 rounds after the first; set e.g. improve.rounds=3, or "
                          "take stage=pipeline")
    if config.inputs.player or config.inputs.adapter or config.inputs.curated:
        raise ConfigError("stage=improve makes its own inputs.player, and trains what it plays with; leave out "
                          "inputs.player, inputs.adapter and inputs.curated")
    if config.evaluate.split:
        raise ConfigError(f"stage=improve judges its rounds on the split {VALIDATION!r}, and the best one on the split "
                          f"that results are reported on; leave out evaluate.split={config.evaluate.split}")
    if config.generate.split == VALIDATION:
        raise ConfigError(f"stage=improve judges its rounds on the split {VALIDATION!r}, so generate.split must be "
                          "another; leave it at train")
    if config.improve.start == "last" and "start_from" not in options(config.train):
        raise ConfigError("improve.start=last goes on from an adapter on this disk, which this way to train cannot; "
                          "set improve.start=base, or choose train=lora or train=full")
    _need_validation(config)
    own.need(config)
    for one in (round_config(config, 0, None), final_config(config, 0, None)):
        check(Stages(one), [*upstream("evaluate", one), "evaluate"])


def _need_validation(config: Config) -> None:
    parts = tasks(config.dataset).parts
    for name, split in reported(config).items():
        if split == VALIDATION:
            raise ConfigError(f"stage=improve judges its rounds on the split {VALIDATION!r}, and that is the one that "
                              f"results on {name} are reported on; choose another dataset, or dataset=table with a "
                              "file for each of its three splits")
    for name, node in parts.items():
        questions = open_dataset(node, config.store / "home").questions(VALIDATION)
        first(questions, VALIDATION, number(config.improve.n, name, parts, "improve.n"), "improve.n")
    if not any(number(config.improve.n, name, parts, "improve.n") != 0 for name in parts):
        raise ConfigError("improve.n=0 for each dataset leaves nothing to judge a round by; raise one")


def _player(run_dir: Path, latest: int) -> Path | None:
    return adapter(run_dir / str(latest - 1)) if latest else None


def _nothing_new(one: Config) -> bool:
    """Whether a round failed because its student got nothing right: the end of the rounds, and no fault."""
    stages = Stages(one)
    folder = stages.folder("curate", stages.curate)
    if one.inputs.player is None or not (folder / FUNNEL).exists():
        return False
    return not any(cell["kept"] for label, cell in read_funnel(folder)["cells"].items() if is_own(label))


def _judge(config: Config, run_dir: Path, rounds: Sequence[int], run: Runner) -> None:
    """Let the first and the best student play the questions that results are reported on."""
    place = run_dir / TEST
    note(place, config.model_copy(update={"name": f"{config.name}, {TEST}"}), rounds)
    for each in rounds:
        run(final_config(config, each, _player(run_dir, each)), place / str(each))
    show(parts(read(place)))
    print(f"report: {report.write_html(place)}", flush=True)
