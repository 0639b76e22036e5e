"""The page of a comparison: the paired result, how the configurations differ, and the episodes side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fireact.report.browser import browser
from fireact.report.forest import forest
from fireact.report.html import Part, page
from fireact.report.leaderboard import leaderboards
from fireact.report.origin import missing
from fireact.report.panel import plain
from fireact.report.text import Table, minus
from fireact.report.why import failure_panels, kind_panels
from fireact.study.leaderboard import leaderboard
from fireact.study.types import Planned, Study

NAMES = ("A", "B")


def compare_page(study: Study, results: Sequence[Planned], sides: Mapping[str, tuple[int, int]],
                 differences: Sequence[tuple[str, str, str]]) -> str:
    """Return the page of a study of two cells, A and B, or of one where both sides are students of the same run.

    `results` are the paired ones, `sides` the two series of each dataset that the browser opens with, `differences`
    (key, value of A, value of B) the values of the configuration in which both differ.
    """
    named = _named(study)
    leaders = leaderboard(named)
    shown = browser(named, leaders, sides)
    table = Table("Values in which the configurations differ", ("", *NAMES), tuple(differences))
    parts = [
        Part("missing", "Not in these numbers", points=missing(named)),
        Part("verdicts", "What it says", prose=[_said(one, alone=len(results) == 1) for one in results]),
        Part("contrasts", "Paired results", panels=forest(results, planned=False)),
        Part("differences", "How the configurations differ",
             prose=[] if differences else ["Both were run with the same configuration."],
             panels=[plain("differing", table)] if differences else []),
        Part("leaderboard", "Both sides",
             panels=leaderboards(named, leaders, shown.links if shown else [""] * len(study.series))),
        Part("why", "Why episodes went wrong", panels=[*failure_panels(named, leaders), *kind_panels(leaders)])]
    folders = [cell.folder.resolve() for cell in study.cells]
    facts = [(name, f"{folder.parent.name}/{folder.name}") for name, folder in zip(NAMES, folders, strict=False)]
    title = f"{folders[0].name} and {folders[-1].name}" if len(folders) > 1 else f"two students of {folders[0].name}"
    return page("comparison", named, [part for part in parts if part], shown, title,
                [*facts, *((f"questions of {one.dataset}", f"{one.contrast.n:,}") for one in results)])


def _said(one: Planned, *, alone: bool) -> str:
    """The verdict, named by what it is of where there are several."""
    return minus(one.verdict) if alone else f"{one.label}: {minus(one.verdict)}"


def _named(study: Study) -> Study:
    """The same study with its cells called A and B."""
    if len(study.cells) != len(NAMES):
        return study
    cells = [replace(cell, choices={"run": name}) for cell, name in zip(study.cells, NAMES, strict=True)]
    return replace(study, axes={"run": NAMES}, cells=cells)
