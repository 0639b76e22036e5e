"""Prices: what a model costs where, on which day, and what recorded usage would have cost elsewhere."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import ConfigError, DataError
from fireact.prices import Price, cost, describe, lookup, named, recompute, set_by_hand, unknown
from fireact.types import Completion, Question, Score, Step, StopReason, Trajectory

PAPER = "@2023-09-15"
"""A day on which FireAct's experiments were run."""
TUNED = "ft:gpt-3.5-turbo-0613:princeton-nlp::7woQRsdi"
"""The model of a released evaluation."""


def on(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=timezone.utc)


def priced(model: str, base_url: str | None = None, when: datetime | None = None) -> Price:
    price = lookup(model, base_url, when)
    assert price is not None
    return price


def episode(*usage: tuple[int, int, int], kind: str = "react") -> Trajectory:
    """One episode with a call for each (prompt tokens, completion tokens, cached tokens)."""
    steps = tuple(Step("ask", "x", completion=Completion("x", "stop", *tokens)) for tokens in usage)
    return Trajectory("q", Question("q", "?", ("a",)), kind, (*steps, Step("act", "seen")), "a", StopReason.FINISHED,
                      Score(1.0, 1.0))


# --- whose price


def test_openais_price_now() -> None:
    price = priced("gpt-4.1", when=on(2026, 11, 1))
    assert (price.input, price.cached, price.output) == (2.0, 0.5, 8.0)
    assert price.source.startswith("genai-prices ")
    assert price.source.endswith(", openai")
    assert price.day == "2026-11-01"


def test_the_price_of_a_day() -> None:
    before, after = priced("o3", when=on(2025, 6, 9)), priced("o3", when=on(2025, 6, 10))
    assert (before.input, before.output, before.since) == (10.0, 40.0, None)
    assert (after.input, after.output, after.since) == (2.0, 8.0, "2025-06-10")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://localhost:11434/v1", "https://llm.example/v1",
                                 "https://llm.example/api.openai.com", "not an address", ""])
def test_a_name_says_nothing_at_an_endpoint_that_is_not_known(url: str) -> None:
    assert lookup("gpt-4.1") is not None
    assert lookup("gpt-4.1", url) is None


def test_an_endpoint_that_is_known_has_its_own_prices() -> None:
    assert priced("gpt-4.1", "https://api.openai.com/v1") == priced("gpt-4.1")
    groq = priced("openai/gpt-oss-20b", "https://api.groq.com/openai/v1")
    assert groq.source.endswith(", groq")
    assert lookup("openai/gpt-oss-20b") is None


def test_a_fine_tuned_model_never_has_its_bases_price() -> None:
    assert (priced(TUNED, when=on(2024, 5, 1)).input, priced(TUNED, when=on(2024, 5, 1)).output) == (3.0, 6.0)
    for base in ("gpt-4-0613", "gpt-4.1-2025-04-14", "gpt-4.1", "o3", "moderation"):
        assert lookup(base) is None or lookup(f"ft:{base}:org::id") is None
    assert lookup("gpt-4-0613") is not None


def test_the_prices_when_the_paper_was_written() -> None:
    """The package has only what fine-tuned GPT-3.5 cost later."""
    tuned = named(TUNED + PAPER)
    assert (tuned.input, tuned.cached, tuned.output) == (12.0, 12.0, 16.0)
    assert "unverified" in tuned.source
    assert [(price.input, price.output) for price in map(named, ("gpt-3.5-turbo-0613" + PAPER, "gpt-3.5-turbo" + PAPER,
                                                                 "gpt-4-0613" + PAPER))] == [
        (1.5, 2.0), (1.5, 2.0), (30.0, 60.0)]
    assert named("gpt-3.5-turbo-1106" + PAPER).source.endswith(", openai")
    assert named("ft:gpt-3.5-turbo-0613@2023-11-06").input == 3.0


def test_before_the_first_known_price_there_is_none() -> None:
    for model, first in (("ft:gpt-3.5-turbo-0613", on(2023, 8, 22)), ("gpt-3.5-turbo", on(2023, 6, 13))):
        assert priced(model, when=first).since == str(first.date())
        assert lookup(model, when=first - timedelta(seconds=1)) is None
    with pytest.raises(ConfigError, match=r"no price is known for 'ft:gpt-3\.5-turbo-0613@2023-08-21'"):
        named("ft:gpt-3.5-turbo-0613@2023-08-21")


def test_a_model_that_charges_by_the_call() -> None:
    price = named("perplexity/sonar")
    assert price.call > 0
    assert cost(price, 1000, 100) == pytest.approx((1000 * price.input + 100 * price.output) / 1e6 + price.call)


def test_a_model_without_a_price_by_the_token_has_none() -> None:
    assert lookup("whisper-1") is None
    assert lookup("no-such-model") is None


# --- what a call costs


def test_the_cost_of_nothing_known_is_unknown() -> None:
    assert cost(None, 10, 10) is None


def test_a_prompt_beyond_the_price_has_none() -> None:
    price = priced("gpt-5.6-sol", when=on(2026, 11, 1))
    assert price.longest == 272_000
    assert cost(price, 272_000, 1) is not None
    assert cost(price, 272_001, 1) is None


PRICE = Price(2.0, 8.0, 0.5, 2.5, "test")


@given(st.integers(0, 100_000), st.integers(0, 10_000), st.integers(0, 200_000), st.integers(0, 200_000))
def test_caching_lies_between_its_cheapest_and_its_dearest(prompt: int, reply: int, cached: int, written: int) -> None:
    dollars = cost(PRICE, prompt, reply, cached, written)
    assert dollars is not None
    assert (prompt * 0.5 + reply * 8) / 1e6 - 1e-12 <= dollars <= (prompt * 2.5 + reply * 8) / 1e6 + 1e-12


@given(st.integers(1, 100_000), st.integers(0, 10_000))
def test_the_cost_is_that_of_the_package(prompt: int, reply: int) -> None:
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=prompt, cache_read_tokens=prompt // 3, output_tokens=reply)
    theirs = calc_price(usage, "gpt-4.1", provider_id="openai").total_price
    assert cost(lookup("gpt-4.1"), prompt, reply, prompt // 3) == pytest.approx(float(theirs))


def test_prices_set_by_hand() -> None:
    assert set_by_hand(PRICE, None, None, None) is PRICE
    assert set_by_hand(None, 1.0, 2.0, None) == Price(1.0, 2.0, 1.0, 1.0, "set by hand")
    for partly in ((1.0, None, None), (None, 1.0, None), (None, None, 1.0), (None, 1.0, 1.0)):
        assert set_by_hand(None, *partly) is None
    # With a price of one's own for the prompt, the list's discounts no longer hold.
    assert set_by_hand(PRICE, 1.0, None, None) == Price(1.0, 8.0, 1.0, 1.0, "set by hand, else test")
    assert set_by_hand(PRICE, None, 1.0, None) == Price(2.0, 1.0, 0.5, 2.5, "set by hand, else test")
    assert set_by_hand(PRICE, None, None, 0.0) == Price(2.0, 8.0, 0.0, 2.5, "set by hand, else test")


# --- names of prices


@pytest.mark.parametrize("name", ["", "gpt-99", "nobody/gpt-4.1", "@2023-09-15", "ft:gpt-4-0613:org::id", "gpt-4.1\n"])
def test_a_name_without_a_price_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"no price is known for .*; write one of OpenAI's models, or provider/model"):
        named(name)


def test_a_day_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'gpt-4\.1@2023-13-01' ends in a day that is none; write e.g. @2023-09-15"):
        named("gpt-4.1@2023-13-01")


def test_the_names_of_the_refusal_have_prices() -> None:
    for name in ("gpt-4.1", "groq/openai/gpt-oss-20b", "ft:gpt-3.5-turbo-0613@2023-09-15"):
        assert named(name).input > 0


def test_a_price_in_words_names_its_date_and_table() -> None:
    told = describe(named("o3@2025-07-01"))
    assert told.startswith("US$ 2 in, 0.5 cached, 8 out per million tokens (genai-prices ")
    assert told.endswith(", openai, for 2025-07-01, in force since 2025-06-10)")
    assert describe(named(TUNED + PAPER)) == ("US$ 12 in, 16 out per million tokens (OpenAI's prices of 2023 (from "
                                              "memory, unverified), for 2023-09-15, in force since 2023-08-22)")
    assert describe(named("o3@2025-06-09")).endswith(", openai, for 2025-06-09, since when is not known)")
    assert describe(Price(1.0, 2.0, 1.0, 1.0, "set by hand", call=0.01)) == (
        "US$ 1 in, 2 out per million tokens and 0.01 a call (set by hand)")


def test_an_unknown_price_in_words_says_how_to_set_it() -> None:
    assert unknown("m", None) == ("no price is known for m at OpenAI, so its cost is left open; set the model's "
                                  "options price_in and price_out (US dollars per million tokens)")


# --- what recorded usage costs


def test_the_papers_table_3_is_not_what_its_usage_costs() -> None:
    """The paper reports 2.2e-3 and 2.6e-3 dollars a trial for fine-tuned and prompted GPT-3.5.

    The released episodes need 482 prompt and 140 completion tokens, and 3,164 with the few-shot prompt.
    """
    tuned, prompted = (200, 60, 0), (282, 80, 0)
    fireact = recompute([episode(tuned, prompted)], TUNED + PAPER)
    react = recompute([episode((3164, 140, 0))], "gpt-3.5-turbo-0613" + PAPER)
    assert fireact.mean == pytest.approx(8.0e-3, rel=0.01)
    assert react.mean == pytest.approx(5.0e-3, rel=0.01)
    assert (fireact.input, fireact.output) == (pytest.approx(482 * 12e-6), pytest.approx(140 * 16e-6))


def test_usage_is_priced_by_episode() -> None:
    records = [episode((1000, 100, 400), (2000, 100, 0)), episode((1000, 0, 0))]
    found = recompute(records, "gpt-4.1@2026-11-01")
    first, second = (3000 * 2 + 200 * 8) / 1e6, 1000 * 2 / 1e6
    assert (found.n, found.calls, found.name) == (2, 1.5, "gpt-4.1@2026-11-01")
    assert found.mean == pytest.approx((first + second) / 2)
    assert found.se == pytest.approx(abs(first - second) / 2)
    assert found.input + found.output == pytest.approx(found.mean)
    assert found.saved == pytest.approx(400 * 1.5 / 1e6 / 2)


def test_an_episode_without_calls_costs_nothing_and_counts() -> None:
    found = recompute([episode((1000, 10, 0)), episode()], "gpt-4.1")
    alone = recompute([episode((1000, 10, 0))], "gpt-4.1")
    assert found.mean == pytest.approx(alone.mean / 2)
    assert alone.se is None


def test_a_charge_by_the_call_is_part_of_the_input() -> None:
    price = named("perplexity/sonar")
    found = recompute([episode((10, 1, 0), (10, 1, 0))], "perplexity/sonar")
    assert found.input == pytest.approx(20 * price.input / 1e6 + 2 * price.call)


@pytest.mark.parametrize(("records", "told"), [
    ([], "of 0 model calls 0"),
    ([episode()], "of 0 model calls 0"),
    ([episode((0, 0, 0), (5, 5, 0))], "of 2 model calls 1"),
])
def test_what_was_not_recorded_has_no_price(records: Any, told: str) -> None:
    with pytest.raises(DataError, match=f"{told} have their tokens recorded, so they cannot be priced as gpt-4"):
        recompute(records, "gpt-4.1")


def test_usage_beyond_a_price_is_refused() -> None:
    with pytest.raises(ConfigError, match="another price for prompts of more than 272,000 tokens"):
        recompute([episode((300_000, 1, 0))], "gpt-5.6-sol")


def test_usage_at_an_unknown_price_is_refused() -> None:
    with pytest.raises(ConfigError, match="no price is known for 'gpt-99'"):
        recompute([episode((5, 5, 0))], "gpt-99")
