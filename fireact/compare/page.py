"""A comparison of two runs as a page: one HTML file without a script, that needs no network.

Everything is escaped by jinja2, and a content security policy allows the page nothing but its own style.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fireact.compare import NAMES, Comparison, Result
from fireact.compare.episodes import Played, steps
from fireact.compare.text import answers, named
from fireact.study.outcomes import estimated, table
from fireact.study.types import Asked, Study
from fireact.tables.sheet import shown

FLIPS = 100
"""Flips of either kind whose episodes are on the page."""


@dataclass(frozen=True)
class _Flip:
    """A question that one side alone got right, with both episodes."""

    asked: Asked
    answers: tuple[str, str]
    played: tuple[Played, Played]


def compare_page(comparison: Comparison) -> str:
    """Return the page of a comparison."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    study = comparison.study
    return environment.get_template("page.html.j2").render(
        names=NAMES, sides=comparison.sides, same_run=len(study.cells) == 1, differences=comparison.differences,
        skipped=study.skipped, most=FLIPS, results=[_result(study, result) for result in comparison.results])


def _result(study: Study, result: Result) -> dict[str, object]:
    scores = [tuple(shown(estimated(table(study, [index], name)), "estimate", spread)
                    for name in ("em", "f1") for spread in ("se", "interval")) for index in result.series]
    return {"dataset": result.dataset, "named": named(result), "scores": scores, "n": result.contrast.n,
            "verdict": result.verdict, "test": result.contrast.test, "right": result.right, "wrong": result.wrong,
            "better": len(result.better), "worse": len(result.worse),
            "flips": [("✗✓", "A wrong, B right", list(_flips(study, result, result.better))),
                      ("✓✗", "A right, B wrong", list(_flips(study, result, result.worse)))]}


def _flips(study: Study, result: Result, questions: Sequence[int]) -> Iterable[_Flip]:
    first, second = (steps(study, study.series[index], questions[:FLIPS]) for index in result.series)
    for question in questions[:FLIPS]:
        yield _Flip(study.questions[result.dataset][question], answers(study, result, question),
                    (first[question], second[question]))
