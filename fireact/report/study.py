"""A study on the terminal: the leaderboard, the planned contrasts with their verdicts, and what could not be read."""

from collections.abc import Sequence
from dataclasses import replace

from fireact.report.rounds import rounds_table
from fireact.report.text import Table
from fireact.study.contrasts import complaints_of, planned
from fireact.study.leaderboard import leaderboard
from fireact.study.sheet import Sheet, shown
from fireact.study.sheets import contrasts_sheet, leaderboard_sheet
from fireact.study.types import Cell, Leader, Planned, Study

TOP = 20
"""Conditions that are shown."""
MOST = 10
"""Cells, or things that could not be read, that are named each."""


def parts(study: Study, leaders: Sequence[Leader] | None = None, found: Sequence[Planned] | None = None) -> list[
        Table | str]:
    """Return what a terminal shows of a study; its leaderboard and contrasts where they are known already."""
    leaders = leaderboard(study) if leaders is None else leaders
    found = planned(study) if found is None else found
    rounds = rounds_table(study, leaders)
    said: list[Table | str] = [rounds] if rounds else []
    if leaders:
        said += _leaders(study, leaders)
    if found:
        several = len({one.dataset for one in found}) > 1
        said += [as_table(_brief(contrasts_sheet(study, found))),
                 *(f"{one.dataset}: {one.verdict}" if several else one.verdict for one in found[:TOP])]
    said += complaints_of(study)
    return [*said, *_unread(study)]


def as_table(sheet: Sheet) -> Table:
    """Return a table of values as text."""
    rows = tuple(tuple(shown(value, column.kind) for column, value in zip(sheet.columns, row, strict=True))
                 for row in sheet.rows)
    return Table(sheet.caption, tuple(column.head for column in sheet.columns), rows)


def _leaders(study: Study, leaders: Sequence[Leader]) -> list[Table | str]:
    sheet = leaderboard_sheet(study, leaders)
    said: list[Table | str] = [as_table(replace(sheet, rows=sheet.rows[:TOP]))]
    if len(leaders) > TOP:
        said.append(f"{TOP} of {len(leaders)} conditions; all: python -m fireact.tables {study.folder}")
    return said


def _brief(sheet: Sheet) -> Sheet:
    """Without what the sentences say."""
    kept = [place for place, column in enumerate(sheet.columns) if column.name != "test"]
    return replace(sheet, columns=tuple(sheet.columns[place] for place in kept),
                   rows=tuple(tuple(row[place] for place in kept) for row in sheet.rows))


def _unread(study: Study) -> list[str]:
    failed = [cell for cell in study.cells if cell.error]
    said = [f"{len(failed)} of {len(study.cells)} cells have no result, or not all:"] if failed else []
    said += [f"  {_cell(cell)}: {cell.error}" for cell in failed[:MOST]] + _more(len(failed))
    if study.skipped:
        said.append(f"{len(study.skipped)} records or files could not be read, and are left out:")
        said += [f"  {sentence}" for sentence in study.skipped[:MOST]] + _more(len(study.skipped))
    return said


def _cell(cell: Cell) -> str:
    choices = " ".join(f"{axis}={value}" for axis, value in cell.choices.items())
    return f"{cell.number} ({choices})" if choices else str(cell.folder)


def _more(count: int) -> list[str]:
    return [f"  and {count - MOST} more"] if count > MOST else []
