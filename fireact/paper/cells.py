"""What the paper printed: results.yaml as cells, each with its setting, and how many questions its value is from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import TypeAdapter

from fireact.errors import ConfigError, suggest
from fireact.stats import mean, standard_error

RESULTS = Path(__file__).parent / "results.yaml"
PERCENT = ("em", "f1", "gain")
"""The metrics that are written in percent, and are fractions here."""
PLAIN = ("dollars", "seconds", "megabytes")
"""Those of which the paper prints no spread."""
PRINTED = ("se", "sd", "relative", "drop")
"""What stands beside a value in the paper, as printed."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What was run: the paper's for a cell, ours for a measurement. None: not known, or of no matter."""

    model: str = ""
    dataset: str = "hotpotqa"
    """The one it is judged on."""
    guise: Literal["prompted", "finetuned", "both"] = "finetuned"
    """`both`: fine-tuned, and asked with few-shot examples all the same."""
    method: str = "react"
    """How it is asked: direct, cot or react."""
    learnt: frozenset[str] = frozenset()
    """The methods it was trained on."""
    tasks: frozenset[str] = frozenset()
    """The datasets it was trained on."""
    trajectories: int | None = None
    training: str | None = None
    """lora, full or hosted."""
    epochs: float | None = None
    loss: str | None = None
    reflect: bool | None = None
    """Whether reflections are put into its thoughts at rounds 6 and 10."""
    fault: str = ""
    """The tool's."""
    choice: str = ""
    """random or oracle: of the methods that were run, the one taken for a question."""
    tokenizer: str = "own"


@dataclass(frozen=True)
class Cell:
    """One number of the paper."""

    label: str
    setting: Setting
    metric: str
    value: float
    """Of the metrics in percent, as a fraction."""
    n: int
    """The questions, or finished episodes, that it is from, in truth."""
    printed: Mapping[str, float] = field(default_factory=dict)
    """What stands beside it: `se` and `drop` in percent, `sd` in turns; the `em` that a gain led to, in percent."""
    counts: tuple[int, ...] = ()
    """Episodes with 0, 1, 2, ... turns."""
    source: str = ""
    note: str = ""
    unlike: str = ""
    """Why no run of ours can be compared with it."""


@dataclass(frozen=True)
class PaperTable:
    """A table or figure of the paper."""

    name: str
    title: str
    recipes: tuple[str, ...]
    """The recipes, conf/experiment/paper/*.yaml, whose runs fill it."""
    cells: tuple[Cell, ...]


@cache
def results() -> Mapping[str, Any]:
    """Return what results.yaml says."""
    return yaml.safe_load(RESULTS.read_text(encoding="utf-8"))


def names() -> list[str]:
    """The tables and figures there are."""
    return list(results()["tables"])


@cache
def table(name: str) -> PaperTable:
    """Return a table or figure, e.g. table2. Raises ConfigError for one that is not an experiment of the paper."""
    known = results()["tables"]
    if name not in known:
        raise ConfigError(f"{name!r} is no table or figure of the paper with an experiment{suggest(name, known)}; "
                          f"there are {', '.join(known)}")
    node = known[name]
    if "as" in node:
        return PaperTable(name, node["title"], tuple(node["recipes"]), table(node["as"]).cells)
    cells = tuple(cell for row in node["rows"] for column in node["rows"][row]["values"]
                  for cell in _cells(node, row, column))
    return PaperTable(name, node["title"], tuple(node["recipes"]), cells)


def model_name(ident: str) -> str:
    """How the paper calls a model, by its id; a model that it does not have keeps its id."""
    for name, model in results()["models"].items():
        if ident in model["ids"] or ident.startswith(model.get("starts", "\0")):
            return name
    return ident


def known_ids(name: str) -> list[str]:
    """The ids of a model of the paper."""
    return results()["models"][name]["ids"]


def _cells(node: Mapping[str, Any], row: str, column: str) -> Iterable[Cell]:
    entry = node["rows"][row]["values"][column]
    layers = [node, node["columns"][column], node["rows"][row], entry]
    setting = _setting({key: value for layer in layers for key, value in layer.get("setting", {}).items()})
    source, note, unlike = (next((layer[key] for layer in reversed(layers) if key in layer), "")
                            for key in ("source", "note", "unlike"))
    label = row if len(node["columns"]) == 1 else f"{row} · {column}"
    for metric, (value, n, beside) in _values(entry, results()["questions"][setting.dataset]).items():
        why = unlike.get(metric, "") if isinstance(unlike, dict) else unlike
        yield Cell(label, setting, metric, value, n, beside, tuple(entry.get("counts", ())), source, note, why)


def _values(entry: Mapping[str, Any], questions: int) -> dict[str, tuple[float, int, dict[str, float]]]:
    """The value, n and what is printed beside it, by metric."""
    n = entry.get("n", questions)
    printed = {key: entry[key] for key in PRINTED if key in entry}
    found = {metric: (round(entry[metric] / 100, 6), n, printed) for metric in PERCENT if metric in entry}
    found |= {metric: (float(entry[metric]), n, printed) for metric in PLAIN if metric in entry}
    if "gain" in entry:
        found["gain"] = (*found["gain"][:2], {**printed, "em": entry["em"]})
    if "turns" in entry:
        found["turns"] = (float(entry["turns"]), entry.get("finished", n), printed)
    if "counts" in entry:
        turns = [float(turn) for turn, count in enumerate(entry["counts"]) for _ in range(count)]
        spread = (standard_error(turns) or 0.0) * len(turns) ** 0.5
        found["turns"] = (mean(turns), len(turns), {"sd": spread})
    return found


def _setting(values: Mapping[str, Any]) -> Setting:
    values = dict(values)
    if values.get("guise") != "finetuned":
        # What a model as it came was trained on is nobody's business here, whatever the rest of its row learnt.
        values = {key: value for key, value in values.items()
                  if key not in ("learnt", "tasks", "trajectories", "training", "epochs", "loss")}
    recipe = results()["training"].get(values.get("training"), {})
    defaults = {key: recipe[key] for key in ("epochs", "loss") if key in recipe}
    return TypeAdapter(Setting).validate_python(defaults | values)
