"""How many trajectories of each method on each dataset are trained on."""

from collections.abc import Mapping, Sized

from fireact.errors import DataError
from fireact.preferences import Cell


def counts_of(kept: Mapping[Cell, Sized], shares: Mapping[Cell, float], n: int | None) -> dict[Cell, int]:
    """How many of each cell to train on: n in proportion to the shares, or as many as their proportion allows.

    Raises DataError where there are too few.
    """
    most = min(len(kept[cell]) / share for cell, share in shares.items())
    counts = {cell: round(most * share) for cell, share in shares.items()} if n is None else dealt(n, shares)
    for cell, count in counts.items():
        if count > len(kept[cell]):
            raise DataError(f"{n} trajectories in all want {count} of {cell[1]} on {cell[0]}, and {len(kept[cell])} "
                            "are left after the filters and what is held out for validation; raise generate.n, loosen "
                            "curate.filters, or lower curate.validation, curate.n, curate.counts or strategy.counts")
    if not any(counts.values()):
        raise DataError("no trajectory was kept, so there is nothing to train on; look at the funnel of stage=curate, "
                        "raise generate.n or loosen curate.filters")
    return counts


def counts_beside(kept: Mapping[Cell, Sized], ratios: Mapping[Cell, float], others: int) -> dict[Cell, int]:
    """How many to train on of what is in a ratio to all `others`. Raises DataError where there is none of it."""
    counts = {cell: min(len(kept[cell]), round(ratio * others)) for cell, ratio in ratios.items()}
    if ratios and not any(map(len, (kept[cell] for cell in ratios))):
        raise DataError("none of the student's own episodes passed the filters, so there is nothing new to learn; look "
                        "at the funnel, raise own.n or own.attempts, or loosen curate.filters")
    if ratios and not any(counts.values()):
        raise DataError(f"own.ratio={max(ratios.values()):g} of the teacher's {others} trajectories is not one of the "
                        "student's own; raise own.ratio")
    return counts


def dealt(n: int, shares: Mapping[Cell, float]) -> dict[Cell, int]:
    """Deal n in proportion to the shares, so that the counts add up to n."""
    counts: dict[Cell, int] = {}
    left = sum(shares.values())
    for cell, share in shares.items():
        counts[cell] = round((n - sum(counts.values())) * share / left)
        left -= share
    return counts
