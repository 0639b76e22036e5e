"""The stages of one run: each is done or found done, and leaves its numbers and links in the run directory."""

import json
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from fireact import evaluate, formats, publish, report
from fireact.checks import is_paid
from fireact.children import Task, work
from fireact.command import command
from fireact.curate import FUNNEL, HELD_PREFERENCES, PREFERENCES, TRAIN, VALIDATION, held_against, read_funnel
from fireact.errors import ConfigError
from fireact.generate import PlayJob, open_dataset
from fireact.jsonl import read_jsonl, write_atomic
from fireact.manifest import environment
from fireact.parity import PARITY, REFERENCE
from fireact.parity.compare import refuse_forms, refuse_prompts
from fireact.play.played import Played, digest, finished, require
from fireact.play.records import TRAJECTORIES
from fireact.plugins import build
from fireact.preferences import Preference
from fireact.process import ChildFailed
from fireact.schema import Config
from fireact.sections import Section
from fireact.stages import Stages
from fireact.store import DONE
from fireact.tokenize import AUDIT, PAGE
from fireact.tokenize.audit import require as require_sound
from fireact.tracking import METRICS, Tracker, last_seconds, seconds_per_episode
from fireact.train import Train
from fireact.types import RUN_VERSION, Trajectory


@dataclass
class Run:
    """One configuration being run."""

    config: Config
    run_dir: Path
    stages: Stages
    tracker: Tracker
    only_finished: bool = False
    """Whether a stage that is not done is an error, rather than work to do."""
    metrics: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    state: Literal["running", "done", "failed", "stopped"] = "running"
    error: str | None = None
    """Why it failed, in one sentence."""

    def generate(self) -> None:
        """Let the teacher play."""
        plays = self.stages.plays
        self._foresee_training()
        for label, records in self._played("generate", plays).items():
            job = plays[label]
            self.metrics.setdefault("generate", {})[label] = self._summary(job, records)
            name = "trajectories" if len(plays) == 1 else f"trajectories-{label.replace('/', '-')}"
            self._link(f"{name}.jsonl", self.stages.folder("generate", job) / TRAJECTORIES)

    def _foresee_training(self) -> None:
        """Before a teacher is paid, see whether its student could be trained here at all. Raises ChildFailed."""
        if self.config.stage != "pipeline" or not any(map(is_paid, self.stages.plays.values())):
            return
        train = build(self.config.train, "train")
        job, folder = self.stages.train, self.stages.folder("train", self.stages.train)
        if isinstance(train, Train) and not (folder / DONE).exists():
            work(train.preflight, [Task("train", job, folder)], lambda _: None, gpus=self.config.gpus, locked=True)

    def curate(self) -> None:
        """Choose what is trained on."""
        job, folder = self.stages.curate, self.stages.folder("curate", self.stages.curate)
        try:
            self._do_one("curate", "fireact.curate", job, folder)
        except ChildFailed:
            if (folder / FUNNEL).exists():
                report.print_funnel(**read_funnel(folder))
            raise
        funnel = read_funnel(folder)
        self.metrics["curate"], self.metrics["contamination"] = funnel["cells"], funnel["contamination"]
        report.print_funnel(**funnel)
        self._link("curated", folder)

    def export(self) -> None:
        """Write what is trained on in the forms of other trainers."""
        folder = self.stages.folder("curate", self.stages.curate)
        for name, of_pairs in ((TRAIN, PREFERENCES), (VALIDATION, HELD_PREFERENCES)):
            records = list(read_jsonl(folder / name, Trajectory))
            for form in self.config.export.formats:
                path = (self.run_dir / "export" / form / name).with_suffix(formats.SUFFIXES[form])
                count = (formats.write_pairs(read_jsonl(folder / of_pairs, Preference), path) if form == "preference"
                         else formats.write(form, records, path))
                print(f"export: {count} records in {path}", flush=True)

    def tokenize(self) -> None:
        """Turn what is trained on into tokens, and look at these. Raises DataError past the thresholds of the audit."""
        job, train = self.stages.tokenize, build(self.config.train, "train")
        assert job is not None
        folder = self.stages.folder("tokenize", job)
        self._do_one("tokenize", "fireact.tokenize", job, folder)
        audit = json.loads((folder / AUDIT).read_text(encoding="utf-8"))
        self.metrics["tokenize"] = {name: report.counted(audit[name]) for name in ("train", "validation")}
        self._link(AUDIT, folder / AUDIT)
        self._link(PAGE, folder / PAGE)
        report.print_audit(audit["train"], self.run_dir / PAGE)
        require_sound(audit["train"], train.audit)

    def train(self) -> None:
        """Fine-tune the student."""
        job, folder = self.stages.train, self.stages.folder("train", self.stages.train)
        if self.config.train.get("cancel") and (folder / DONE).exists():
            raise ConfigError("train.cancel=true, and this training is finished; leave it out to go on with its model")
        given = self.config.inputs.curated
        if given:
            self.metrics["contamination"] = held_against(given, self.stages.curate)
            report.print_contamination(self.metrics["contamination"])
        train = build(self.config.train, "train")
        if isinstance(train, Train):
            self.tokenize()
        self._do_one("train", train.module, job, folder)
        self.metrics["train"] = json.loads((folder / DONE).read_text(encoding="utf-8"))
        self._link("adapter", self.stages.adapter)

    def evaluate(self) -> None:
        """Let the student play: on each dataset, prompted and fine-tuned, with a sound tool and with faults."""
        if self.config.evaluate.finetuned:
            self.stages.need_as_trained()
        self._need_parity()
        cells = self.stages.evaluations
        # The fine-tuned student first: an adapter that does not fit is told before anything else is played.
        played = self._played("evaluate", {cell.label: cell.job for cell in
                                           sorted(cells, key=lambda cell: cell.guise != "finetuned")})
        summaries = {cell.label: self._summary(cell.job, played[cell.label]) for cell in cells}
        self.metrics["evaluate"] = evaluate.gather(cells, played, summaries)
        for cell in cells:
            self._link(f"{evaluate.EPISODES}-{cell.label.replace('/', '-')}.jsonl",
                       self.stages.folder("generate", cell.job) / TRAJECTORIES)
        rows = [row for cell in cells
                for row in evaluate.rows(cell.guise, cell.dataset, played[cell.label], cell.fault)]
        write_atomic(self.run_dir / report.RESULTS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def _need_parity(self) -> None:
        """Hold the student that will play against the model that was trained. Raises DataError past the threshold."""
        job, gate, given = self.stages.parity, self.config.evaluate.parity, self.config.inputs.adapter
        if job is None:
            if gate.check and given and not (given / REFERENCE).exists():
                print(f"parity: {given} has no {REFERENCE}, so the student that plays was not held against its "
                      "training", flush=True)
            return
        folder = self.stages.folder("parity", job)
        self._do_one("parity", "fireact.parity", job, folder)
        found = json.loads((folder / PARITY).read_text(encoding="utf-8"))
        self.metrics["parity"] = found
        self._link(PARITY, folder / PARITY)
        print(*report.parity_lines(found["forms"]), sep="\n", flush=True)
        refuse_prompts(found["same_prompts"])
        refuse_forms(found["forms"], gate.agreement, gate.difference)

    def report(self) -> None:
        """Show what came out."""
        report.print_results(self.metrics)
        report.write_html(self.run_dir)

    def publish(self) -> None:
        """Write the student for others, and send it to the hub where that is asked for."""
        self.stages.need_as_trained()
        job = self.stages.merge
        self._do_one("publish", "fireact.train.merge", job, self.stages.folder("merged", job))
        self.metrics["publish"] = publish.publish(self.stages, self.run_dir, {**environment(), "command": command()})

    def _played(self, stage: str, jobs: Mapping[str, PlayJob]) -> dict[str, Played]:
        """Return the records of all jobs, by their labels; what is missing is played first, in one process."""
        datasets = {label: open_dataset(job.dataset, job.home) for label, job in jobs.items()}
        asked = {label: self.stages.questions(job, f"{stage}.n") for label, job in jobs.items()}
        folders = {label: self.stages.folder("generate", job) for label, job in jobs.items()}
        done = {label for label, job in jobs.items()
                if finished(folders[label], asked[label], job.sampling, datasets[label])}
        tasks = [Task(f"{stage}/{label}", job, folders[label]) for label, job in jobs.items()]
        settings, engine = self.stages.engine(self.run_dir), self.run_dir / "engine.json"
        write_atomic(engine, settings.model_dump_json(indent=1))
        self.tracker.worker = settings.worker
        self._do("fireact.generate", tasks, {f"{stage}/{label}" for label in done}, str(engine))
        for task in tasks:
            self.timings[task.label]["seconds"] = last_seconds(task.folder, settings.worker)
        played = {label: require(folders[label], datasets[label], asked[label], job.sampling, stage)
                  for label, job in jobs.items()}
        for label, records in played.items():
            self.timings[f"{stage}/{label}"]["records"] = digest(records)
        return played

    def _summary(self, job: PlayJob, records: Played) -> dict[str, Any]:
        seconds = seconds_per_episode(self.stages.folder("generate", job))
        costs = evaluate.priced(records, self.config.report.prices)
        return {**evaluate.summarize(records), "seconds": seconds, **({"priced": costs} if costs else {})}

    def _do_one(self, label: str, module: str, job: Section, folder: Path) -> None:
        # A job that is to be cancelled is another run's, which holds the folder.
        self._do(module, [Task(label, job, folder)], {label} if (folder / DONE).exists() else set(),
                 locked=not self.config.train.get("cancel"))

    def _do(self, module: str, tasks: Sequence[Task], done: Set[str], *arguments: str, locked: bool = False) -> None:
        """Have one process do the tasks that are not `done`. Raises ChildFailed, ConfigError."""
        started, missing = time.monotonic(), [task for task in tasks if task.label not in done]
        if missing and self.only_finished:
            stage = missing[0].label.partition("/")[0]
            raise ConfigError(f"stage={self.config.stage} goes on from stage={stage}, which is not done for this "
                              f"configuration; run it first with stage={stage}, or all with stage=pipeline, "
                              "or name another run's files with inputs.*")
        for task in tasks:
            print(f"{task.label}: {'done before, in ' if task.label in done else ''}{task.folder}", flush=True)
        try:
            if missing and not work(module, missing, self._forward, *arguments, gpus=self.config.gpus, locked=locked):
                print(f"{missing[0].label}: done meanwhile by another run", flush=True)
                done = {task.label for task in tasks}
        finally:
            for task in tasks:
                self._forward(task)
                self.timings[task.label] = {
                    "key": task.folder.name, "folder": str(task.folder), "reused": task.label in done,
                    "seconds": round(time.monotonic() - started, 3)}

    def _forward(self, task: Task) -> None:
        self.tracker.forward(task.label, task.folder / METRICS)

    def _link(self, name: str, to: Path) -> None:
        link = self.run_dir / name
        link.unlink(missing_ok=True)
        link.symlink_to(to.resolve(), target_is_directory=to.is_dir())

    @cached_property
    def _environment(self) -> dict[str, Any]:
        return environment()

    def save(self) -> None:
        """Write what is known so far: metrics.json and manifest.json."""
        write_atomic(self.run_dir / "metrics.json", json.dumps(self.metrics, indent=1))
        manifest = {"version": RUN_VERSION, **self._environment, "command": command(), "state": self.state,
                    "error": self.error, "stages": self.timings}
        write_atomic(self.run_dir / "manifest.json", json.dumps(manifest, indent=1))
