"""What calls of the API model cost."""

from pathlib import Path
from typing import Any

import pytest

from fireact.model.api import Api
from fireact.prices import lookup
from tests.model.test_api import ASK, Endpoint, chat, complete, serving, together, used

endpoint = pytest.fixture(serving)


def test_without_usage_or_prices_nothing_is_made_up(endpoint: Endpoint) -> None:
    reply = complete(Api(model="m", base_url=endpoint.url, price_in=2.0, price_out=8.0))
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cost) == (0, 0, None)
    endpoint.answers = [(200, chat(usage={"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}))]
    assert complete(Api(model="m", base_url=endpoint.url)).cost is None


@pytest.fixture
def openai_itself(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """What base_url=null leads to: only there is a model known by its id."""
    monkeypatch.setattr("fireact.model.api._OPENAI", endpoint.url)
    endpoint.answers = [(200, used(1000, 20, cached_tokens=800))]
    return endpoint


def test_the_list_price_counts_cached_tokens(openai_itself: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    listed = lookup("gpt-4.1")
    assert listed
    assert listed.cached < listed.input
    cost = complete(Api(model="gpt-4.1")).cost
    assert cost == pytest.approx((200 * listed.input + 800 * listed.cached + 20 * listed.output) / 1e6)
    assert capsys.readouterr().err == ""


def test_tokens_written_to_a_cache_have_their_own_price(openai_itself: Endpoint) -> None:
    openai_itself.answers = [(200, used(1000, 20, cached_tokens=None, cache_write_tokens=600))]
    listed = lookup("gpt-5.6-sol")
    assert listed
    assert listed.written > listed.input
    cost = complete(Api(model="gpt-5.6-sol")).cost
    assert cost == pytest.approx((400 * listed.input + 600 * listed.written + 20 * listed.output) / 1e6)


@pytest.mark.parametrize(("options", "dollars"), [
    ({"price_in": 10.0, "price_out": 30.0}, 1000 * 10 + 20 * 30),
    ({"price_in": 10.0, "price_out": 30.0, "price_cached": 1.0}, 200 * 10 + 800 * 1 + 20 * 30),
    ({"price_in": 0.0, "price_out": 0.0}, 0),
])
def test_a_price_that_was_set_wins(openai_itself: Endpoint, options: dict[str, Any], dollars: float) -> None:
    assert complete(Api(model="gpt-4.1", **options)).cost == pytest.approx(dollars / 1e6)


def test_what_was_not_set_is_looked_up(openai_itself: Endpoint) -> None:
    listed = lookup("gpt-4.1")
    assert listed
    assert complete(Api(model="gpt-4.1", price_in=10.0)).cost == pytest.approx(
        (1000 * 10 + 20 * listed.output) / 1e6)
    assert complete(Api(model="gpt-4.1", price_out=30.0)).cost == pytest.approx(
        (200 * listed.input + 800 * listed.cached + 20 * 30) / 1e6)
    assert complete(Api(model="gpt-4.1", price_cached=0.0)).cost == pytest.approx(
        (200 * listed.input + 20 * listed.output) / 1e6)


def test_a_fine_tuned_model_costs_its_own_price(openai_itself: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"model": "ft:gpt-4o-mini-2024-07-18:org::id"}')
    tuned, plain = lookup("ft:gpt-4o-mini-2024-07-18:org::id"), lookup("gpt-4o-mini-2024-07-18")
    assert tuned
    assert plain
    assert tuned.output > plain.output
    cost = complete(Api(model="gpt-4o-mini-2024-07-18", adapter=tmp_path)).cost
    assert cost == pytest.approx((200 * tuned.input + 800 * tuned.cached + 20 * tuned.output) / 1e6)


def test_an_unknown_price_is_told_once(endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    """A model at another endpoint is not OpenAI's, whatever its name."""
    endpoint.answers = [(200, used(1000, 20))]

    replies = together(Api(model="gpt-4.1", base_url=endpoint.url), ASK, ASK)
    assert [reply.cost for reply in replies] == [None, None]
    assert capsys.readouterr().err == (
        f"  no price is known for gpt-4.1 at {endpoint.url}, so its cost is left open; set the model's options "
        "price_in and price_out (US dollars per million tokens)\n")


def test_one_price_of_two_is_not_enough(endpoint: Endpoint) -> None:
    endpoint.answers = [(200, used(1000, 20))]
    assert complete(Api(model="m", base_url=endpoint.url, price_in=1.0)).cost is None
    assert complete(Api(model="m", base_url=endpoint.url, price_cached=1.0)).cost is None
