"""The page of a run or a sweep: one HTML file that needs no network, however hostile the texts of its episodes are.

Everything is escaped by jinja2; episodes travel as JSON or base64 that holds no markup, and the page's script shows
them as text only. A content security policy allows that one script, by its hash, and nothing else.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fireact.report import making, origin
from fireact.report.browser import Browser, browser
from fireact.report.complement import complements
from fireact.report.figures import Figure, fronts, learning_figures, training_figure
from fireact.report.findings import Findings
from fireact.report.forest import forest, told_first
from fireact.report.heat import heat_maps
from fireact.report.leaderboard import leaderboards
from fireact.report.panel import Panel
from fireact.report.rounds import rounds_figures
from fireact.report.text import minus
from fireact.report.why import failure_panels, kind_panels, stop_panels
from fireact.study.types import Study

TEMPLATES = Path(__file__).parent / "templates"
MOST = 12
"""Sentences of a list that are shown at once."""


@dataclass
class Part:
    """A section of the page: sentences, facts, tables and drawings, of which it may lack any."""

    name: str
    title: str
    prose: Sequence[str] = ()
    points: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    panels: Sequence[Panel] = ()
    figures: Sequence[Figure] = field(default=())

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return any((self.prose, self.points, self.facts, self.panels, self.figures))


def render(study: Study, findings: Findings) -> str:
    """Return the page of a study."""
    shown = browser(study, findings.leaders)
    kind = "sweep" if origin.is_sweep(study) else "run"
    return page(kind, study, [part for part in _parts(study, findings, shown) if part], shown)


def _parts(study: Study, findings: Findings, shown: Browser | None) -> list[Part]:
    planned = told_first(findings.planned)
    links = shown.links if shown else [""] * len(study.series)
    said = [minus(one.verdict) for one in planned]
    few = said if len(said) <= 2 else []
    return [
        Part("missing", "Not in these numbers", points=origin.missing(study)),
        Part("verdicts", "What it says", prose=few, points=[] if few else said),
        Part("rounds", "Rounds", figures=rounds_figures(study, findings.leaders)),
        Part("leaderboard", "Leaderboard", panels=leaderboards(study, findings.leaders, links)),
        Part("contrasts", "Contrasts", panels=forest(findings.planned)),
        Part("heat", "Heat maps", panels=heat_maps(findings.grids)),
        Part("why", "Why episodes went wrong",
             panels=[*failure_panels(study, findings.leaders), *kind_panels(findings.leaders),
                     *stop_panels(study, findings.leaders)]),
        Part("cost", "Quality and cost", figures=fronts(findings.leaders), panels=origin.extras(study)),
        Part("data-size", "Learning curves", figures=learning_figures(findings.learning)),
        Part("complement", "What the conditions have in common",
             panels=complements(findings.complements, shown.link if shown else lambda dataset, id: "")),
        Part("making", "Training data", prose=making.warnings(study),
             panels=[*making.teachers(study), *making.funnels(study)]),
        Part("training", "Training", facts=making.facts(study), panels=making.trainings(study),
             figures=training_figure(findings.training)),
    ]


def page(kind: str, study: Study, parts: Sequence[Part], shown: Browser | None, title: str = "",
         facts: Sequence[tuple[str, str]] = ()) -> str:
    """Return a page of these parts, with the browser and where it all came from behind them.

    `title` and `facts` are the study's, where they are not given.
    """
    script = "\n".join(path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("script-*.js")))
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html.j2").render(
        kind=kind,
        title=title or origin.title(study),
        facts=facts or origin.facts(study),
        contents=[*((part.name, part.title) for part in parts), *([("episodes", "Episodes")] if shown else []),
                  ("again", "How it was run")],
        parts=parts,
        most=MOST,
        browser=shown,
        command=origin.command(study),
        provenance=origin.provenance(study),
        origins=[*origin.stages(study), *origin.cells(study)],
        packages=origin.packages(study),
        config=origin.configuration(study),
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(sha256(script.encode()).digest()).decode(),
    )
