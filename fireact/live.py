"""The live table of a job that is being played, on a terminal."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table as Grid
from rich.text import Text

from fireact.tracking import clock

if TYPE_CHECKING:
    from fireact.progress import Progress


class Table:
    """Drawn anew a few times a second."""

    def __init__(self, progress: "Progress") -> None:
        """Show what `progress` counts."""
        self.progress = progress

    def __rich__(self) -> RenderableType:
        """The table as it is now."""
        progress, now = self.progress, self.progress.values()
        rest = (progress.total - now["played"]) * now["seconds"] / max(now["played"] - progress.before, 1)
        rows = {
            "done / playing / failed": f"{now['played']} of {progress.total} / {now['playing']} / {now['failed']}",
            "right": f"{now['em']:.0%}, {now['rounds']:.1f} rounds each",
            "calls": f"{now['calls']}, {now['calls_per_second']:.1f} a second, {now['repeated']} sent again",
            "tokens written": f"{now['tokens']:,}",
            "money": f"US$ {now['usd']:.4f}, {now['saved_usd']:.4f} saved",
            "from the tape": f"{now['replayed']} replies",
            "at once": f"{progress.meter.busy} of {now['level']}" if "level" in now else str(now["playing"]),
            "time": f"{clock(now['seconds'])}, {clock(rest)} left",
        }
        grid = Grid.grid(padding=(0, 2))
        for name, value in rows.items():
            grid.add_row(Text(name, style="dim"), Text(value))
        hint = Text("Enter shows where every episode stands", style="dim")
        bar = ProgressBar(total=max(progress.total, 1), completed=now["played"], width=60)
        return Group(Text(progress.label, style="bold"), bar, grid, hint)
