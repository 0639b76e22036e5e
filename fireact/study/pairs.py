"""Which contrasts a study is made for. The plan counts them before anything runs, the report judges them afterwards."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fireact.errors import suggest
from fireact.sections import STUDENT, PlannedContrast
from fireact.study.conditions import REPEATS
from fireact.study.types import GUISES

Axes = Mapping[str, Sequence[str]]
"""The axes along which cells are compared, each with its values."""
Guises = Mapping[str, Collection[str]]
"""The guises in which the student is evaluated, by dataset."""


@dataclass(frozen=True)
class Pair:
    """What is to be contrasted on a dataset: two values of an axis in one guise, or the two guises."""

    axis: str
    first: str
    second: str
    dataset: str
    guise: str
    """Empty where the guises are what is contrasted."""

    @property
    def names(self) -> tuple[str, str]:
        """What both sides are called."""
        if self.axis == STUDENT:
            return GUISES[self.first], GUISES[self.second]
        return self.first, self.second


def pairs(compared: Axes, guises: Guises, own: Sequence[Any] = ()) -> list[Pair]:
    """Return all planned contrasts, which are one family: those that are named, as far as they can be made, or of each
    axis every value against the first, and fine-tuned against prompted."""
    return [pair for dataset, played in guises.items() for pair in
            (_named(dataset, played, compared, own) if own else _usual(dataset, played, compared))]


def _usual(dataset: str, played: Collection[str], compared: Axes) -> Iterator[Pair]:
    for axis, values in compared.items():
        yield from (Pair(axis, values[0], value, dataset, _guise(played)) for value in values[1:])
    if len(played) > 1:
        yield Pair(STUDENT, "prompted", "finetuned", dataset, "")


def _named(dataset: str, played: Collection[str], compared: Axes, own: Sequence[Any]) -> Iterator[Pair]:
    found: dict[object, Pair] = {}
    for node in own:
        if not complaints([node], compared, played):
            one = PlannedContrast.model_validate(node)
            guise = "" if one.axis == STUDENT else one.guise or _guise(played)
            found.setdefault(_test(one, played), Pair(one.axis, one.first, one.second, dataset, guise))
    yield from found.values()


def _test(one: PlannedContrast, played: Collection[str]) -> object:
    """What two contrasts have in common that are the same test, though one be turned round or leave out the guise."""
    return one.axis, frozenset((one.first, one.second)), one.axis != STUDENT and (one.guise or _guise(played))


def _guise(played: Collection[str]) -> str:
    return "finetuned" if "finetuned" in played else "prompted"


def complaints(wanted: Sequence[Any], compared: Axes, played: Collection[str]) -> list[str]:
    """Say which of the contrasts in `report.contrasts` cannot be made, or are there twice, and why.

    `played` are the guises that are evaluated on any dataset.
    """
    said: list[str] = []
    known: set[object] = set()
    for node in wanted:
        try:
            one = PlannedContrast.model_validate(node)
        except ValidationError:
            said.append(f"report.contrasts has {node!r}, expected e.g. {{axis: strategy, first: react, "
                        "second: reflexion}")
            continue
        test = _test(one, played)
        if test in known:
            said.append(f"report.contrasts has {node!r} twice; name it once, for each counts in Holm's correction")
        known.add(test)
        said += _complaints(one.axis, one.first, one.second, one.guise or "", compared, played)
    return said


def _complaints(axis: str, first: str, second: str, guise: str, compared: Axes, played: Collection[str]
                ) -> Iterator[str]:
    values = {**compared, STUDENT: list(GUISES)}
    if axis in REPEATS:
        yield (f"report.contrasts names {axis!r}, along which a measurement is repeated, and not compared; "
               "name another axis")
    elif axis not in values:
        yield f"report.contrasts names {axis!r}, which is no axis that the sweep compares{suggest(axis, values)}"
    else:
        for value in (first, second):
            if value not in values[axis]:
                yield (f"report.contrasts names {axis}={value}, which the sweep does not have"
                       f"{suggest(value, values[axis])}")
    for wanted in {first, second} & set(GUISES) if axis == STUDENT else {guise} - {""}:
        if wanted not in played:
            yield (f"report.contrasts is about the {GUISES[wanted]} student, which is not evaluated; "
                   f"set evaluate.{wanted}=true")
