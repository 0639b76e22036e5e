"""Many contrasts at once: p adjusted so that the chance of a single false finding among all stays at 5%."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from fireact.stats.paired import Contrast

Name = TypeVar("Name", bound=Hashable)


def holm(ps: Sequence[float], planned: int | None = None) -> list[float]:
    """Adjust p values by Holm's step-down method: monotone, at most 1, in their own order.

    `planned` is how many there were to be: of those that are missing nothing was found, and they count all the same, so
    that looking before a sweep has ended costs the same as after. Source: S. Holm, Scandinavian Journal of Statistics 6
    (1979), 65-70.

    Raises ValueError for a p outside 0..1 and for fewer planned than there are.
    """
    m = len(ps) if planned is None else planned
    if m < len(ps):
        raise ValueError(f"{len(ps)} p values of {m} planned contrasts; plan for all of them")
    for p in ps:
        if not 0 <= p <= 1:
            raise ValueError(f"a p value is between 0 and 1, got {p}")
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        highest = max(highest, min(1.0, (m - rank) * ps[place]))
        adjusted[place] = highest
    return adjusted


def adjust(contrasts: Mapping[Name, Contrast], planned: int | None = None) -> dict[Name, Contrast]:
    """Return a family of contrasts with their adjusted p, which their verdicts then follow; raises as `holm` does."""
    adjusted = holm([each.p for each in contrasts.values()], planned)
    m = len(contrasts) if planned is None else planned
    return {name: replace(each, adjusted=p, family=m)
            for (name, each), p in zip(contrasts.items(), adjusted, strict=True)}
