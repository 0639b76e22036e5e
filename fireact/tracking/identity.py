"""Which run of W&B a cell is: its id, its group, its name, and the configuration that is sent."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from fireact.keys import hidden
from fireact.plugins import is_node
from fireact.store import identity, key

if TYPE_CHECKING:
    from fireact.schema import Config

SWEEP = "sweep.json"
_START_ONLY = {"stage", "store", "concurrency", "journal", "gpus", "tape", "budget", "report", "wandb"}
"""What is only about this start, or how it is looked at. `worker` is not: W&B takes one writer a run, so each worker
that is swept over has a run of its own."""
_LONGEST = 128
"""Characters of a name that W&B takes."""
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SECRET = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)


@dataclass(frozen=True)
class Identity:
    """A cell's run of W&B."""

    id: str
    name: str
    group: str | None


def identify(run_dir: Path, config: Config) -> Identity:
    """Return the run that this cell continues: the same for every start and stage of one configuration in a store.

    A configuration that occurs in another sweep is another cell. Another store is another run too: two people who run
    the same recipe in one project would else write into one run.
    """
    sweep = _sweep(run_dir)
    material = {"cell": asked(config), "sweep": sweep and sweep.id, "store": _store_id(config.store / "wandb"),
                "project": [config.wandb.entity, config.wandb.project]}
    group = config.wandb.group or (sweep and sweep.group)
    name = (sweep and sweep.cell(run_dir.name)) or config.name
    return Identity(key(**material), name[:_LONGEST], group and group[:_LONGEST])


def asked(config: Config) -> dict[str, Any]:
    """What a configuration asks for, without what is only about one start, and options that cannot change a result."""
    found = {name: _counts(value) for name, value in config.model_dump(mode="json").items() if name not in _START_ONLY}
    found["inputs"].pop("run")
    return found


def _counts(value: Any) -> Any:
    """Without the options of plug-ins that cannot change a result."""
    if is_node(value):
        return identity(value)
    return {name: _counts(part) for name, part in value.items()} if isinstance(value, dict) else value


class _Cell(BaseModel):
    number: int
    choices: dict[str, Any]


class _Sweep(BaseModel):
    """What sweep.json says, as far as it is needed here."""

    id: str
    name: str
    cells: list[_Cell] = []

    @property
    def group(self) -> str:
        return f"{self.name}-{self.id}" if self.name else self.id

    def cell(self, number: str) -> str:
        """What the sweep chose for a cell, in words."""
        chosen = next((cell.choices for cell in self.cells if str(cell.number) == number), {})
        return " ".join(f"{axis}={value}" for axis, value in chosen.items())


def _sweep(run_dir: Path) -> _Sweep | None:
    """The sweep of a cell, or the rounds that it is one of; one that does not describe itself goes by its folder."""
    folder = run_dir.absolute().parent
    if not any((folder / name).exists() for name in ("multirun.yaml", SWEEP)):
        return None
    with suppress(OSError, ValueError):
        return _Sweep.model_validate_json((folder / SWEEP).read_bytes())
    return _Sweep(id=folder.name, name="")


def _store_id(folder: Path) -> str:
    """What tells this store from all others: random, made once."""
    path = folder / "store-id"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        made = path.with_name(f"{path.name}-{secrets.token_hex(4)}")
        made.write_text(secrets.token_hex(8), encoding="utf-8")
        # Whoever is first, of several cells that start together.
        with suppress(FileExistsError):
            os.link(made, path)
        made.unlink()
    return path.read_text(encoding="utf-8")


def without_secrets(value: Any) -> Any:
    """Return a configuration without passwords in addresses, and without what secret environment variables hold.

    The schema refuses both where it knows the option; a plug-in of the user's own may have others.
    """
    if isinstance(value, Mapping):
        return {name: without_secrets(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_secrets(part) for part in value]
    if not isinstance(value, str):
        return value
    for name, secret in os.environ.items():
        if _SECRET.search(name):
            value = hidden(value, secret)
    return _PASSWORD.sub("***", value)
