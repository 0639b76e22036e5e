"""What a run will take, as a table."""

from collections.abc import Iterator, Sequence

from fireact.forecast import Forecast
from fireact.ledger import Amount
from fireact.report.text import Table
from fireact.sections import Budget
from fireact.tracking import clock

SCOPES = ("run", "sweep", "day")
"""Of a budget."""


def parts(forecasts: Sequence[Forecast], budget: Budget, today: Amount, scopes: Sequence[str] = SCOPES
          ) -> Iterator[Table | str]:
    """The table, and what it means for the budget in these scopes, of whose day so much is taken already."""
    head = ("", "episodes", "calls", "tool calls", "tokens in", "tokens out", "US$", "time", "estimated from")
    yield Table("What is left to be played", head, tuple(map(_row, forecasts)))
    paid = [each for each in forecasts if each.paid_calls]
    if not paid:
        yield "Nothing of it is paid for." if any(each.episodes for each in forecasts) else "All is played already."
        return
    unknown = [each.label for each in paid if each.usd is None]
    if unknown:
        yield (f"No price is known for {', '.join(unknown)}; set the model's price_in and price_out "
               "(US dollars per million tokens), and the tool's price_search where it has one")
    known = sum(each.usd or 0.0 for each in paid)
    yield f"In all US$ {known:.4f}{' and what is unknown' if unknown else ''}; what the tape holds costs nothing again."
    yield from _caps(paid, known, budget, today, scopes)


def _row(each: Forecast) -> tuple[str, ...]:
    sample = f"{each.sample} episodes: {each.source}" if each.sample else each.source
    return (each.label, f"{each.episodes:,}", f"{each.calls:,.0f}", f"{each.tool_calls:,.0f}",
            f"{each.prompt_tokens:,.0f}", f"{each.completion_tokens:,.0f}", _money(each),
            "?" if each.seconds is None else clock(each.seconds), sample if each.episodes else "all played")


def _money(each: Forecast) -> str:
    if not each.paid_calls:
        return "0"
    if each.usd is None:
        return "?"
    return f"{each.usd:.4f}{f' ± {each.usd_error:.4f}' if each.usd_error is not None else ''}"


def _caps(paid: Sequence[Forecast], usd: float, budget: Budget, today: Amount, scopes: Sequence[str]) -> Iterator[str]:
    """Which caps would end the run before its end."""
    wanted = {"usd": usd, "tokens": sum(each.paid_tokens for each in paid),
              "calls": sum(each.paid_calls for each in paid)}
    for scope in scopes:
        for unit, amount in wanted.items():
            cap, before = getattr(getattr(budget, scope), unit), getattr(today, unit) if scope == "day" else 0
            if cap is not None and amount + before > cap:
                taken = f", and {before:,.2f} of it are taken today" if before else ""
                yield f"budget.{scope}.{unit}={cap:g} would end it before: {amount:,.2f} are expected{taken}"
