"""How far the playing of a job has got: a live table on a terminal, plain lines elsewhere, and FOLDER/metrics.jsonl.

`kill -USR1 PID`, or the Enter key on a terminal, prints where every episode stands.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

from fireact.episode import Player
from fireact.meter import Meter
from fireact.play.turns import Turns
from fireact.tracking import METRICS, append_metrics, clock
from fireact.types import StopReason, Trajectory

EVERY = 5.0
"""Seconds between two lines."""
_SILENCE = 30.0
"""Seconds after which there is a line though no episode has ended."""
_COUNTS = ("asked", "replayed", "used", "reused", "completion_tokens", "usd", "saved_usd", "repeated", "hedged",
           "lost_usd")


def done(now: Mapping[str, Any]) -> str:
    """How much of a job is done, in words, from the values of its progress."""
    if "kept" in now:
        return f"{now['kept']} of {now['to_keep']} kept, {now['played']} of up to {now['total']} played"
    return f"{now['played']}/{now['total']} played"


class Progress:
    """Counts attempts as they end. A context manager, which ends with a last line."""

    def __init__(self, label: str, turns: Turns, player: Player, meter: Meter, worker: str = "") -> None:
        """Begin at what was played earlier. `worker` tells this process from others that play the same job."""
        self.label, self.turns, self.player, self.meter, self.worker = label, turns, player, meter, worker
        self.plan, self.records = turns.plan, turns.records
        self.total = len(list(self.plan.turns()))
        self.before, self.kept_before = self.played, turns.found
        self.new = self.correct = self.rounds = 0
        self.ends: Counter[StopReason] = Counter()
        self.error: str | None = None
        """The last one's."""
        self.started = self._shown = time.monotonic()
        self._told = self._told_of_others = 0
        self._before = {name: getattr(meter, name) for name in _COUNTS}
        turns.others = self.others

    @property
    def played(self) -> int:
        """Turns that are done, by whichever process."""
        return self._played[0]

    @property
    def _played(self) -> tuple[int, int]:
        """Counted anew only where the folder has got more records."""
        size, now = len(self.records.places), time.monotonic()
        # Counting takes a moment where there are very many.
        if self._counted[1] != size and (now > self._count_again or size >= self.total):
            self._counted = sum(not self.plan.left(turn, self.records) for turn in self.plan.turns()), size
            self._count_again = now + 20 * (time.monotonic() - now)
        return self._counted

    _counted: tuple[int, int] = (0, -1)
    _count_again: float = 0.0

    def advance(self, record: Trajectory) -> None:
        """Count one attempt."""
        self.new += 1
        self.correct += record.score.em > 0
        self.rounds += record.rounds
        self.ends[record.stop] += 1
        if record.error:
            self.error = record.error
        if time.monotonic() - self._shown > EVERY:
            self._show()

    def others(self, number: int) -> None:
        """Say once that other processes have the rest under way."""
        if not self._told_of_others:
            self._told_of_others = number
            print(f"  {self.label}: the last {number} are played by other processes; waiting for them", flush=True)

    def values(self) -> dict[str, Any]:
        """The figures of this process since the job began, as they go to metrics.jsonl."""
        since = {name: getattr(self.meter, name) - before for name, before in self._before.items()}
        seconds, new = time.monotonic() - self.started, max(self.new, 1)
        kept = {"kept": self.turns.found, "to_keep": self.plan.kept} if self.plan.kept is not None else {}
        return {"worker": self.worker, "played": self.played, "total": self.total, **kept,
                "seconds_left": self._seconds_left(seconds), "new": self.new,
                "em": self.correct / new, "rounds": self.rounds / new, "seconds": seconds,
                "failed": sum(count for stop, count in self.ends.items() if not stop.played),
                "playing": len(self.player.under_way), "calls": since["asked"],
                "calls_per_second": since["asked"] / seconds if seconds else 0.0,
                "tokens": since["completion_tokens"], "usd": since["usd"], "replayed": since["replayed"],
                "saved_usd": since["saved_usd"], "tool_calls": since["used"] + since["reused"],
                "repeated": since["repeated"], "hedged": since["hedged"], "at_most_lost_usd": since["lost_usd"],
                **({"level": self.meter.level, "busy": self.meter.busy} if self.meter.level is not None else {})}

    def _seconds_left(self, seconds: float) -> float:
        """Until all is played, or enough is kept, at the speed so far."""
        left = (self.total - self.played) * seconds / max(self.played - self.before, 1)
        if self.plan.kept is None:
            return left
        found = self.turns.found
        return min(left, max(0, self.plan.kept - found) * seconds / max(found - self.kept_before, 1))

    def line(self) -> str:
        """The figures in words."""
        now = self.values()
        # What others played, or this job at an earlier start, is not counted in what follows.
        since = "" if now["new"] == now["played"] else f" of {now['new']} now"
        parts = [done(now), f"{now['em']:.0%} right{since}", f"{now['rounds']:.1f} rounds each"]
        if now["failed"]:
            parts.append(f"{now['failed']} failed")
        if now["calls"]:
            parts.append(f"{now['calls_per_second']:.1f} calls/s")
            parts.append(f"{now['tokens']:,} tokens written")
        if now["usd"] or now["saved_usd"]:
            lost = f", at most {now['at_most_lost_usd']:.4f} more for lost answers" if now["at_most_lost_usd"] else ""
            parts.append(f"US$ {now['usd']:.4f}{lost}")
        if now["replayed"]:
            saved = f", US$ {now['saved_usd']:.4f} saved" if now["saved_usd"] else ""
            parts.append(f"{now['replayed']} from the tape{saved}")
        if now["repeated"]:
            parts.append(f"{now['repeated']} sent again")
        if now["hedged"]:
            parts.append(f"{now['hedged']} asked for twice")
        if "level" in now and now["level"] < (self.meter.most or 0):
            parts.append(f"at most {now['level']} at once")
        return f"{self.label}: {', '.join(parts)}, {clock(now['seconds_left'])} left"

    def tell(self) -> None:
        """Print where every episode stands."""
        print(f"  {self.line()}", flush=True)
        for (id, attempt), run in sorted(self.player.under_way.items()):
            print(f"    {id}{f' attempt {attempt + 1}' if attempt else ''}: {run}", flush=True)
        for fault, count in self.meter.faults.most_common():
            print(f"    sent again {count} times: {fault}", flush=True)

    def __enter__(self) -> "Progress":
        """Begin to show, and to listen for the signal and the key."""
        self.started = self._shown = time.monotonic()
        self._listen()
        if self._live:
            self._live.start()
        self._beat()
        return self

    def __exit__(self, *failure: object) -> None:
        """Stop, and say where things stand."""
        self._next_beat.cancel()
        with suppress(ValueError, NotImplementedError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # Left alone it would end the process.
        with suppress(ValueError, OSError, NotImplementedError):
            asyncio.get_running_loop().remove_reader(sys.stdin)
        if self._live:
            self._live.stop()
        if self.new > self._told:
            self._show()
        if self.new > self.ends[StopReason.FINISHED]:
            ends = ", ".join(f"{count} {stop.value}" for stop, count in self.ends.most_common())
            last = f"; the last failure: {self.error[:200]}" if self.error else ""
            print(f"  {self.label}: how they ended: {ends}{last}", flush=True)

    def _beat(self) -> None:
        """Show a line now and then though no episode ends."""
        if time.monotonic() - self._shown > _SILENCE:
            self._show()
        self._next_beat = asyncio.get_running_loop().call_later(EVERY, self._beat)

    def _show(self) -> None:
        self._shown, self._told = time.monotonic(), self.new
        if not self._live or not self._live.is_started:
            print(f"  {self.line()}", flush=True)
        append_metrics(self.records.folder / METRICS, self.values())

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(signal.SIGUSR1, self.tell)
        if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
            with suppress(OSError, NotImplementedError):
                loop.add_reader(sys.stdin, self._key)

    def _key(self) -> None:
        # In the background, what is typed is not for this process, and reading it would stop it.
        if os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp() or not sys.stdin.readline():
            asyncio.get_running_loop().remove_reader(sys.stdin)
            return
        self.tell()

    @cached_property
    def _live(self) -> Any:
        """The live table; None where nobody watches."""
        if not sys.stdout.isatty():
            return None
        from rich.live import Live

        from fireact.play.live import Table

        return Live(Table(self.label, self.values, done), refresh_per_second=4)
