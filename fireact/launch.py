"""Run what a configuration asks for: its stages in their order, and what they go on from."""

import sys
from datetime import datetime, timezone
from pathlib import Path

from fireact import report
from fireact.checks import check
from fireact.command import command
from fireact.errors import ConfigError, first_line
from fireact.generate import Splits
from fireact.improve import improve
from fireact.improve.rounds import to_yaml
from fireact.jsonl import write_atomic
from fireact.order import upstream
from fireact.paper import compare
from fireact.paper.text import COLOURS, parts, write
from fireact.process import INTERRUPTED, stop_with_launcher
from fireact.report import terminal
from fireact.running import Run
from fireact.schema import Config
from fireact.stages import Stages
from fireact.sweep import show
from fireact.sweep.cells import open_cell
from fireact.tracking import open_tracker


def run(config: Config, run_dir: Path, resolved: str, start: str = "") -> None:
    """Run what `config.stage` asks for; `resolved` is the configuration as YAML, to be kept in the run directory.

    `start` names the start of the command that this is a part of, with which it shares the budget; "": a start of its
    own, in whichever folder it writes.

    Raises FireActError, ChildFailed, KeyboardInterrupt; in each case what was finished is kept.
    """
    stop_with_launcher()
    if config.stage == "report" and config.inputs.run:
        print(f"report: {report.write_html(config.inputs.run)}", flush=True)
        return
    _need_folder(config.store)
    if config.stage in show.STAGES:
        _show(config, run_dir)
        return
    start = start or f"{run_dir.absolute()} {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S.%f}"
    if config.stage == "improve":
        improve(config, run_dir, lambda part, folder: run(part, folder, to_yaml(part), start))
        return
    stages = Stages(config, start=start)
    last = "report" if config.stage == "pipeline" else config.stage
    wanted = [*upstream(last, config), last]
    check(stages, wanted)
    run_dir.mkdir(parents=True, exist_ok=True)
    write_atomic(run_dir / "config.yaml", resolved)
    tracker = open_tracker(run_dir, config)
    this = Run(config, run_dir, stages, tracker)
    try:
        _run_stages(this, wanted)
    except BaseException as failure:
        stopped = isinstance(failure, KeyboardInterrupt) or getattr(failure, "code", 0) == INTERRUPTED
        this.state, this.error = ("stopped", None) if stopped else ("failed", first_line(failure))
        if stopped:
            print(f"\nstopped; what was finished is kept. Go on with:\n  {command()}", file=sys.stderr, flush=True)
        raise
    finally:
        this.save()
        tracker.close(exit_code=1)


def _show(config: Config, run_dir: Path) -> None:
    """Print the plan or the status of a single run. Raises ConfigError."""
    cell = open_cell(0, (), {}, config, Splits())
    if cell.error:
        raise ConfigError(cell.error)
    run_dir.mkdir(parents=True, exist_ok=True)
    show.only_shown([cell], run_dir)


def _need_folder(store: Path) -> None:
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"store={store} cannot be made ({error.strerror}); choose another folder") from None


def _run_stages(this: Run, wanted: list[str]) -> None:
    *before, last = wanted
    this.only_finished = this.config.stage != "pipeline"
    for stage in before:
        getattr(this, stage)()
        this.save()
    this.only_finished = False
    getattr(this, last)()
    # What follows reads what is saved, and must not cost the run its numbers where it fails.
    this.state = "done"
    this.save()
    if last == "evaluate":
        report.print_results(this.metrics)
    if this.config.paper and this.config.paper.table and last in ("evaluate", "report"):
        _compare_with_paper(this.run_dir, this.config.paper.table)
    this.tracker.finish(this.metrics, report.read_results(this.run_dir))
    print(f"report: {this.run_dir / report.HTML}" if last == "report" else f"run: {this.run_dir}", flush=True)


def _compare_with_paper(run_dir: Path, table: str) -> None:
    """Print the run's part of a table of the paper; of a sweep, write the whole table as far as its cells are done."""
    terminal.show(parts(compare([run_dir], table)), COLOURS)
    sweep = run_dir.parent
    whole = sweep if (sweep / "multirun.yaml").exists() else run_dir
    print(*(f"paper: {path}" for path in write(compare([whole], table), whole)), sep="\n", flush=True)
