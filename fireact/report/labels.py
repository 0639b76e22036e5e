"""Numbers beside the points of a drawing: where they would overlap, points that lie close together share one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SIZE = 10
"""Of the letters, in points (1/72 inch)."""
_LETTER, _LINE = 0.66 * SIZE, 1.35 * SIZE
"""How wide a letter and how high a line is at most in the fonts of a page."""
_BESIDE, _ABOVE = 6.0, 6.0
"""How far from its point a label begins, and how far its middle is above it, clear of a line through the point."""


@dataclass(frozen=True)
class Label:
    """A text beside a point, in points from the drawing's lower left corner."""

    x: float
    y: float
    numbers: tuple[int, ...]
    left: bool = False
    """Whether it stands left of the point."""

    @property
    def text(self) -> str:
        """The numbers, three or more in a row as a range with an en dash."""
        return ", ".join(_range(run) for run in _runs(self.numbers))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, lower, right and upper end of the text."""
        width = _LETTER * len(self.text)
        start = self.x - _BESIDE - width if self.left else self.x + _BESIDE
        middle = self.y + _ABOVE
        return start, middle - _LINE / 2, start + width, middle + _LINE / 2


def labels(points: Iterable[tuple[float, float, int]], middle: float) -> list[Label]:
    """Label (x, y, number), right of `middle` to the left; no two overlap, and a shared one is at its lowest number."""
    found: list[Label] = []
    for x, y, number in sorted(points, key=lambda point: point[2]):
        label = Label(x, y, (number,), x > middle)
        while other := next((each for each in found if _overlap(each.box, label.box)), None):
            found.remove(other)
            first = min(other, label, key=lambda each: each.numbers)
            label = Label(first.x, first.y, tuple(sorted(other.numbers + label.numbers)), first.left)
        found.append(label)
    return sorted(found, key=lambda label: label.numbers)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _range(run: Sequence[int]) -> str:
    return f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run))  # noqa: RUF001
