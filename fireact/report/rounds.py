"""The rounds of self-improvement: what the student of each was trained on, and how good it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from fireact.report.figures import Figure
from fireact.report.panel import plain
from fireact.report.plot import SHAPES, Line, Scale, draw
from fireact.report.text import Table, percent
from fireact.study.types import OWN, ROUND, Cell, Leader, Study

_DESCRIPTION = "EM in percent over the rounds, with 95% intervals."


def rounds_table(study: Study, leaders: Sequence[Leader]) -> Table | None:
    """A row a round; None for a study that has none."""
    ems = _ems(leaders)
    datasets = list(dict.fromkeys(dataset for _, dataset in ems))
    rows = tuple((cell.choices[ROUND], *_learnt(cell), *(_told(ems.get((cell.choices[ROUND], dataset)))
                                                         for dataset in datasets))
                 for cell in study.cells if ROUND in cell.choices and cell.metrics.get("curate"))
    head = ("Round", "teacher's trained on", "own played", "own kept", "own trained on",
            *(f"{dataset} EM %, 95% interval" for dataset in datasets))
    return Table("Rounds", head, rows) if ems and rows else None


def rounds_figures(study: Study, leaders: Sequence[Leader]) -> list[Figure]:
    """EM by round, with what each student was trained on; none where there is a single round."""
    ems, table = _ems(leaders), rounds_table(study, leaders)
    numbers = [int(name) for name in study.axes.get(ROUND, ()) if name.isdecimal()]
    if table is None or len(table.rows) < 2:
        return []
    lines, names = [], list(dict.fromkeys(dataset for _, dataset in ems))[:len(SHAPES)]
    for colour, dataset in enumerate(names):
        found = [(number, ems[str(number), dataset].em) for number in numbers if (str(number), dataset) in ems]
        lines.append(Line([number for number, _ in found], [em.value for _, em in found],
                          [em.value if em.low is None else em.low for _, em in found],
                          [em.value if em.high is None else em.high for _, em in found],
                          colour=colour, shape=SHAPES[colour]))
    drawing = draw("rounds-drawing", "Rounds", _DESCRIPTION, lines,
                   Scale("round", "EM, %", whole=True, percent=True, ticks=numbers))
    legend = tuple((colour + 1, "●■▲◆▼✚✖★"[colour], dataset) for colour, dataset in enumerate(names))
    return [Figure(drawing, f"EM by round. {_DESCRIPTION}", legend, plain("rounds", table))]


def _ems(leaders: Sequence[Leader]) -> Mapping[tuple[str, str], Leader]:
    """The fine-tuned students by round and dataset."""
    return {(leader.condition.choices[ROUND], leader.condition.dataset): leader
            for leader in sorted(leaders, key=lambda leader: leader.condition.choices.get(ROUND, ""))
            if ROUND in leader.condition.choices and leader.condition.guise == "finetuned"
            and not leader.condition.fault}


def _learnt(cell: Cell) -> tuple[str, ...]:
    """How many trajectories of the teacher were trained on, and what became of the student's own episodes."""
    return tuple(f"{count:,}" for count in learnt(cell.metrics["curate"]))


def learnt(funnel: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Of the teacher's trajectories those trained on; of the student's own those played, kept, and trained on."""
    own = [each for label, each in funnel.items() if is_own(label)]
    taught = sum(each["train"] for label, each in funnel.items() if not is_own(label))
    played, kept, trained = (sum(each[name] for each in own) for name in ("played", "kept", "train"))
    return taught, played, kept, trained


def is_own(label: str) -> bool:
    """Whether a cell of a funnel is of what the student played itself."""
    return label.rpartition("/")[2] == OWN


def _told(leader: Leader | None) -> str:
    if leader is None:
        return "-"
    low, high = leader.em.low, leader.em.high
    ends = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return percent(leader.em.value) + ends
