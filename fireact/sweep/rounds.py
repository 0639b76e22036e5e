"""The rounds of self-improvement as cells, as far as they can be known ahead: each plays with the student before it."""

from collections.abc import Iterator, Sequence

from fireact.generate import Splits
from fireact.improve import TEST, final_config, need, round_config
from fireact.stages import Stages
from fireact.store import DONE
from fireact.study.types import ROUND
from fireact.sweep.cells import Cell, counted, open_cell


def expanded(cells: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
    """Return the cells, with those of rounds in place of one that goes in rounds, and what cannot be told of these.

    Raises ConfigError, DataError for one that cannot go in rounds.
    """
    found, said, splits = list[Cell](), dict[str, None](), Splits()
    for cell in cells:
        if cell.error is not None or not cell.config.improve.rounds:
            found.append(cell)
            continue
        need(cell.config)
        known = list(_rounds(cell, splits))
        found += known
        rounds = len(known) - 1
        if rounds <= cell.config.improve.rounds:
            said[_unknown(cell, rounds)] = None
    return found, list(said)


def _rounds(cell: Cell, splits: Splits) -> Iterator[Cell]:
    """The rounds whose player is trained, and the first round's student on the split of the results."""
    config, player = cell.config, None
    for number in range(config.improve.rounds + 1):
        one = round_config(config, number, player)
        yield open_cell(number, cell.overrides, {**cell.choices, ROUND: str(number)}, one, splits)
        stages = Stages(one)
        player = stages.adapter
        if not (stages.folder("train", stages.train) / DONE).exists():
            break
    yield open_cell(0, cell.overrides, {**cell.choices, ROUND: f"0 ({TEST})"}, final_config(config, 0, None), splits)


def _unknown(cell: Cell, known: int) -> str:
    config = cell.config
    left = config.improve.rounds + 1 - known
    return (f"Not counted: {counted(left, 'further round')} at most, whose player is not trained yet. Each plays "
            f"own.n={config.own.n} questions, at most {counted(config.own.attempts, 'time')} each, trains, and is "
            f"judged on improve.n={config.improve.n}; the best one then plays evaluate.n={config.evaluate.n}, as the "
            "first does.")
