"""The files of a run as W&B artifacts: dataset, adapter, evaluation, report, and which was made from which.

Names carry the store's keys, so that cells that share an adapter share the artifact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fireact.store import fingerprint

if TYPE_CHECKING:
    from wandb import Artifact

    from fireact.schema import Config

_DATASET = ("train.jsonl", "validation.jsonl", "funnel.json")
_EVALUATION = ("results.jsonl", "metrics.json")


@dataclass(frozen=True)
class Output:
    """What becomes one artifact."""

    name: str
    type: str
    files: Mapping[str, Path]
    made: bool = True
    """Whether the run made it; not, where it was given by inputs.*."""
    used: bool = False
    """Whether the run went on from it."""
    referenced: Path | None = None
    """Where the files are, which are not sent."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def megabytes(self) -> float:
        """What there is to send."""
        return sum(file.stat().st_size for file in self.files.values()) / 1e6

    def artifact(self) -> Artifact:
        """Make it, anew at each call. The files are read when W&B sends them, and must stay."""
        import wandb

        artifact = wandb.Artifact(self.name, self.type, metadata=dict(self.facts))
        for name, file in self.files.items():
            artifact.add_file(str(file), name, skip_cache=True, policy="immutable")
        if self.referenced is not None:
            artifact.add_reference(self.referenced.absolute().as_uri(), "weights", checksum=False)
        return artifact


def outputs(run_dir: Path, run_id: str, config: Config, metrics: Mapping[str, Any]) -> Iterator[Output]:
    """Yield what there is in a run directory, what was made from it last."""
    dataset = _place(run_dir / "curated", config.inputs.curated)
    if dataset is not None:
        made = config.inputs.curated is None
        name = dataset.name if made else fingerprint(dataset)
        yield Output(f"dataset-{name}", "dataset", _files(dataset, _DATASET), made=made, used="train" in metrics)
    adapter = _place(run_dir / "adapter", config.inputs.adapter)
    if adapter is not None:
        yield _weights(adapter, config, "evaluate" in metrics and config.evaluate.finetuned)
    evaluation = _files(run_dir, _EVALUATION)
    if len(evaluation) == len(_EVALUATION):
        yield Output(f"evaluation-{run_id}", "evaluation", evaluation)
    report = _files(run_dir, ("report.html",))
    if report:
        yield Output(f"report-{run_id}", "report", report)


def _weights(folder: Path, config: Config, used: bool) -> Output:
    """An adapter or a whole model; one of more than `wandb.upload_mb` is named and not sent."""
    made = config.inputs.adapter is None
    name = f"adapter-{folder.parent.name if made else fingerprint(folder)}"
    files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    facts = {"base": config.model.get("name") or config.model.get("model")}
    whole = Output(name, "model", files, made=made, used=used, facts=facts)
    if whole.megabytes <= config.wandb.upload_mb:
        return whole
    return Output(name, "model", {}, made=made, used=used, referenced=folder, facts=facts)


def _place(link: Path, given: Path | None) -> Path | None:
    return link.resolve() if given is None and link.is_dir() else given


def _files(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    return {name: folder / name for name in names if (folder / name).is_file()}
