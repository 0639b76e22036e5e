"""The GPUs of this machine, shared out among all stages on it, whichever sweep and whichever launcher started them.

    python main.py -m hydra/launcher=gpus gpus=[0,1] seed=0,1,2,3

A stage that computes on GPUs locks one file for each, in a folder of this machine, and is shown those alone. The
operating system frees the lock once the stage and the run that waits for it have ended, however they ended.
"""

import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from fireact.errors import ConfigError
from fireact.locks import taken
from fireact.protocols import OnGpu
from fireact.sections import Gpus

VISIBLE = "CUDA_VISIBLE_DEVICES"
_BEFORE, _EVERY = "FIREACT_VISIBLE_BEFORE", "every"
"""What the run of a stage saw that has taken GPUs: the value of CUDA_VISIBLE_DEVICES, or every GPU."""
_PAUSE = 0.3
_ALL_USERS = 0o1777


@dataclass(frozen=True)
class Taken:
    """The GPUs of one stage."""

    devices: tuple[str, ...] = ()
    """As CUDA_VISIBLE_DEVICES names them."""
    descriptors: tuple[int, ...] = ()
    """Open files. A child that inherits them holds the GPUs too, until it ends."""

    @property
    def environment(self) -> dict[str, str]:
        """What the stage is told."""
        if not self.devices:
            return {}
        return {VISIBLE: ",".join(self.devices), _BEFORE: os.environ.get(VISIBLE, _EVERY)}


def before(environment: Mapping[str, str]) -> dict[str, str]:
    """A stage's environment as it was for its run: what outlives the stage must not stay on the stage's GPUs."""
    if _BEFORE not in environment:
        return dict(environment)
    found = {name: value for name, value in environment.items() if name not in (VISIBLE, _BEFORE)}
    return found if environment[_BEFORE] == _EVERY else {**found, VISIBLE: environment[_BEFORE]}


def wanted_by(thing: object) -> int:
    """How many GPUs a model, a training or a job computes on."""
    return thing.gpus if isinstance(thing, OnGpu) else 0


def need(wanted: int, gpus: Gpus) -> None:
    """Refuse what could never be taken. Raises ConfigError."""
    if wanted and gpus is not None and wanted > len(found := set(named(gpus))):
        raise ConfigError(f"a stage takes {wanted} GPUs (train.processes, train.accelerate_config), and "
                          f"gpus={_written(gpus)} names {len(found)}; name more of them")


def named(gpus: Gpus) -> list[str]:
    """The GPUs as CUDA_VISIBLE_DEVICES names them. Raises ConfigError for those that are not visible."""
    seen = _visible()
    if gpus == "all":
        if not seen:
            raise ConfigError("gpus=all, and no GPU is visible here; name those to be shared out, e.g. gpus=[0,1], "
                              "or leave gpus=null")
        return seen
    if seen is None:
        return [str(number) for number in gpus or ()]
    for number in gpus or ():
        if number >= len(seen):
            told = f" ({VISIBLE}={os.environ[VISIBLE]})" if VISIBLE in os.environ else ""
            raise ConfigError(f"gpus={_written(gpus)} names GPU {number}, and {len(seen)} "
                              f"{'is' if len(seen) == 1 else 'are'} visible here{told}, counted from 0; name others")
    return [seen[number] for number in gpus or ()]


def count(gpus: Any) -> int:
    """How many stages can compute at once, each on one GPU, before `gpus` was checked. Raises ConfigError."""
    if gpus is None:
        raise ConfigError("hydra/launcher=gpus has as many cells at once as GPUs are shared out, and gpus=null names "
                          "none; set e.g. gpus=[0,1] or gpus=all")
    if gpus != "all" and (isinstance(gpus, str) or not isinstance(gpus, Sequence)):
        raise ConfigError(f"gpus={gpus} is no list; give numbers, e.g. gpus=[0,1], or gpus=all")
    return len(named("all") if gpus == "all" else gpus)


def _visible() -> list[str] | None:
    """The GPUs that this process sees; None where the system does not tell."""
    given = os.environ.get(VISIBLE)
    if given is not None:
        # -1 is how none is said; CUDA ignores what follows.
        return list(takewhile(lambda name: name != "-1", (name.strip() for name in given.split(",") if name.strip())))
    found = len([file for file in Path("/dev").glob("nvidia*") if file.name.removeprefix("nvidia").isdecimal()])
    return [str(number) for number in range(found)] or None


def _written(gpus: Gpus) -> str:
    return f"[{','.join(map(str, gpus))}]" if isinstance(gpus, list) else str(gpus)


@contextmanager
def take(wanted: int, gpus: Gpus) -> Iterator[Taken]:
    """Hold `wanted` of the GPUs; say so where they are not free, and wait. Raises ConfigError."""
    if not wanted or gpus is None:
        yield Taken()
        return
    need(wanted, gpus)
    devices = named(gpus)
    hand = _Hand(_slots(devices), wanted)
    try:
        if not hand.full():
            print(f"waiting for {'a free GPU' if wanted == 1 else f'{wanted} free GPUs'} of "
                  f"{','.join(dict.fromkeys(devices))}", flush=True)
            while not hand.full():
                time.sleep(_PAUSE)
        yield Taken(tuple(hand.held), tuple(hand.held.values()))
    finally:
        hand.drop()


def _slots(devices: Sequence[str]) -> list[tuple[str, Path]]:
    """The file of each; of a GPU that is named twice, two."""
    folder = Path("/tmp") / f"fireact-gpus-{platform.node()}"
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(_ALL_USERS)  # The locks are for all who use this machine.
    return [(device, folder / f"{re.sub(r'[^a-zA-Z0-9-]', '_', device)}.{devices[:at].count(device)}")
            for at, device in enumerate(devices)]


@dataclass
class _Hand:
    """What a stage has taken so far.

    One that wants several claims all GPUs that it may take before it takes any. So two of them never wait for each
    other, and what is free falls to it rather than to those that want a single one again and again.
    """

    slots: list[tuple[str, Path]]
    wanted: int
    held: dict[str, int] = field(default_factory=dict)
    _claims: list[int] = field(default_factory=list)

    def full(self) -> bool:
        """Take what is free, and return whether that is all that is wanted."""
        if self.wanted > 1 and not self._claims and not self._claim():
            return False
        for device, file in self.slots:
            if len(self.held) < self.wanted and device not in self.held and (self._claims or not _claimed(file)):
                descriptor = taken(file)
                if descriptor is not None:
                    self.held[device] = descriptor
        if len(self.held) < self.wanted:
            return False
        self._unclaim()
        return True

    def drop(self) -> None:
        """Free all."""
        self._unclaim()
        while self.held:
            os.close(self.held.popitem()[1])

    def _claim(self) -> bool:
        """Claim all, or nothing."""
        for file in dict.fromkeys(_claim_on(file) for _, file in self.slots):
            descriptor = taken(file)
            if descriptor is None:
                self._unclaim()
                return False
            self._claims.append(descriptor)
        return True

    def _unclaim(self) -> None:
        while self._claims:
            os.close(self._claims.pop())


def _claim_on(file: Path) -> Path:
    """The file that is locked by who claims the GPU of `file`."""
    return file.with_suffix(".claimed")


def _claimed(file: Path) -> bool:
    descriptor = taken(_claim_on(file))
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None
