"""Which cell of a table a measurement belongs to, and what was run otherwise than the paper ran it, in words."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from fireact.paper.cells import Cell, Setting, known_ids, results
from fireact.paper.runs import Measure, ident
from fireact.plugins import plugin_name

QUESTIONS = Path(__file__).parent / "questions.json"
"""By dataset, the marks of the questions that the paper was evaluated on; see `mark`."""
SAME = ("guise", "dataset", "fault", "choice", "method", "learnt", "tasks", "tokenizer")
"""What a measurement must have in common with a cell to be put beside it at all."""
NEAR = ("model", "training", "loss", "trajectories", "epochs")
"""What tells cells apart further, as long as one of them has the measurement's own."""
_SLACK = 0.02
"""The released code kept 1% of the trajectories for validation."""
_RELEASED = ("alpaca_format", "gpt_format")
"""The folders of FireAct's released fine-tuning files."""


def fitting(measure: Measure, cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that a measurement is put beside: those of its own setting, or all that are like it in `SAME`
    where nobody ran just that, a model that the paper does not have for one."""
    had = measure.setting
    found = [cell for cell in cells if all(getattr(cell.setting, key) == getattr(had, key) for key in SAME)]
    for key in NEAR:
        same = [cell for cell in found if _agree(getattr(cell.setting, key), getattr(had, key))]
        found = same or found
    return found


def differences(measure: Measure, wanted: Setting) -> list[str]:
    """Return what was run otherwise than `wanted`, one sentence each; [] where the two can be compared."""
    if measure.parts:
        said = [text for part in measure.parts for text in differences(part, _of_part(wanted, part.setting))]
        return list(dict.fromkeys(said))
    found = [*_model(measure, wanted), *_questions(measure), *_tool(measure)]
    if wanted.reflect is not None and measure.setting.reflect != wanted.reflect:
        found.append("the paper's student was asked with reflections at rounds 6 and 10 (paper=faithful)"
                     if wanted.reflect else "the student was asked with reflections at rounds 6 and 10")
    if measure.setting.guise == "both":
        found.append(f"what {measure.config.model['adapter']} was made from is not known to this run")
    if measure.setting.guise == "finetuned":
        found += [*_learnt(measure, wanted), *_training(measure, wanted)]
    return found


def mark(question: str) -> str:
    """Return what a question is recognized by: a hash of its words, in lower case."""
    return sha256(" ".join(question.casefold().split()).encode()).hexdigest()[:8]


def _agree(wanted: Any, had: Any) -> bool:
    if isinstance(wanted, (int, float)) and isinstance(had, (int, float)):
        return abs(wanted - had) <= _SLACK * wanted
    return wanted == had


def _of_part(wanted: Setting, part: Setting) -> Setting:
    return replace(wanted, guise=part.guise, method=part.method, learnt=part.learnt, choice="")


def _model(measure: Measure, wanted: Setting) -> Iterable[str]:
    ids = known_ids(wanted.model)
    if measure.model not in ids:
        yield f"the model is {measure.model}, the paper's {ids[0]}"


def _questions(measure: Measure) -> Iterable[str]:
    node, dataset = measure.node, measure.setting.dataset
    if dataset in ("strategyqa", "mmlu") and node.get("scoring", "faithful") != "faithful":
        yield f"answers to {dataset} are judged by {node['scoring']} rules (scoring=faithful are the paper's)"
    known = _known_questions().get(dataset)
    if known is None:
        return
    prefix = node.get("prefix") or ""
    other = sum(mark(row.question.removeprefix(prefix)) not in known for row in measure.rows)
    if not measure.rows:
        yield "which questions were played is not known (there is no results.jsonl)"
    elif other:
        yield f"{other} of {len(measure.rows)} questions are not among the paper's {len(known)} of {dataset}"


@cache
def _known_questions() -> dict[str, frozenset[str]]:
    return {name: frozenset(marks) for name, marks in json.loads(QUESTIONS.read_text(encoding="utf-8")).items()}


def _tool(measure: Measure) -> Iterable[str]:
    tool, noise = measure.config.tool, measure.config.noise
    if measure.setting.method != "react":
        return
    if plugin_name(tool) != "serpapi":
        yield f"it searched with {plugin_name(tool)}, the paper with Google (tool=serpapi)"
    elif tool.get("fields", "faithful") != "faithful":
        yield f"it was shown tool.fields={tool['fields']} of Google's answers, the paper's only the first field found"
    if measure.setting.fault and noise.get("probability") != 0.5:
        yield f"the tool failed with probability {noise.get('probability')}, the paper's with 0.5"


def _learnt(measure: Measure, wanted: Setting) -> Iterable[str]:
    had, given = measure.setting, measure.config.inputs
    if wanted.trajectories is not None and had.trajectories is None:
        yield "how many trajectories it learnt from is not known to this run"
    elif wanted.trajectories is not None and not _agree(wanted.trajectories, had.trajectories):
        yield f"it learnt from {had.trajectories} trajectories, the paper's from {wanted.trajectories}"
    if path := given.adapter or given.curated:
        yield f"what {path} was made from is not known to this run"
    elif others := [path for path in given.trajectories if path.parent.name not in _RELEASED]:
        yield f"it learnt from {', '.join(map(str, others))}, whose teacher is not known to this run"
    elif not given.trajectories and ident(measure.config.teacher) not in known_ids("GPT-4"):
        yield f"the teacher is {ident(measure.config.teacher)}, the paper's gpt-4"


def _training(measure: Measure, wanted: Setting) -> Iterable[str]:
    had = measure.setting
    if wanted.training is None or had.training != wanted.training:
        yield f"it was trained by {had.training}, the paper's by {wanted.training}"
        return
    paper = results()["training"][wanted.training] | {"epochs": wanted.epochs}
    if wanted.loss is not None:
        paper |= {"loss": wanted.loss}
    for key, value in paper.items():
        mine = measure.config.train.get(key)
        if mine != value:
            yield f"train.{key} is {_word(mine)}, the paper's {_word(value)}"


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
