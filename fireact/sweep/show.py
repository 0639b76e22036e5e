"""What of a sweep, or of a run, is only shown: its plan, and how far it is."""

from collections.abc import Sequence
from pathlib import Path

from fireact import forecast
from fireact.errors import ConfigError
from fireact.report.terminal import show
from fireact.sweep import plan, rounds, status
from fireact.sweep.cells import Cell

STAGES = {"plan", "status"}
"""The stages that do nothing."""


def only_shown(cells: Sequence[Cell], run_dir: Path | None = None) -> bool:
    """Print the plan or the status of the cells, if that is their stage, and return whether it is.

    The plan of a single run is written to its directory as well. Raises ConfigError, DataError.
    """
    stages = {cell.config.stage for cell in cells}
    if stages & STAGES and len(stages) > 1:
        raise ConfigError(f"stage={','.join(sorted(stages))} mixes what is only shown with what is done; give one at "
                          "a time")
    if not stages & STAGES:
        return False
    cells, unknown = rounds.expanded(cells)
    if stages == {"plan"}:
        outlook = plan.look_ahead(cells)
        if run_dir:
            forecast.save(outlook.plays, run_dir / "plan.json")
        show([*plan.parts(outlook), *unknown])
    elif stages == {"status"}:
        show([*status.parts(cells), *unknown])
    return stages <= STAGES
