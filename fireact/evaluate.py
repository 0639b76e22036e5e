"""Judge the student: the same questions, played prompted and fine-tuned, and the difference with its uncertainty.

Evaluation is generation with another model: the episodes come from `fireact.generate`, and here they are only counted.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fireact.errors import ConfigError, DataError
from fireact.generate import PlayJob
from fireact.prices import describe, recompute
from fireact.stats import mean, paired_difference, standard_error
from fireact.types import Trajectory

Guise = Literal["prompted", "finetuned"]
EPISODES = "episodes"
"""The files of a run that lead to its episodes begin so."""
PER_EPISODE = ("prompt_tokens", "completion_tokens", "cached_tokens")


@dataclass(frozen=True)
class Evaluation:
    """One guise of the student on one dataset, with a sound tool or one that has a fault."""

    dataset: str
    guise: Guise
    fault: str
    """Empty for the sound tool."""
    job: PlayJob

    @property
    def label(self) -> str:
        """What tells it from the run's other evaluations: dataset/guise, and the fault behind another slash."""
        return self.job.label


def summarize(records: Sequence[Trajectory]) -> dict[str, Any]:
    """Return quality, effort and cost of some episodes: fractions between 0 and 1, means an episode, US dollars."""
    em = [record.score.em for record in records]
    f1 = [record.score.f1 for record in records]
    costs = [step.completion.cost for record in records for step in record.steps if step.completion]
    return {
        "n": len(records),
        "em": mean(em),
        "em_se": standard_error(em),
        "f1": mean(f1),
        "f1_se": standard_error(f1),
        "finished": mean([float(record.stop.value == "finished") for record in records]),
        "rounds": mean([record.rounds for record in records]),
        "tool_calls": mean([record.tool_calls for record in records]),
        **{name: mean([record.total(name) for record in records]) for name in PER_EPISODE},
        "cost": None if not costs or None in costs else sum(cost or 0.0 for cost in costs) / len(records),
        "latency_seconds": mean([record.total("seconds") for record in records]),
        "stops": _counts([record.stop.value for record in records]),
        "em_by_kind": {kind: {"n": len(part), "em": mean(part)} for kind, part in _by_kind(records).items()},
    }


def compare(first: Sequence[Trajectory], second: Sequence[Trajectory]) -> dict[str, Any]:
    """Return by how much the second side is better than the first, e.g. fine-tuned than prompted, with a paired test.

    Both sides hold the same questions in the same order.
    """
    difference = paired_difference([record.score.em for record in first], [record.score.em for record in second])
    return {**asdict(difference), "ci95": list(difference.ci95)}


def priced(records: Sequence[Trajectory], names: Sequence[str]) -> dict[str, Any]:
    """Return what an episode would cost at the list prices of the models `names`; nothing where no usage is recorded.

    A model at whose prices this usage cannot be counted is said and left out: a report costs no run its results.
    """
    if not any(record.total("prompt_tokens") for record in records):
        return {}
    found: dict[str, Any] = {}
    for name in names:
        try:
            cost = recompute(records, name)
        except (ConfigError, DataError) as failure:
            print(f"report.prices: {failure}", file=sys.stderr, flush=True)
        else:
            found[name] = {**asdict(cost), "words": describe(cost.price)}
    return found


def gather(cells: Sequence[Evaluation], played: Mapping[str, Sequence[Trajectory]],
           summaries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the evaluations of a run by dataset: both guises, their difference, and what each fault of the tool costs.

    `played` and `summaries` hold each cell's records and their summary by the cell's label.
    """
    result: dict[str, Any] = {}
    for cell in cells:
        mine, summary = result.setdefault(cell.dataset, {}), dict(summaries[cell.label])
        if cell.fault:
            sound = played[cell.label.removesuffix(f"/{cell.fault}")]
            summary["drop"] = compare(sound, played[cell.label])
            mine.setdefault("faults", {}).setdefault(cell.fault, {})[cell.guise] = summary
        else:
            mine[cell.guise] = summary
    for dataset, mine in result.items():
        if "prompted" in mine and "finetuned" in mine:
            mine["difference"] = compare(played[f"{dataset}/prompted"], played[f"{dataset}/finetuned"])
    return result


def rows(guise: str, dataset: str, records: Sequence[Trajectory], fault: str = "") -> list[dict[str, Any]]:
    """Return one flat row a question, for results.jsonl; `fault` is that of the tool, if it had one."""
    return [{"dataset": dataset, "guise": guise, "fault": fault, "model": record.provenance.get("model"),
             "method": record.method, "id": record.id, "kind": record.question.kind, "question": record.question.text,
             "gold": record.question.answers[0], "answer": record.answer, "em": record.score.em, "f1": record.score.f1,
             "rounds": record.rounds, "tool_calls": record.tool_calls, "stop": record.stop.value,
             "prompt_tokens": record.total("prompt_tokens"), "completion_tokens": record.total("completion_tokens"),
             "seconds": record.total("seconds")} for record in records]


def _by_kind(records: Sequence[Trajectory]) -> dict[str, list[float]]:
    kinds: dict[str, list[float]] = {}
    for record in sorted(records, key=lambda record: record.question.kind):
        kinds.setdefault(record.question.kind or "all", []).append(record.score.em)
    return kinds


def _counts(values: Sequence[str]) -> dict[str, int]:
    return {value: values.count(value) for value in sorted(set(values))}
