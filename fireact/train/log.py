"""What a training tells while it runs: metrics.jsonl, and lines for people."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fireact.train import checkpoint
from fireact.train.checkpoint import Progress

_SHOW_SECONDS = 3.0


@dataclass
class Log:
    """The log of one training of `total` steps; only the `main` process of several writes."""

    out: Path
    total: int
    per_epoch: int
    every: int
    main: bool
    began: float = 0.0
    """When, on the monotonic clock in seconds, the training would have begun had it never been killed."""
    shown: float = -math.inf
    started: float = 0.0
    """When the step under way began."""

    def begin(self, progress: Progress) -> None:
        """Start the clock, or let it go on."""
        self.began = time.monotonic() - progress.seconds

    def start(self) -> None:
        """Note that a step begins."""
        self.started = time.monotonic()

    def step(self, progress: Progress, rate: float, norm: float, tokens: int, measures: Mapping[str, float]) -> None:
        """Tell of a step of `tokens` tokens that is done, and stamp its time."""
        now = time.monotonic()
        progress.seconds, speed = now - self.began, tokens / max(now - self.started, 1e-9)
        progress.step_seconds += now - self.started
        left = progress.seconds / progress.step * (self.total - progress.step)
        last = progress.step == self.total
        if last or progress.step % self.every == 0:
            self._append({"step": progress.step, "epoch": progress.step / self.per_epoch, "loss": progress.losses[-1],
                          **measures, "gradient_norm": norm, "lr": rate, "tokens": progress.tokens,
                          "trained_tokens": progress.trained_tokens, "tokens_per_second": speed,
                          "seconds": progress.seconds, "eta_seconds": left})
        if last or time.monotonic() - self.shown >= _SHOW_SECONDS:
            self.shown = time.monotonic()
            self.say(f"step {progress.step}/{self.total}  loss {progress.losses[-1]:.3f}  lr {rate:.1e}  "
                     f"{speed:.0f} tokens/s  {int(left) // 60}:{int(left) % 60:02d} left")

    def validation(self, progress: Progress, said: str, matches: float | None) -> None:
        """Tell of a validation; `matches` is the share of exact matches where episodes were played."""
        played = {} if matches is None else {"validation_em": matches}
        measures = {f"validation_{name}": value for name, value in progress.validation_measures.items()}
        self._append({"step": progress.step, "validation_loss": progress.validation_loss, **measures, **played})
        also = "" if matches is None else f"  exact matches {matches:.1%}"
        self.say(f"step {progress.step}/{self.total}  validation loss {progress.validation_loss:.3f}  {said}{also}")

    def say(self, line: str) -> None:
        """Print a line, once for all processes."""
        if self.main:
            print(line, flush=True)

    def _append(self, record: Mapping[str, Any]) -> None:
        if self.main:
            with checkpoint.writing(self.out):
                checkpoint.append(self.out / "metrics.jsonl", record)


def peak_memory_mb() -> int:
    """The most memory this process has used: of the GPU where there is one, else of the machine."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() >> 20
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used >> 20 if sys.platform == "darwin" else used >> 10
