"""Tables for W&B: the results, and a sample of the episodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

MOST_ROWS = 200
"""Of the sample; all rows are in the artifact of the evaluation."""
_LONGEST = 1000
"""Characters of a cell."""
_SUMMARY = ("n", "em", "em_se", "f1", "f1_se", "finished", "rounds", "tool_calls", "prompt_tokens",
            "completion_tokens", "cost")


class Rows(NamedTuple):
    """A table."""

    columns: list[str]
    data: Sequence[Sequence[Any]]


def sample(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """Return the first rows of each guise, dataset and fault, as many of each: at most `MOST_ROWS` in all."""
    cells: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row.get("dataset"), row.get("guise"), row.get("fault")), []).append(row)
    each = MOST_ROWS // max(len(cells), 1)
    columns = list(rows[0]) if rows else []
    return Rows(columns, [[_short(row.get(name)) for name in columns] for cell in cells.values()
                          for row in cell[:each]])


def _short(value: Any) -> Any:
    return value[:_LONGEST] + "…" if isinstance(value, str) and len(value) > _LONGEST else value


def result_table(metrics: Mapping[str, Any]) -> Rows:
    """Return the aggregated results, one row a dataset, guise and fault of the tool."""
    found = [[dataset, guise, fault, *(summary.get(name) for name in _SUMMARY)]
             for dataset, evaluation in metrics.get("evaluate", {}).items()
             for guise, fault, summary in _summaries(evaluation)]
    return Rows(["dataset", "guise", "fault", *_SUMMARY], found)


def _summaries(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    by_fault = {"": evaluation, **evaluation.get("faults", {})}
    for fault, guises in by_fault.items():
        yield from ((guise, fault, guises[guise]) for guise in ("prompted", "finetuned") if guise in guises)
