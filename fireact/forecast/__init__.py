"""What a run will take before anything is sent: calls, tokens, money and time, from a sample of recorded episodes.

    python main.py stage=plan model@teacher=api generate.n=2000

The sample is the nearest that the store has: the job's own folder, else episodes of the same method on the same dataset
by another model. Where no tokens were counted they are estimated from the texts, at four characters a token. How many
attempts are right, and worth keeping, is taken from the sample too. Without one the figures are what an episode's
rounds, its first prompt and its longest replies come to, which is about the most.
"""

import json
import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fireact.forecast.sample import CHARACTERS, Episode, Samples, opening
from fireact.generate import PlayJob
from fireact.jsonl import write_atomic
from fireact.play.records import Records
from fireact.play.turns import Plan
from fireact.plugins import build
from fireact.prices import cost
from fireact.protocols import Paid, Tool, with_inner
from fireact.stats import Z, mean

REPLY, ROUNDS = 128, 11
"""Tokens of a reply and replies of an episode, where nothing is known."""


@dataclass(frozen=True)
class Forecast:
    """What is left of one job. Money is in US dollars, None where no price is known; `error` is 95% either way."""

    label: str
    episodes: int
    """Attempts; where they may end early, as many as are to be expected."""
    calls: float
    tool_calls: float
    prompt_tokens: float
    completion_tokens: float
    usd: float | None
    usd_error: float | None
    seconds: float | None
    sample: int
    """Episodes that it was estimated from; 0: it is about the most."""
    source: str
    paid_calls: float
    """Of the model and the tool, as far as they are paid for."""
    paid_tokens: float


def forecast(job: PlayJob, folder: Path, wanted: Plan, concurrency: int, samples: Samples) -> Forecast:
    """Estimate what is left of a job. Raises ConfigError, DataError."""
    adapter = job.adapter if job.adapter and job.adapter.exists() else None
    model = build(job.model, "model", home=job.home / "weights", adapter=adapter, tool=None)
    tool = build(job.tool, "tool", home=job.home, corpus=None)
    paid = [part for part in (model, *with_inner(tool)) if isinstance(part, Paid)]
    sample, source = samples.nearest(job, folder, wanted)
    episodes = sample or [_bound(job, model)]
    with closing(Records(folder)) as records:
        left = _left(wanted, records, sample)
    if not sample:
        ends = ", though it ends once there is enough" if wanted.kept is not None or wanted.until_correct else ""
        source = f"no sample: about the most{ends}"
    costs = [_cost(paid, each) for each in episodes]
    usd = None if not paid or None in costs else mean([found or 0.0 for found in costs])
    times = [each.seconds for each in episodes if each.seconds]
    calls, tokens = mean([float(each.calls) for each in episodes]), mean(
        [each.prompt_tokens + each.completion_tokens for each in episodes])
    return Forecast(
        job.label, left, left * calls, left * mean([float(each.tool_calls) for each in episodes]),
        left * mean([each.prompt_tokens for each in episodes]),
        left * mean([each.completion_tokens for each in episodes]),
        None if usd is None else left * usd, _error([found or 0.0 for found in costs], left) if sample else None,
        _time(left, calls, tokens, mean(times) if times else None, concurrency, model),
        len(sample), source, left * mean([_paid_calls(paid, each) for each in episodes]),
        left * tokens if isinstance(model, Paid) else 0.0)


def _paid_calls(paid: Sequence[Paid], episode: Episode) -> float:
    return float(sum(episode.calls_of(part.actions) if isinstance(part, Tool) else episode.calls for part in paid))


def _cost(paid: Sequence[Paid], episode: Episode) -> float | None:
    """What an episode costs at the present prices; None where one is not known."""
    whole = 0.0
    for part in paid:
        price = part.price()
        if price is None:
            return None
        if isinstance(part, Tool):
            whole += episode.calls_of(part.actions) * price.call
            continue
        tokens = cost(price, round(episode.prompt_tokens), round(episode.completion_tokens), 0)
        if tokens is None:
            return None
        whole += tokens + (episode.calls - 1) * price.call
    return whole


def _left(wanted: Plan, records: Records, sample: Sequence[Episode]) -> int:
    """How many attempts are to be played still: all of them, or as many as such episodes let expect."""
    right = mean([float(each.right) for each in sample]) if sample else 0.0
    turns = [expected(len(wanted.left(turn, records)), right if wanted.until_correct else 0.0)
             for turn in wanted.turns()]
    if wanted.kept is None or not sample:
        return math.ceil(sum(turns))
    needed = wanted.kept - sum(wanted.kept_of(turn, records) for turn in wanted.turns())
    by_attempt = mean([float(each.kept) for each in sample])
    attempts = needed / by_attempt if by_attempt else math.inf
    return math.ceil(max(0.0, min(sum(turns), attempts)))


def expected(attempts: int, right: float) -> float:
    """How many of so many attempts are made, where the first right one ends them; each is right with this chance."""
    return sum((1 - right) ** number for number in range(attempts))


def _error(costs: Sequence[float], n: int) -> float | None:
    """Half of the 95% interval of the sum of n more: of what a mean of few does not know, and of chance itself."""
    m = len(costs)
    if m < 2:
        return None
    centre = mean(costs)
    variance = sum((value - centre) ** 2 for value in costs) / (m - 1)
    return Z * math.sqrt(variance * (n + n * n / m))


def _time(n: int, calls: float, tokens: float, seconds: float | None, concurrency: int, model: Any) -> float | None:
    """Seconds for n episodes: as many at once as there may be, and no more a minute than there may be."""
    limits = [n * units * 60 / rate for units, rate in ((calls, getattr(model, "requests_per_minute", None)),
                                                        (tokens, getattr(model, "tokens_per_minute", None))) if rate]
    if seconds is not None:
        limits.append(n * seconds / min(concurrency, max(n, 1)))
    return max(limits, default=None)


_MOST = ("max_rounds", "max_programs", "calls", "attempts")
"""What strategies call the most replies of an episode."""


def _bound(job: PlayJob, model: Any) -> Episode:
    """About the most that an episode can come to: by its strategy's rounds and the model's longest reply."""
    rounds = next((most for name in _MOST if (most := job.strategy.get(name))), ROUNDS)
    longest = getattr(model, "max_tokens", REPLY)
    first = (opening(job) + 200) / CHARACTERS
    return Episode(rounds, rounds, rounds * first + longest * rounds * (rounds - 1), rounds * longest, None)


def total(label: str, forecasts: Sequence[Forecast]) -> Forecast:
    """Add up forecasts: of what one of them does not know, the sum is unknown; the errors of like samples add up."""
    def whole(name: str) -> float:
        return sum(getattr(each, name) for each in forecasts)

    def known(name: str) -> float | None:
        values = [getattr(each, name) for each in forecasts if each.episodes]
        return None if None in values else sum(values)

    samples = [each.sample for each in forecasts if each.episodes]
    return Forecast(label, sum(each.episodes for each in forecasts), whole("calls"), whole("tool_calls"),
                    whole("prompt_tokens"), whole("completion_tokens"), known("usd"), known("usd_error"),
                    known("seconds"), sum(samples), _source(samples), whole("paid_calls"),
                    whole("paid_tokens"))


def _source(samples: Sequence[int]) -> str:
    """Where the figures of several jobs are from."""
    without = samples.count(0)
    jobs = f"{len(samples)} job{'' if len(samples) == 1 else 's'}"
    return jobs + (f", {without} without a sample: about the most" if without else "")


def save(forecasts: Sequence[Forecast], path: Path) -> None:
    """Write them as JSON."""
    write_atomic(path, json.dumps([asdict(each) for each in forecasts], indent=1))
