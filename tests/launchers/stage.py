"""A stage that only notes when it ran and which GPUs it saw: `python -m tests.launchers.stage FOLDER/job.json`."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from fireact.jsonl import write_atomic
from fireact.process import stage_main
from fireact.sections import Section
from fireact.slots import VISIBLE
from fireact.store import DONE


class Job(Section):
    """What it does."""

    wanted: int = 1
    """GPUs."""
    until: Path | None = None
    """It ends once this file is there; None: at once."""

    @property
    def gpus(self) -> int:
        """See `protocols.OnGpu`."""
        return self.wanted


def run(values: dict[str, Any], folder: Path) -> None:
    """Note the beginning, wait, note the end."""
    job = Job.model_validate(values)
    write_atomic(folder / "saw", os.environ.get(VISIBLE, "all"))
    write_atomic(folder / "process", str(os.getpid()))
    while job.until and not job.until.exists():
        time.sleep(0.02)
    write_atomic(folder / DONE, "{}")


if __name__ == "__main__":
    sys.exit(stage_main(run, sys.argv))
