"""Drawings as SVG that is part of the page: in the page's own colours, with a title and a description.

A drawing holds numbers and fixed words only. Names are a user's: they stand in the page's legend, as text.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from fireact.report.labels import SIZE, labels

_INK = "#010100"
_COLOURS = tuple(f"#0101{number:02x}" for number in range(1, 9))
"""Colours that stand for those of the page, which knows light from dark."""
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = len(_COLOURS)
"""How many lines of a drawing can be told apart."""


@dataclass(frozen=True)
class Line:
    """A line of a drawing, or points where it has no style."""

    xs: Sequence[float]
    ys: Sequence[float]
    lows: Sequence[float] | None = None
    highs: Sequence[float] | None = None
    style: str = "-"
    colour: int = 0
    """From 0 to LINES - 1; -1 is the page's ink, pale."""
    shape: str = ""


@dataclass(frozen=True)
class Scale:
    """What the axes are called and how they go."""

    x: str
    y: str
    log: bool = False
    whole: bool = False
    """Whether the x axis has whole numbers only."""
    percent: bool = False
    ticks: Sequence[float] = ()


def draw(name: str, title: str, description: str, lines: Sequence[Line], scale: Scale,
         numbered: Sequence[tuple[float, float, int]] = ()) -> Markup:
    """Return a drawing; `name` makes its ids its own, `title` and `description` are what a screen reader says.

    `numbered` are points (x, y, number) that get their number beside them.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({
            "svg.fonttype": "none", "svg.hashsalt": "fireact", "font.size": 11, "text.color": _INK,
            "axes.edgecolor": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
            "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}):
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        axes = figure.subplots()
        factor = 100 if scale.percent else 1
        for line in lines:
            _add(axes, line, factor)
        _set(axes, scale)
        if numbered:
            _number(figure, axes, [(x, factor * y, number) for x, y, number in numbered])
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return _inline(drawn.getvalue(), name, title, description)


def _add(axes, line: Line, factor: float) -> None:
    colour = _INK if line.colour < 0 else _COLOURS[line.colour]
    ys = [factor * value for value in line.ys]
    if line.lows is not None and line.highs is not None:
        ends = [[max(0.0, y - factor * low) for y, low in zip(ys, line.lows, strict=True)],
                [max(0.0, factor * high - y) for y, high in zip(ys, line.highs, strict=True)]]
        axes.errorbar(line.xs, ys, ends, fmt="none", ecolor=colour, elinewidth=1.2, alpha=0.55)
    axes.plot(line.xs, ys, line.shape + line.style, color=colour, linewidth=1.8, markersize=6,
              alpha=0.35 if line.colour < 0 else 1)


def _number(figure, axes, points: Sequence[tuple[float, float, int]]) -> None:
    """Write numbers beside points, once it is known where on the drawing these lie."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # The numbers must not move what they stand beside.
    scale = 72 / figure.dpi
    placed = axes.transData.transform([(x, y) for x, y, _ in points]) * scale
    middle = axes.bbox.x0 * scale + axes.bbox.width * scale / 2
    for label in labels([(x, y, number) for (x, y), (_, _, number) in zip(placed, points, strict=True)], middle):
        start, lower, end, upper = label.box
        axes.annotate(label.text, (end if label.left else start, (lower + upper) / 2), xycoords="figure points",
                      fontsize=SIZE, ha="right" if label.left else "left", va="center", annotation_clip=False)


def _set(axes, scale: Scale) -> None:
    from matplotlib.ticker import LogLocator

    axes.set_xlabel(scale.x)
    axes.set_ylabel(scale.y)
    if scale.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
        axes.minorticks_off()
    if scale.ticks:
        axes.set_xticks(list(scale.ticks), [f"{tick:,.0f}" for tick in scale.ticks])
    elif scale.whole:
        axes.locator_params(axis="x", integer=True)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.15, color=_INK)


def _inline(svg: str, name: str, title: str, description: str) -> Markup:
    """Make a drawing part of a page: no prologue, no style sheet that would reach the page, ids of its own."""
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg[svg.index("<svg"):], flags=re.DOTALL)
    svg = svg.replace(_INK, "currentColor")
    for number, colour in enumerate(_COLOURS, 1):
        svg = svg.replace(colour, f"var(--line-{number})")
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    head = f'<svg role="img" aria-labelledby="{name}-title {name}-description"'
    told = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-description">{escape(description)}</desc>'
    return Markup(re.sub(r"<svg\b([^>]*>)", lambda found: head + found[1] + told, svg, count=1))
