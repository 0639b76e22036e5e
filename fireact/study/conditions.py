"""The conditions of a study: series that differ in nothing but the seed, under labels that tell them apart.

The prompted student knows nothing of how the fine-tuned one is trained. So cells that differ in the training alone
share its episodes, by their key in the store, and these are one condition, not as many as there are cells.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from fireact.study.types import GUISES, SEED, Condition, Series, Study

REPEATS = (SEED, "worker")
"""The axes along which nothing is compared."""


def axes(study: Study) -> dict[str, Sequence[str]]:
    """The axes along which cells are compared, with their values: those with several, but for the seed's."""
    return {axis: values for axis, values in study.axes.items() if axis not in REPEATS and len(values) > 1}


def conditions(study: Study) -> list[Condition]:
    """Return all conditions of a study, with labels of which no two are alike."""
    return _labelled(study, _merged(study, grouped(study)))


def grouped(study: Study) -> list[Condition]:
    """Return a condition for each choice, dataset, guise and fault, still without labels and each on its own."""
    compared = axes(study)
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, part in enumerate(study.series):
        choices = study.cells[part.cell].choices
        found[(part.dataset, part.guise, part.fault, *(choices.get(axis, "") for axis in compared))].append(index)
    return [Condition("", {axis: value for axis, value in zip(compared, values, strict=True) if value},
                      dataset, guise, fault, _distinct(study, series))
            for (dataset, guise, fault, *values), series in found.items()]


def key(study: Study, series: Series) -> str | None:
    """The key in the store of the episodes of a series; None where the run did not note it."""
    label = "/".join(part for part in (series.dataset, series.guise, series.fault) if part)
    stage = study.cells[series.cell].manifest.get("stages", {}).get(f"evaluate/{label}", {})
    return stage.get("key")


def keys(study: Study, series: Sequence[int]) -> frozenset[str] | None:
    """The keys of some series together; None where one is not known."""
    found = [key(study, study.series[index]) for index in series]
    return None if None in found else frozenset(name for name in found if name)


def _distinct(study: Study, series: Sequence[int]) -> tuple[int, ...]:
    """Leave out what is the same episodes once more, e.g. where a seed changes the training alone."""
    known: dict[str, int] = {}
    return tuple(index for index in series
                 if known.setdefault(key(study, study.series[index]) or f"#{index}", index) == index)


def _merged(study: Study, parts: Iterable[Condition]) -> list[Condition]:
    """Make one of those that are the same episodes; it keeps the choices that all of them have."""
    found: dict[object, Condition] = {}
    for number, part in enumerate(parts):
        name = keys(study, part.series)
        known = found.setdefault(number if name is None else (part.dataset, part.guise, part.fault, name), part)
        if known is not part:
            common = {axis: value for axis, value in known.choices.items() if part.choices.get(axis) == value}
            found[part.dataset, part.guise, part.fault, name] = replace(known, choices=common)
    return list(found.values())


def _labelled(study: Study, parts: Sequence[Condition]) -> list[Condition]:
    several = {name: len({getattr(part, name) for part in parts}) > 1 for name in ("dataset", "guise")}
    words = _words(parts)
    labels = []
    for part in parts:
        said = [words[axis, value] for axis, value in part.choices.items() if (axis, value) in words]
        if several["guise"]:
            said.append(GUISES.get(part.guise, part.guise))
        if several["dataset"]:
            said.append(part.dataset)
        if part.fault:
            said.append(f"fault {part.fault}")
        labels.append(", ".join(said) or GUISES.get(part.guise, part.guise))
    again = Counter(labels)
    return [replace(part, label=label if again[label] == 1 else f"{label} ({_spelt(part)})")
            for part, label in zip(parts, labels, strict=True)]


def _words(parts: Sequence[Condition]) -> Mapping[tuple[str, str], str]:
    """How each choice is called: a value that is a name by itself, a number with the name of its axis.

    Choices that all conditions have are left out.
    """
    levels: dict[str, set[str]] = defaultdict(set)
    for part in parts:
        for axis, value in part.choices.items():
            levels[axis].add(value)
    times = Counter(value for values in levels.values() for value in values)
    ends = Counter(axis.rpartition(".")[2] for axis in levels)
    found = {}
    for axis, values in levels.items():
        missing = any(axis not in part.choices for part in parts)
        if len(values) > 1 or missing:
            end = axis.rpartition(".")[2]
            short = end if ends[end] == 1 else axis
            for value in values:
                found[axis, value] = value if times[value] == 1 and is_name(value) else f"{short}={value}"
    return found


def is_name(value: str) -> bool:
    """Whether a choice says something without the name of its axis."""
    return value[:1].isalpha() and value not in ("true", "false", "null")


def _spelt(part: Condition) -> str:
    return ", ".join([*(f"{axis}={value}" for axis, value in part.choices.items()), part.dataset, part.guise,
                      *([part.fault] if part.fault else [])])
