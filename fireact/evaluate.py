"""Judge the student: the same questions, played prompted and fine-tuned, and the difference with its uncertainty.

Evaluation is generation with another model: the episodes come from `fireact.generate`, and here they are only counted.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from fireact import sampling
from fireact.errors import ConfigError, DataError
from fireact.failures import FAILURES, failure, hops, seen
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


@dataclass(frozen=True)
class _Facts:
    """What a summary needs of a record, so that records are read once and no steps are held."""

    em: float
    f1: float
    kind: str
    hops: str
    stop: str
    failure: str | None
    sums: dict[str, float]
    costs: tuple[float | None, ...]

    @classmethod
    def of(cls, record: Trajectory) -> "_Facts":
        sums = {name: record.total(name) for name in (*PER_EPISODE, "seconds")}
        return cls(record.score.em, record.score.f1, record.question.kind, str(hops(record.question) or ""),
                   record.stop.value, failure(record),
                   {**sums, "rounds": record.rounds, "tool_calls": record.tool_calls},
                   tuple(step.completion.cost for step in record.steps if step.completion))


def summarize(records: Iterable[Trajectory]) -> dict[str, Any]:
    """Return quality, effort and cost of some episodes: fractions between 0 and 1, means an episode, US dollars.

    Of several attempts at a question the first counts, so that the figures are those of one attempt; what several are
    worth stands under `sampling`. Records of a question follow each other.
    """
    attempts: list[Trajectory] = []
    facts = []
    for record in records:
        attempts.append(replace(record, steps=()))
        if record.attempt == 0:
            facts.append(_Facts.of(record))
    several = sampling.summarize(attempts)
    em, f1 = [fact.em for fact in facts], [fact.f1 for fact in facts]
    costs = [cost for fact in facts for cost in fact.costs]
    return {
        "n": len(facts),
        "em": mean(em),
        "em_se": standard_error(em),
        "f1": mean(f1),
        "f1_se": standard_error(f1),
        "finished": mean([float(fact.stop == "finished") for fact in facts]),
        "rounds": mean([fact.sums["rounds"] for fact in facts]),
        "tool_calls": mean([fact.sums["tool_calls"] for fact in facts]),
        **{name: mean([fact.sums[name] for fact in facts]) for name in PER_EPISODE},
        "cost": None if not costs or None in costs else sum(cost or 0.0 for cost in costs) / len(facts),
        "latency_seconds": mean([fact.sums["seconds"] for fact in facts]),
        "stops": _counts([fact.stop for fact in facts]),
        "failures": {name: count for name in FAILURES if (count := sum(fact.failure == name for fact in facts))},
        "em_by_kind": _em_by([(fact.kind or "all", fact.em) for fact in facts]),
        "em_by_hops": _em_by([(fact.hops, fact.em) for fact in facts if fact.hops]),
        **({"sampling": several} if several else {}),
    }


def compare(first: Sequence[Trajectory], second: Sequence[Trajectory]) -> dict[str, Any]:
    """Return by how much the second side is better than the first, e.g. fine-tuned than prompted, with a paired test.

    Both sides hold the same questions in the same order; of several attempts at one the first counts.
    """
    sides = [[record.score.em for record in side if record.attempt == 0] for side in (first, second)]
    difference = paired_difference(*sides)
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


def rows(guise: str, dataset: str, records: Iterable[Trajectory], fault: str = "") -> Iterator[dict[str, Any]]:
    """Yield one flat row an attempt, for results.jsonl; `fault` is that of the tool, if it had one."""
    for record in records:
        costs = [step.completion.cost for step in record.steps if step.completion]
        yield {"dataset": dataset, "guise": guise, "fault": fault, "model": record.provenance.get("model"),
               "method": record.method, "id": record.id, "attempt": record.attempt, "kind": record.question.kind,
               "hops": hops(record.question), "question": record.question.text, "gold": record.question.answers[0],
               "answer": record.answer, "em": record.score.em, "f1": record.score.f1, "stop": record.stop.value,
               "failure": failure(record), "seen": seen(record), "rounds": record.rounds,
               "tool_calls": record.tool_calls, **{name: record.total(name) for name in (*PER_EPISODE, "seconds")},
               "cost": None if not costs or None in costs else sum(cost or 0.0 for cost in costs)}


def _em_by(outcomes: Sequence[tuple[str, float]]) -> dict[str, Any]:
    parts: dict[str, list[float]] = {}
    for name, em in sorted(outcomes):
        parts.setdefault(name, []).append(em)
    return {name: {"n": len(part), "em": mean(part)} for name, part in parts.items()}


def _counts(values: Sequence[str]) -> dict[str, int]:
    return {value: values.count(value) for value in sorted(set(values))}
