"""The page of a run: one HTML file that needs no network, however hostile the texts of its episodes are.

Everything is escaped by jinja2; episodes travel as JSON that holds no markup, and the page's script shows them as text
only. A content security policy allows that one script, by its hash, and nothing else.
"""

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fireact.errors import ConfigError, DataError
from fireact.jsonl import decode_text, open_file, read_finished
from fireact.report.attempts import attempts_table
from fireact.report.episodes import Card, sample
from fireact.report.text import (
    Table,
    by_guise,
    contaminated,
    difference,
    drops_evaluated,
    faults_table,
    funnel_table,
    kind_rows,
    percent,
    price_notes,
    prices_table,
    results_table,
    stops_table,
    training_facts,
)
from fireact.tracking import METRICS, clock

TEMPLATES = Path(__file__).parent / "templates"
CURVE_ROWS = 60
"""Rows of the table behind the training curve."""
_INK, _LOSS, _VALIDATION = "#010101", "#010102", "#010103"
"""Colours that stand for those of the page, which knows light from dark."""


def render(run_dir: Path) -> str:
    """Return the page of a run directory. Raises ConfigError, DataError."""
    if not (run_dir / "metrics.json").exists():
        raise ConfigError(f"{run_dir} is not a run directory, it has no metrics.json; "
                          "give the folder that a run has printed, e.g. inputs.run=outputs/<day>/<time>-<id>")
    metrics, manifest = _object(run_dir / "metrics.json"), _object(run_dir / "manifest.json")
    config = _text(run_dir / "config.yaml")
    cards, script = sample(run_dir), (TEMPLATES / "report.js").read_text(encoding="utf-8")
    curve = _training_lines(run_dir)
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("report.html.j2").render(
        title=run_dir.resolve().name,
        facts=_facts(_settings(config, run_dir)),
        config=config,
        command=manifest.get("command"),
        provenance=[(name, manifest[name]) for name in ("commit", "python", "platform") if manifest.get(name)],
        packages=manifest.get("packages", {}).items(),
        stages=_stages(manifest),
        evaluations=_evaluations(metrics),
        teacher=results_table("The teacher's episodes", metrics["generate"]) if "generate" in metrics else None,
        funnel=funnel_table(metrics["curate"]) if "curate" in metrics else None,
        contaminated=contaminated(metrics.get("contamination", {}),
                                  dropped=drops_evaluated(metrics.get("curate", {}))),
        training=training_facts(metrics.get("train", {})),
        curve=_curve(curve) if curve else None,
        curve_table=_curve_table(curve),
        cards=[asdict(card) for card in cards],
        choices=_choices(cards),
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(sha256(script.encode()).digest()).decode(),
    )


def _text(path: Path) -> str:
    if not path.exists():
        return ""
    with open_file(path) as file:
        return decode_text(file.read(), str(path))


def _object(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        values = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON ({error}); restore the file that the run wrote") from None
    if not isinstance(values, dict):
        raise DataError(f"{path} holds {str(values)[:60]!r} in place of an object; restore the file that the run wrote")
    return values


def _settings(text: str, run_dir: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise DataError(f"{run_dir / 'config.yaml'} is not YAML ({' '.join(str(error).split())}); "
                        "restore the file that the run wrote, or remove it") from None
    if not isinstance(values, dict):
        raise DataError(f"{run_dir / 'config.yaml'} holds {str(values)[:60]!r} in place of a configuration; "
                        "restore the file that the run wrote, or remove it")
    return values


def _facts(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name what was run by the options of its config groups."""
    groups = {"recipe": "name", "student": "model", "teacher": "teacher", "strategy": "strategy", "dataset": "dataset",
              "tool": "tool", "training": "train", "seed": "seed"}
    return [(label, _named(config[key])) for label, key in groups.items() if key in config]


def _named(node: Any) -> str:
    if not isinstance(node, dict):
        return str(node)
    if "parts" in node:
        return " + ".join(map(str, node["parts"]))
    return str(node.get("name") or node.get("method") or str(node.get("_target_")).rpartition(".")[2])


def _stages(manifest: Mapping[str, Any]) -> Table | None:
    stages = manifest.get("stages")
    if not stages:
        return None
    rows = tuple((name, "found done" if stage["reused"] else "done now", clock(stage["seconds"]), stage["key"])
                 for name, stage in stages.items())
    return Table("Stages of this run", ("", "work", "min:s", "key in the store"), rows)


def _evaluations(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for dataset, evaluation in metrics.get("evaluate", {}).items():
        summaries = by_guise(evaluation)
        found.append({
            "dataset": dataset,
            "difference": difference(evaluation["difference"]) if "difference" in evaluation else None,
            "results": results_table(f"The student on {dataset}", summaries),
            "guises": list(summaries),
            "kinds": [(row.kind, row.n, [(percent(em), em or 0.0) for em in row.em]) for row in kind_rows(summaries)],
            "stops": stops_table(summaries),
            "attempts": attempts_table(summaries),
            "faults": faults_table(evaluation) if "faults" in evaluation else None,
            "prices": prices_table(evaluation),
            "price_notes": price_notes(evaluation),
        })
    return found


def _choices(cards: Sequence[Card]) -> dict[str, list[str]]:
    """What the sample can be filtered by."""
    sides = [side for card in cards for side in card.sides]
    return {"guise": list(dict.fromkeys(side.guise for side in sides)),
            "kind": sorted({card.kind for card in cards if card.kind}),
            "stop": sorted({side.stop for side in sides})}


def _training_lines(run_dir: Path) -> list[dict[str, Any]]:
    """The training's metrics, one dictionary a step; of a step that was logged twice, the later counts."""
    path = run_dir / METRICS
    steps: dict[int, dict[str, Any]] = {}
    for line in read_finished(path, dict) if path.exists() else ():
        if line.get("stage") == "train" and "step" in line:
            steps.setdefault(line["step"], {}).update(line)
    return [steps[step] for step in sorted(steps)]


def _curve_table(lines: Sequence[Mapping[str, Any]]) -> Table:
    every = -(-len(lines) // CURVE_ROWS) or 1
    shown = [line for number, line in enumerate(lines)
             if (number + 1) % every == 0 or number == len(lines) - 1 or "validation_loss" in line]
    columns = {"loss": ".4f", "validation_loss": ".4f", "lr": ".3g", "tokens_per_second": ",.0f"}
    rows = tuple((str(line["step"]), *(format(line[name], form) if line.get(name) is not None else "-"
                                       for name, form in columns.items())) for line in shown)
    return Table("Training by step", ("step", "loss", "validation loss", "learning rate", "tokens a second"), rows)


def _curve(lines: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw the losses as SVG, in colours that the page defines."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({
            "svg.fonttype": "none", "svg.hashsalt": "fireact", "font.size": 11, "text.color": _INK,
            "axes.edgecolor": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
            "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        axes = figure.subplots()
        for name, label, colour, style in (("loss", "loss of each batch", _LOSS, "-"),
                                           ("validation_loss", "validation loss", _VALIDATION, "o-")):
            points = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
            if points:
                axes.plot(*zip(*points, strict=True), style, color=colour, label=label, linewidth=1.8, markersize=5)
        axes.set_xlabel("step")
        axes.set_ylabel("loss per trained token, nats")
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="x", integer=True)
        axes.grid(axis="y", alpha=0.15, color=_INK)
        axes.legend(frameon=False)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return _inline(drawn.getvalue())


def _inline(svg: str) -> Markup:
    """Make a drawing part of a page: no prologue, no style sheet that would reach the page, the page's colours."""
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg[svg.index("<svg"):], flags=re.DOTALL)
    for stand_in, colour in ((_INK, "currentColor"), (_LOSS, "var(--loss)"), (_VALIDATION, "var(--validation)")):
        svg = svg.replace(stand_in, colour)
    return Markup(re.sub(r"<svg\b", '<svg role="img" aria-labelledby="curve-caption"', svg, count=1))
