"""Hydra's sweeper of a grid, which looks at all cells before any is run, and says at the end which failed.

It takes what Hydra's own takes, and hands the cells to whichever launcher is chosen. Hydra finds it by its folder.
"""

import itertools
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException


class Grid(BasicSweeper):
    """All combinations of the values that are given."""

    def sweep(self, arguments: list[str]) -> Any:
        """Show, or run, the cells. Raises ConfigError; ChildFailed where cells failed, once all others are done."""
        from fireact.process import ChildFailed
        from fireact.sweep import folder, jobs, show

        cells = self._cells(arguments)
        folder.need_contrasts(cells)
        if show.only_shown(cells):
            return []
        place = Path(self._master.hydra.sweep.dir)
        folder.make(place)
        OmegaConf.save(self._master, place / "multirun.yaml")
        sweep = folder.begin(place, cells)
        assert self.launcher is not None
        returns: list[JobReturn] = []
        try:
            for batch in self.split_overrides_to_chunks([list(cell.overrides) for cell in cells], self.max_batch_size):
                returns += self.launcher.launch(batch, initial_job_idx=len(returns))
        except KeyboardInterrupt:
            jobs.say(place)
            raise
        failures = {number: failure for number, result in enumerate(returns) if (failure := _failure(result))}
        folder.end(place, sweep, {number: failure.sentence for number, failure in failures.items()},
                   evaluated=cells[0].config.stage in ("pipeline", "evaluate", "report", "improve"))
        if failures:
            raise ChildFailed(next(iter(failures.values())).code, f"{len(failures)} of {len(cells)} cells failed")
        return [returns]

    @property
    def _master(self) -> DictConfig:
        assert self.config is not None
        return self.config

    def _cells(self, arguments: list[str]) -> list[Any]:
        """Compose and check all cells, on all cores; those that are the same are one. Raises ConfigError."""
        from fireact.forks import in_forks
        from fireact.generate import Splits
        from fireact.sweep.cells import axes, distinct, open_cell, split

        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        parsed = parser.parse_overrides([*self._parse_config(), *arguments])
        overrides = list(itertools.chain(*self.split_arguments(parsed, None)))
        varied, splits = axes(overrides), Splits()

        def look(number: int) -> Any:
            choices = {name: value for name, value in map(split, overrides[number]) if name in varied}
            return open_cell(number, overrides[number], choices, self._composed(overrides[number], choices), splits)

        return distinct(in_forks(look, len(overrides)))

    def _composed(self, overrides: Sequence[str], choices: dict[str, str]) -> Any:
        from fireact.errors import ConfigError
        from fireact.explain import explain
        from fireact.schema import typed

        assert self.hydra_context is not None
        try:
            config = self.hydra_context.config_loader.load_sweep_config(self._master, list(overrides))
            OmegaConf.set_struct(config, False)
            del config["hydra"]
            return typed(config)
        except (HydraException, OmegaConfBaseException) as error:
            sentence = explain(f"{error}\n{error.__cause__ or ''}")
        except ConfigError as error:
            sentence = str(error)
        which = " ".join(f"{name}={value}" for name, value in choices.items())
        raise ConfigError(f"{sentence} (of the sweep's cell {which})" if which else sentence)


def _failure(result: JobReturn) -> Any:
    """How a cell failed, None for one that is done; what nobody has told is told."""
    from fireact.errors import first_line
    from fireact.process import ChildFailed

    error = result._return_value
    if not isinstance(error, Exception):
        return None
    if isinstance(error, ChildFailed):
        return error
    traceback.print_exception(error)
    return ChildFailed(1, f"{type(error).__name__}: {first_line(error)}")
