"""What model calls cost: list prices by model, endpoint and day.

    lookup("gpt-4.1")                                                         OpenAI's price now
    lookup("openai/gpt-oss-20b", base_url="https://api.groq.com/openai/v1")   another provider's
    recompute(records, "ft:gpt-3.5-turbo-0613@2023-09-15")                    recorded usage at the paper's prices

The prices are those of the installed version of the package genai-prices, so a run fetches nothing; a newer version has
newer ones. A provider is known by its address alone: whoever serves a model called gpt-4.1 elsewhere has his own price.
"""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timezone
from typing import TYPE_CHECKING

from fireact.errors import ConfigError, DataError
from fireact.types import Trajectory

if TYPE_CHECKING:
    from decimal import Decimal

    from genai_prices.types import ModelInfo, ModelPrice, PriceCalculation, TieredPrices

_TUNED = "ft:"
"""How OpenAI's ids of fine-tuned models begin."""
_NAME = re.compile(r"(?:(?P<provider>[\w-]+)/)?(?P<model>.+?)(?:@(?P<day>\d{4}-\d{2}-\d{2}))?")


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens, but for `call`."""

    input: float
    output: float
    cached: float
    """Of prompt tokens read from the provider's cache; as `input` where they have no price of their own."""
    written: float
    """Of prompt tokens written to it; as `input` where they have no price of their own."""
    source: str
    """The table, with its version, and the provider."""
    day: str | None = None
    """The day it was looked up for, as YYYY-MM-DD; None for one that was set by hand."""
    since: str | None = None
    """The day from which it holds; None where the table does not tell."""
    call: float = 0.0
    """US dollars a call, whatever its length."""
    longest: int | None = None
    """The longest prompt in tokens that it holds for; longer ones have a price that is not known here."""


@dataclass(frozen=True)
class _Past:
    """A price that genai-prices has no record of; `begin` and `end`, which is not included, are days."""

    model: re.Pattern[str]
    begin: date
    end: date
    input: float
    output: float


_PAST = (
    _Past(re.compile(r"ft:gpt-3\.5-turbo(-0613)?(:|$)"), date(2023, 8, 22), date(2023, 11, 6), 12.0, 16.0),
    _Past(re.compile(r"gpt-3\.5-turbo$"), date(2023, 6, 13), date(2023, 11, 6), 1.5, 2.0),
)
"""OpenAI's list prices when FireAct's experiments were run (July to September 2023). From memory, unverified: the
package knows only what fine-tuned GPT-3.5 cost later, and of gpt-3.5-turbo-0613 the same 1.5 and 2.0."""
_PAST_SOURCE = "OpenAI's prices of 2023 (from memory, unverified)"


@dataclass(frozen=True)
class EpisodeCost:
    """What the recorded usage of some episodes costs at one model's list price, in US dollars an episode."""

    name: str
    price: Price
    n: int
    """The number of episodes."""
    calls: float
    """Model calls an episode."""
    mean: float
    """Every prompt token at its full price, as no two providers cache alike."""
    se: float | None
    """The standard error of the mean; None for fewer than two episodes."""
    input: float
    """The part of the mean that the prompts cost, and the calls as such."""
    output: float
    """The part that the replies cost."""
    saved: float
    """What the mean would be less by if the tokens that were read from a cache had been read from this model's."""


def lookup(model: str, base_url: str | None = None, when: datetime | None = None) -> Price | None:
    """Return the price of a model at an endpoint, OpenAI's own for None, at a moment, now for None.

    None where the table has no such endpoint, model, or price by the token, and for a day before the first price whose
    beginning it knows. A fine-tuned model has a price of its own or none.
    """
    return _listed(model, "openai", base_url, when or datetime.now(timezone.utc))


def per_call(dollars: float) -> Price:
    """The price of something that costs so many US dollars a call, e.g. a search."""
    return Price(0.0, 0.0, 0.0, 0.0, "set by hand", call=dollars)


def named(name: str) -> Price:
    """Return the price of `[provider/]model[@YYYY-MM-DD]`, by default OpenAI's and today's; providers by genai-prices.

    Raises ConfigError for a name without a price.
    """
    parts = _NAME.fullmatch(name)
    price = None
    if parts:
        price = _listed(parts["model"], parts["provider"] or "openai", None, _moment(name, parts["day"]))
    if price is None:
        raise ConfigError(f"no price is known for {name!r}; write one of OpenAI's models, or provider/model as "
                          "genai-prices calls them, and @YYYY-MM-DD for the price of a past day, e.g. gpt-4.1, "
                          "groq/openai/gpt-oss-20b or ft:gpt-3.5-turbo-0613@2023-09-15")
    return price


def set_by_hand(listed: Price | None, price_in: float | None, price_out: float | None,
                price_cached: float | None) -> Price | None:
    """Put prices that a user gave, in US dollars per million tokens, in place of the listed ones.

    With a `price_in` of the user's, the list's discounts for cached tokens no longer hold. None where a price is
    neither given nor listed.
    """
    if price_in is None and price_out is None and price_cached is None:
        return listed
    given = listed.input if listed and price_in is None else price_in
    out = listed.output if listed and price_out is None else price_out
    if given is None or out is None:
        return None
    source = f"set by hand, else {listed.source}" if listed else "set by hand"
    base = listed if listed and price_in is None else Price(given, out, given, given, source)
    return replace(base, output=out, cached=base.cached if price_cached is None else price_cached, source=source)


def cost(price: Price | None, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0,
         written_tokens: int = 0) -> float | None:
    """Return the US dollars of one call; None where they are not known.

    `cached_tokens` and `written_tokens` are those of the prompt's tokens that were read from and written to a cache.
    """
    if price is None or (price.longest is not None and prompt_tokens > price.longest):
        return None
    # An endpoint may count more of them than there are tokens.
    cached = min(cached_tokens, prompt_tokens)
    written = min(written_tokens, prompt_tokens - cached)
    tokens = ((prompt_tokens - cached - written) * price.input + cached * price.cached + written * price.written
              + completion_tokens * price.output)
    return tokens / 1e6 + price.call


def highest(price: Price | None, prompt_tokens: int, completion_tokens: int) -> float | None:
    """Return the most that a call of at most so many tokens can cost in US dollars; None where no price is known."""
    if price is None:
        return None
    dear = replace(price, input=max(price.input, price.written, price.cached), longest=None)
    # Of a price that holds for short prompts only, that of long ones is at most twice as high in all lists so far.
    twice = 2 if price.longest is not None and prompt_tokens > price.longest else 1
    return twice * (cost(dear, prompt_tokens, completion_tokens) or 0.0)


def recompute(records: Sequence[Trajectory], name: str) -> EpisodeCost:
    """Return what the recorded usage costs at the price of `name` (see `named`): the paper's Table 3 for any model.

    The tokens are those of the model that played; another one's tokenizer would count a little differently. Raises
    ConfigError for a name without a price, DataError for records without usage.
    """
    price = named(name)
    calls = [[step.completion for step in record.steps if step.completion] for record in records]
    every = [call for episode in calls for call in episode]
    missing = sum(call.prompt_tokens == 0 for call in every)
    if missing or not every:
        raise DataError(f"of {len(every)} model calls {len(every) - missing} have their tokens recorded, so they "
                        f"cannot be priced as {name}; leave report.prices empty, or play with a model that counts them")
    longest = max(call.prompt_tokens for call in every)
    if price.longest is not None and longest > price.longest:
        raise ConfigError(f"{name} has another price for prompts of more than {price.longest:,} tokens, and there is "
                          f"one of {longest:,}; take it out of report.prices")
    inputs = [sum(call.prompt_tokens * price.input / 1e6 + price.call for call in episode) for episode in calls]
    outputs = [sum(call.completion_tokens for call in episode) * price.output / 1e6 for episode in calls]
    totals = [sum(pair) for pair in zip(inputs, outputs, strict=True)]
    n = len(records)
    saved = sum(call.cached_tokens for call in every) * (price.input - price.cached) / 1e6
    return EpisodeCost(name, price, n, len(every) / n, statistics.fmean(totals),
                       statistics.stdev(totals) / n**0.5 if n > 1 else None, statistics.fmean(inputs),
                       statistics.fmean(outputs), saved / n)


def describe(price: Price) -> str:
    """Say a price in words, with the table it is from and the day it holds for."""
    cached = f", {price.cached:g} cached" if price.cached != price.input else ""
    call = f" and {price.call:g} a call" if price.call else ""
    day = f", for {price.day}" if price.day else ""
    since = f", in force since {price.since}" if price.since else ", since when is not known" if price.day else ""
    return (f"US$ {price.input:g} in{cached}, {price.output:g} out per million tokens{call} "
            f"({price.source}{day}{since})")


def unknown(model: str, base_url: str | None, *, tuned: bool = False) -> str:
    """Say that a model's cost stays open, and what to do about it."""
    wanted = "tuned_price_in and tuned_price_out" if tuned else "price_in and price_out"
    return (f"no price is known for {model} at {base_url or 'OpenAI'}, so its cost is left open; "
            f"set the model's options {wanted} (US dollars per million tokens)")


def _listed(model: str, provider: str, base_url: str | None, when: datetime) -> Price | None:
    """The price of a provider's model, or of the endpoint's at `base_url`."""
    import genai_prices

    try:
        found = _entry(model, provider, base_url, when)
    except LookupError:
        return None
    if model.lower().startswith(_TUNED) and not found.model.id.startswith(_TUNED):
        return None
    day, prices = when.astimezone(timezone.utc).date(), found.model_price
    past = next((past for past in _PAST if found.provider.id == "openai" and past.model.match(model)), None)
    since = str(past.begin) if past and day < past.end else _since(found.model, prices)
    if since and str(day) < since:
        return None
    if past and day < past.end:
        return Price(past.input, past.output, past.input, past.input, _PAST_SOURCE, str(day), since)
    given, out = _base(prices.input_mtok), _base(prices.output_mtok)
    if given is None or out is None:
        return None
    cached, written = _base(prices.cache_read_mtok), _base(prices.cache_write_mtok)
    call = (_base(prices.requests_kcount) or 0.0) / 1000
    return Price(given, out, given if cached is None else cached, given if written is None else written,
                 f"genai-prices {genai_prices.__version__}, {found.provider.id}", str(day),
                 since, call, _longest(prices))


def _entry(model: str, provider: str, base_url: str | None, when: datetime) -> "PriceCalculation":
    """What the package has. Raises LookupError."""
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=1, output_tokens=1)
    if base_url is None:
        return calc_price(usage, model, provider_id=provider, genai_request_timestamp=when)
    return calc_price(usage, model, provider_api_url=base_url, genai_request_timestamp=when)


def _since(model: "ModelInfo", chosen: "ModelPrice") -> str | None:
    from genai_prices.types import StartDateConstraint

    parts = model.prices if isinstance(model.prices, list) else []
    constraints = [part.constraint for part in parts if part.prices is chosen]
    return next((str(part.start_date) for part in constraints if isinstance(part, StartDateConstraint)), None)


def _base(price: "Decimal | TieredPrices | None") -> float | None:
    """The price of short prompts, in US dollars."""
    from genai_prices.types import TieredPrices

    if price is None:
        return None
    return float(price.base if isinstance(price, TieredPrices) else price)


def _longest(prices: "ModelPrice") -> int | None:
    from genai_prices.types import TieredPrices

    tiered = [price for price in (prices.input_mtok, prices.output_mtok) if isinstance(price, TieredPrices)]
    return min((tier.start for price in tiered for tier in price.tiers), default=None)


def _moment(name: str, day: str | None) -> datetime:
    """The end of a day, or now. Raises ConfigError for a day that is none."""
    if day is None:
        return datetime.now(timezone.utc)
    try:
        return datetime.combine(date.fromisoformat(day), time.max, timezone.utc)
    except ValueError:
        raise ConfigError(f"{name!r} ends in a day that is none; write e.g. @2023-09-15") from None
