"""The live table of a job that is being played, on a terminal."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table as Grid
from rich.text import Text

from fireact.tracking import clock


class Table:
    """Drawn anew a few times a second, from the figures as they are then (see `Progress.values`)."""

    def __init__(self, label: str, values: Callable[[], Mapping[str, Any]],
                 done: Callable[[Mapping[str, Any]], str]) -> None:
        """Show what `values` returns; `done` puts into words how much of it is done."""
        self.label, self.values, self.done = label, values, done

    def __rich__(self) -> RenderableType:
        """The table as it is now."""
        now = self.values()
        rows = {
            "done / playing / failed": f"{self.done(now)} / {now['playing']} / {now['failed']}",
            "right": f"{now['em']:.0%}, {now['rounds']:.1f} rounds each",
            "calls": f"{now['calls']}, {now['calls_per_second']:.1f} a second, {now['repeated']} sent again"
                     + (f", {now['hedged']} asked for twice" if now["hedged"] else ""),
            "tokens written": f"{now['tokens']:,}",
            "money": f"US$ {now['usd']:.4f}, at most {now['at_most_lost_usd']:.4f} lost, {now['saved_usd']:.4f} saved",
            "from the tape": f"{now['replayed']} replies",
            "at once": f"{now['busy']} of {now['level']} requests" if "level" in now else f"{now['playing']} episodes",
            "time": f"{clock(now['seconds'])}, {clock(now['seconds_left'])} left",
        }
        grid = Grid.grid(padding=(0, 2))
        for name, value in rows.items():
            grid.add_row(Text(name, style="dim"), Text(value))
        hint = Text("Enter shows where every episode stands", style="dim")
        bar = ProgressBar(total=1.0, completed=_share(now), width=60)
        line = Grid.grid()
        line.add_row(bar)
        return Group(Text(self.label, style="bold"), line, grid, hint)


def _share(now: Mapping[str, Any]) -> float:
    """How much of a job is done."""
    shares = [now["played"] / max(now["total"], 1)]
    if "kept" in now:
        shares.append(min(1.0, now["kept"] / now["to_keep"]))
    return max(shares)
