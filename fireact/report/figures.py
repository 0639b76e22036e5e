"""The page's drawings: quality against cost, learning curves, training curves, each with its numbers as a panel."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fireact.report.leaderboard import number, ranked
from fireact.report.panel import OPEN, Datum, Head, Mark, Panel, csv_link
from fireact.report.plot import LINES, SHAPES, Line, Scale, draw
from fireact.report.text import percent
from fireact.study.types import Leader, LearningCurve, TrainingCurve

NUMBERED = 8
"""Conditions with their number in the drawing of quality and cost, besides those that no other beats."""
CURVE_ROWS = 60
"""Rows of the table behind a training curve."""
CURVE_POINTS = 400
"""Steps of a training in its drawing and in the CSV; of more, some are left out at equal distances."""
CSV_ROWS = 20_000
"""Rows of the CSV of many trainings, of which each then has fewer."""


@dataclass(frozen=True)
class Figure:
    """A drawing with its legend and its numbers."""

    drawing: Markup
    caption: str
    legend: tuple[tuple[int, str, str], ...]
    """(number of the colour from 1, shape, name)."""
    panel: Panel
    notes: tuple[str, ...] = ()


def fronts(leaders: Sequence[Leader]) -> list[Figure]:
    """EM against what an episode takes: dollars where they are known of all, else tokens; one figure a dataset."""
    figures = []
    for count, ((dataset, faulty), board) in enumerate(ranked(leaders).items(), 1):
        dollars = all(leader.effort.get("cost") for leader in board)
        takes = [_takes(leader, dollars=dollars) for leader in board]
        if not faulty and len(board) > 1 and all(takes):
            figures.append(_front(f"front-{count}", dataset, board, [cost or 0.0 for cost in takes], dollars=dollars))
    return figures


def _takes(leader: Leader, *, dollars: bool) -> float | None:
    if dollars:
        return leader.effort.get("cost")
    return (leader.effort.get("prompt_tokens") or 0.0) + (leader.effort.get("completion_tokens") or 0.0)


def best_for_cost(points: Sequence[tuple[float, float]]) -> list[int]:
    """The indices of the (cost, quality) points that no other beats on both, cheapest first (a Pareto front)."""
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1])):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def _front(name: str, dataset: str, board: Sequence[Leader], takes: Sequence[float], *, dollars: bool) -> Figure:
    unit = "US$ an episode" if dollars else "tokens an episode"
    ems = [leader.em.value for leader in board]
    front = best_for_cost(list(zip(takes, ems, strict=True)))
    lows = [leader.em.value if leader.em.low is None else leader.em.low for leader in board]
    highs = [leader.em.value if leader.em.high is None else leader.em.high for leader in board]
    numbered = [(take, em, rank) for rank, (take, em) in enumerate(zip(takes, ems, strict=True), 1)
                if rank <= NUMBERED or rank - 1 in front]
    steps_x = [takes[index] for index in front for _ in (0, 1)][1:]
    steps_y = [ems[index] for index in front for _ in (0, 1)][:-1]
    lines = [Line(steps_x, steps_y, style="--", colour=0),
             Line(takes[:OPEN], ems[:OPEN], lows[:OPEN], highs[:OPEN], style="", colour=1, shape="o"),
             Line(takes[OPEN:], ems[OPEN:], style="", colour=-1, shape="o")]
    caption = f"Quality against cost, {dataset}"
    best = f". The best {NUMBERED} and these are numbered" if len(numbered) < len(board) else ""
    description = (f"EM in percent over {unit}, {len(board)} conditions by their number on the leaderboard; the dashed "
                   "line joins those that no other beats on both: " +
                   ", ".join(f"number {index + 1}" for index in front) + best + ".")
    rows = tuple((Mark(f"{rank}. {leader.condition.label}", leader.condition.label.casefold(), tone="wrap"),
                  number(cost, ",.4f" if dollars else ",.0f"), Mark(percent(leader.em.value, leader.em.se),
                                                                    leader.em.value),
                  Mark("yes" if rank - 1 in front else "no"))
                 for rank, (leader, cost) in enumerate(zip(board, takes, strict=True), 1))
    data = [[rank, leader.condition.label, cost, leader.em.value, leader.em.low, leader.em.high,
             "yes" if rank - 1 in front else "no"]
            for rank, (leader, cost) in enumerate(zip(board, takes, strict=True), 1)]
    panel = Panel(name, "Numbers of the drawing",
                  (Head("Condition"), Head(unit), Head("EM %"), Head("on the front")), rows,
                  csv_link(["rank", "condition", unit, "em", "em_low", "em_high", "on_the_front"], data), sortable=True)
    scale = Scale(unit + (", logarithmic" if _wide(takes) else ""), "EM, %", log=_wide(takes), percent=True)
    return Figure(draw(f"{name}-drawing", caption, description, lines, scale, numbered), f"{caption}. {description}",
                  (), panel)


def _wide(values: Sequence[float]) -> bool:
    return max(values) > 8 * min(values) > 0


def learning_figures(curves: Sequence[LearningCurve]) -> list[Figure]:
    """EM over the number of trajectories, one figure a dataset."""
    figures = []
    for count, dataset in enumerate(dict.fromkeys(curve.dataset for curve in curves), 1):
        mine = [curve for curve in curves if curve.dataset == dataset and len(curve.sizes) > 1]
        if mine:
            figures.append(_learning(f"learning-{count}", dataset, mine))
    return figures


def best_curves(curves: Sequence[LearningCurve]) -> list[LearningCurve]:
    """As many as can be told apart, those of the highest EM at their largest size, in the order they came in."""
    best = sorted(range(len(curves)), key=lambda index: -curves[index].points[-1].value)[:LINES]
    return [curves[index] for index in sorted(best)]


def _learning(name: str, dataset: str, curves: Sequence[LearningCurve]) -> Figure:
    drawn = best_curves(curves)
    lines = [Line(curve.sizes, [point.value for point in curve.points],
                  [point.value if point.low is None else point.low for point in curve.points],
                  [point.value if point.high is None else point.high for point in curve.points],
                  colour=index, shape=SHAPES[index]) for index, curve in enumerate(drawn)]
    sizes = sorted({size for curve in curves for size in curve.sizes})
    caption = f"Learning curves, {dataset}"
    description = f"EM in percent over {sizes[0]:,} to {sizes[-1]:,} trajectories, with 95% intervals."
    rows, data = [], list[list[Datum]]()
    for curve in curves:
        rows += [(Mark(curve.label, tone="wrap"), Mark(f"{size:,}", size), Mark(percent(point.value, point.se)),
                  Mark(_ends(point.low, point.high))) for size, point in zip(curve.sizes, curve.points, strict=True)]
        data += [[curve.label, size, point.n, point.value, point.se, point.low, point.high]
                 for size, point in zip(curve.sizes, curve.points, strict=True)]
    panel = Panel(name, "Numbers of the drawing", (Head("Curve"), Head("trajectories"), Head("EM %"),
                                                   Head("95% interval")), tuple(rows),
                  csv_link(["curve", "trajectories", "n", "em", "em_se", "em_low", "em_high"], data))
    log = min(sizes) > 0
    scale = Scale("trajectories trained on" + (", logarithmic" if log else ""), "EM, %", log=log, whole=True,
                  percent=True, ticks=sizes if len(sizes) <= 8 else ())
    notes = [f"{curve.label}: {words}" for curve in curves for _, words in curve.needed]
    return Figure(draw(f"{name}-drawing", caption, description, lines, scale), f"{caption}. {description}",
                  _legend([curve.label for curve in drawn]), panel,
                  (*_left_out(curves, "best", " by final EM"), *notes))


def training_figure(curves: Sequence[TrainingCurve]) -> list[Figure]:
    """The losses over the steps of each training, none where nothing was logged."""
    known = [curve for curve in curves if any(loss is not None for loss in curve.loss) or curve.validation]
    if not known:
        return []
    lines = []
    for index, curve in enumerate(known[:LINES]):
        points = [(step, loss) for step, loss in _thinned(curve) if loss is not None]
        lines.append(Line([step for step, _ in points], [loss for _, loss in points], colour=index))
        lines.append(Line([step for step, _ in curve.validation], [loss for _, loss in curve.validation], style="--",
                          colour=index, shape=SHAPES[index]))
    description = ("Loss per trained token in nats over the steps of training: of each batch as a line, of held-out "
                   "trajectories as marks.")
    drawing = draw("losses-drawing", "Training", description, lines, Scale("step", "loss, nats", whole=True))
    points = max(10, min(CURVE_POINTS, CSV_ROWS // len(known)))
    data: list[list[Datum]] = [row for curve in known for row in _losses(curve, points)]
    per_curve = max(4, CURVE_ROWS // len(known))
    rows = tuple(tuple(Mark("-" if value is None else value if isinstance(value, str) else
                            format(value, ".4f" if place > 1 else ","), tone="" if place else "wrap")
                       for place, value in enumerate(row)) for curve in known for row in _losses(curve, per_curve))
    panel = Panel("losses", "Numbers of the drawing", (Head("Training"), Head("step"), Head("loss"),
                                                       Head("validation loss")), rows,
                  csv_link(["training", "step", "loss", "validation_loss"], data))
    return [Figure(drawing, description, _legend([curve.label for curve in known]), panel, _left_out(known))]


def _thinned(curve: TrainingCurve) -> list[tuple[int, float | None]]:
    points = list(zip(curve.steps, curve.loss, strict=True))
    every = -(-len(points) // CURVE_POINTS) or 1
    return [point for number, point in enumerate(points) if number % every == 0 or number == len(points) - 1]


def _losses(curve: TrainingCurve, most: int) -> list[list[Datum]]:
    """Rows of (label, step, loss, validation loss), `most` of them and all with a validation loss."""
    validation = dict(curve.validation)
    every = -(-len(curve.steps) // most) or 1
    losses = dict(zip(curve.steps, curve.loss, strict=True))
    kept = {step for number, step in enumerate(curve.steps, 1) if number % every == 0 or number == len(curve.steps)}
    return [[curve.label, step, losses.get(step), validation.get(step)] for step in sorted(kept | set(validation))]


def _legend(labels: Sequence[str]) -> tuple[tuple[int, str, str], ...]:
    glyphs = ("●", "■", "▲", "◆", "▼", "✚", "✖", "★")
    return tuple((index + 1, glyphs[index], label) for index, label in enumerate(labels[:LINES]))


def _left_out(curves: Sequence[object], which: str = "first", by: str = "") -> tuple[str, ...]:
    if len(curves) <= LINES:
        return ()
    return (f"The {which} {LINES} of {len(curves)}{by} are drawn; all are among the numbers.",)


def _ends(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
