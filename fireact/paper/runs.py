"""What runs left, as measurements: what was run on which dataset in which guise, and how each question went.

A run directory holds config.yaml, metrics.json and results.jsonl; a sweep's holds run directories.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fireact.errors import ConfigError, DataError
from fireact.jsonl import decode_text, open_file, read_jsonl
from fireact.paper.cells import Setting, model_name
from fireact.plugins import Node, plugin_name
from fireact.schema import Config, mix, tasks, validate

CONFIG, METRICS, ROWS = "config.yaml", "metrics.json", "results.jsonl"


@dataclass(frozen=True)
class Row:
    """One line of results.jsonl, as far as it is needed here."""

    dataset: str
    guise: str
    id: str
    question: str
    em: float
    f1: float
    rounds: int
    stop: str
    fault: str = ""
    attempt: int = 0

    @property
    def finished(self) -> bool:
        """Whether the episode came to an answer."""
        return self.stop == "finished"


@dataclass(frozen=True)
class Measure:
    """The student of one run, in one guise, on one dataset."""

    run: Path
    config: Config
    setting: Setting
    summary: Mapping[str, Any]
    """As `evaluate.summarize` returns it."""
    gain: Mapping[str, Any] | None
    """By how much it is better than prompted, as `evaluate.compare` returns it."""
    rows: tuple[Row, ...]
    parts: tuple["Measure", ...] = ()
    """What a choice of methods chooses from."""

    @property
    def model(self) -> str:
        """The id of the student's model."""
        return ident(self.config.model)

    @property
    def node(self) -> Node:
        """The dataset it is judged on."""
        return {**tasks(self.config.dataset).parts, **self.config.held_out}.get(self.setting.dataset, {})

    def turns(self) -> list[float]:
        """The replies of each finished episode; an answer given at once is 0 turns to the paper (Figure 6)."""
        return [0.0 if self.setting.method == "direct" else float(row.rounds) for row in self.rows if row.finished]


def run_dirs(paths: Sequence[Path]) -> list[Path]:
    """Return the run directories among `paths` and inside them, sweeps' cells in their order. Raises ConfigError."""
    found: list[Path] = []
    for path in paths:
        inside = sorted((file.parent for file in path.glob(f"*/{METRICS}")), key=_number)
        here = [path] if (path / METRICS).is_file() else inside
        if not here:
            raise ConfigError(f"{path} is no run directory and holds none: there is no {METRICS}; name one that "
                              "main.py wrote, e.g. outputs/<day>/<time>-<id>, or a sweep's, multirun/<day>/<time>-<id>")
        found += here
    return found


def read(run: Path) -> list[Measure]:
    """Return a run's measurements, [] where it has not evaluated. Raises ConfigError, DataError."""
    config, metrics = read_config(run / CONFIG), _metrics(run / METRICS)
    # The paper's numbers are of one attempt.
    rows = [row for row in read_jsonl(run / ROWS, Row) if row.attempt == 0] if (run / ROWS).exists() else []
    found = []
    for dataset, evaluation in metrics.get("evaluate", {}).items():
        for guise, fault, summary in _summaries(evaluation):
            mine = tuple(row for row in rows if (row.dataset, row.guise, row.fault) == (dataset, guise, fault))
            setting = _setting(config, metrics.get("curate", {}), dataset, guise, fault)
            gain = evaluation.get("difference") if guise == "finetuned" and not fault else None
            found.append(Measure(run, config, setting, summary, gain, mine))
    return found


def ident(model: Node) -> str:
    """What tells which model a node is."""
    return model.get("name") or model.get("model") or plugin_name(model)


def _number(folder: Path) -> tuple[int, str]:
    return (int(folder.name) if folder.name.isdigit() else -1, folder.name)


def _summaries(evaluation: Mapping[str, Any]) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    for fault, by_guise in [("", evaluation), *evaluation.get("faults", {}).items()]:
        for guise in ("prompted", "finetuned"):
            if guise in by_guise:
                yield guise, fault, by_guise[guise]


def _setting(config: Config, curated: Mapping[str, Any], dataset: str, guise: str, fault: str) -> Setting:
    whole = mix(config.strategy)
    methods = {label: plugin_name(node) for label, node in whole.parts.items()}
    asked = methods[whole.play]
    shown = Setting(model=model_name(ident(config.model)), dataset=dataset, fault=fault, reflect=asked == "reflexion",
                    guise="both" if config.model.get("adapter") else "prompted",
                    method="react" if asked == "reflexion" else asked)
    if guise == "prompted":
        return shown
    cells = [cell for cell in curated.values() if cell["train"]]
    learnt = {cell["method"] for cell in cells} or {label for label, weight in whole.weights.items() if weight}
    hosted = plugin_name(config.train) == "hosted"
    return Setting(model=shown.model, dataset=dataset, guise="finetuned", method=shown.method, reflect=shown.reflect,
                   fault=fault, learnt=frozenset(methods[label] for label in learnt),
                   tasks=frozenset(cell["task"] for cell in cells) or frozenset(tasks(config.dataset).parts),
                   trajectories=sum(cell["train"] for cell in cells) or None,
                   training="hosted" if hosted else config.train.get("method", "lora"),
                   epochs=config.train.get("epochs"), loss=config.train.get("loss"))


def read_config(path: Path) -> Config:
    """Read what a run kept of its configuration. Raises ConfigError, DataError."""
    try:
        values = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise DataError(f"{path} is no YAML: {' '.join(str(error).split())}; it is what main.py wrote of the run's "
                        "configuration, restore it") from None
    if not isinstance(values, dict):
        raise DataError(f"{path} holds no configuration; it is what main.py wrote, restore it")
    try:
        return validate(Config, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error} (is it of another version?)") from None


def _metrics(path: Path) -> Mapping[str, Any]:
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: {error}; it is what main.py wrote of the run's results, restore it") from None


def _text(path: Path) -> str:
    with open_file(path) as file:
        return decode_text(file.read(), str(path))
