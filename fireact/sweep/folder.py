"""What a sweep leaves in its folder besides its cells: sweep.json, and the page of all of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fireact import report
from fireact.command import command
from fireact.errors import ConfigError
from fireact.jsonl import write_atomic
from fireact.report.study import parts
from fireact.report.terminal import show
from fireact.study.pairs import complaints
from fireact.study.read import read
from fireact.sweep.cells import Cell, axes, ident
from fireact.sweep.power import compared, played

SWEEP = "sweep.json"
SHOWN = 10
"""Failed cells that are named at the end; all are in sweep.json."""


def need_contrasts(cells: Sequence[Cell]) -> None:
    """Refuse planned contrasts that these cells cannot make, before anything runs. Raises ConfigError.

    Where no cell can be run, that is to be told, and nothing is known of the contrasts.
    """
    guises = set().union(*played(cells).values())
    if not guises:
        return
    wanted = [each.model_dump(exclude_none=True) for each in cells[0].config.report.contrasts]
    for sentence in complaints(wanted, compared(cells), guises):
        raise ConfigError(sentence)


def make(place: Path) -> None:
    """Make the sweep's folder. Raises ConfigError."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"hydra.sweep.dir={place} cannot be made ({error.strerror}); choose another folder") from None


def begin(place: Path, cells: Sequence[Cell]) -> dict[str, Any]:
    """Write what the sweep is made of, and return it. Raises OSError."""
    varied = axes(cell.overrides for cell in cells)
    sweep = {"id": ident(cells), "name": cells[0].config.name, "command": command(), "axes": varied,
             "cells": [{"number": number, "choices": dict(cell.choices), "overrides": list(cell.overrides),
                        "error": None} for number, cell in enumerate(cells)]}
    write_atomic(place / SWEEP, json.dumps(sweep, indent=1))
    return sweep


def end(place: Path, sweep: dict[str, Any], failed: Mapping[int, str], evaluated: bool) -> None:
    """Say what came out, and which cells failed and why, and note it. Raises OSError, DataError."""
    for cell in sweep["cells"]:
        cell["error"] = failed.get(cell["number"])
    write_atomic(place / SWEEP, json.dumps(sweep, indent=1))
    if evaluated and len(failed) < len(sweep["cells"]):
        study = read(place)
        show(parts(study))
        print(f"report: {report.write_html(place)}", flush=True)
    whole = len(sweep["cells"])
    print(f"\nsweep: {whole - len(failed)} of {whole} cells done, in {place}", flush=True)
    for number, why in list(failed.items())[:SHOWN]:
        print(f"  [{number}] {label(sweep['cells'][number])}: {why}", flush=True)
    if len(failed) > SHOWN:
        print(f"  and {len(failed) - SHOWN} more, see {place / SWEEP}", flush=True)


def label(cell: Mapping[str, Any]) -> str:
    """What tells a cell from the others."""
    return " ".join(f"{axis}={value}" for axis, value in cell["choices"].items()) or "the only cell"
