"""The API model against a server on the loopback that speaks /v1/chat/completions."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import ConfigError, ContextError, ProviderError
from fireact.model.api import Api
from fireact.plugins import check
from fireact.prices import lookup
from fireact.types import Ask, Completion, Episode, Message

KEY = "sk-very-secret-0123456789"
ASK = Ask((Message("system", "Be short."), Message("user", "Capital of France?")), ("\nObservation", "\nQuestion:"),
          episode=Episode("q1", seed=7))


def chat(text: Any = "Thought: so.", finish: str = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}


@dataclass
class Endpoint:
    """Answers with `answers` in order, the last one again and again, and keeps what it was asked."""

    url: str
    answers: list[tuple[int, Any]] = field(default_factory=lambda: [(200, chat())])
    calls: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    delay: float = 0.0

    def answer(self) -> tuple[int, str, bytes]:
        status, body = self.answers[min(len(self.calls), len(self.answers)) - 1]
        if isinstance(body, str):
            return status, "text/html", body.encode()
        return status, "application/json", json.dumps(body).encode()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    gone = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            this.calls.append(json.loads(asked))
            this.paths.append(self.path)
            this.keys.append(self.headers["Authorization"])
            gone.wait(this.delay)
            status, kind, body = this.answer()
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", len(body)), ("retry-after-ms", 1)):
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    this = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield this
    gone.set()
    server.shutdown()
    server.server_close()
    thread.join()


def complete(api: Api, ask: Ask = ASK) -> Completion:
    async def once() -> Completion:
        try:
            return await api.complete(ask)
        finally:
            client = vars(api).get("_client")
            if client is not None:
                await client.close()

    return asyncio.run(once())


def refusal(api: Api, kind: type[Exception]) -> str:
    """The sentence of the failure, which is one line and never tells the key."""
    with pytest.raises(kind) as failure:
        complete(api)
    assert type(failure.value) is kind
    text = str(failure.value)
    assert KEY not in text
    assert "\n" not in text
    return text


def test_what_is_sent(endpoint: Endpoint) -> None:
    complete(Api(model="gpt-x", base_url=endpoint.url, temperature=0.5, max_tokens=64, key_env="OPENAI_API_KEY"))
    assert endpoint.paths == ["/v1/chat/completions"]
    assert endpoint.keys == [f"Bearer {KEY}"]
    assert endpoint.calls == [{
        "model": "gpt-x", "temperature": 0.5, "max_tokens": 64, "seed": 7, "stop": ["\nObservation", "\nQuestion:"],
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Capital of France?"}]}]


def test_no_key_is_sent_where_none_was_named(endpoint: Endpoint) -> None:
    complete(Api(model="m", base_url=endpoint.url))
    assert endpoint.keys == ["Bearer none"]


def test_a_prime_is_asked_for_in_words_unless_it_is_a_label(endpoint: Endpoint) -> None:
    for prime in ("Thought:", "Thought: Now reflect."):
        complete(Api(model="m", base_url=endpoint.url), Ask((Message("user", "x"),), prime=prime))
    said = [call["messages"][-1]["content"] for call in endpoint.calls]
    assert said == ["x", "x\n\nBegin your reply with: Thought: Now reflect."]


def test_a_greedy_call_has_no_seed_and_an_ask_may_shorten_the_reply(endpoint: Endpoint) -> None:
    complete(Api(model="m", base_url=endpoint.url, max_tokens=64), Ask((Message("user", "x"),), max_tokens=5))
    assert endpoint.calls[0] == {"model": "m", "temperature": 0.0, "max_tokens": 5,
                                 "messages": [{"role": "user", "content": "x"}]}


def test_what_a_model_refuses_is_not_sent(endpoint: Endpoint) -> None:
    complete(Api(model="m", base_url=endpoint.url, temperature=None, reasoning_effort="none"))
    assert "temperature" not in endpoint.calls[0]
    assert endpoint.calls[0]["reasoning_effort"] == "none"


def test_what_comes_back(endpoint: Endpoint) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020,
             "prompt_tokens_details": {"cached_tokens": 800}}
    endpoint.answers = [(200, chat("Thought: cut", "length", usage=usage))]
    reply = complete(Api(model="m", base_url=endpoint.url, price_in=2.0, price_out=8.0))
    assert (reply.text, reply.finish) == ("Thought: cut", "length")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens) == (1000, 20, 800)
    assert reply.cost == pytest.approx((1000 * 2 + 20 * 8) / 1e6)
    assert reply.seconds > 0


def test_without_usage_or_prices_nothing_is_made_up(endpoint: Endpoint) -> None:
    reply = complete(Api(model="m", base_url=endpoint.url, price_in=2.0, price_out=8.0))
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cost) == (0, 0, None)
    endpoint.answers = [(200, chat(usage={"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}))]
    assert complete(Api(model="m", base_url=endpoint.url)).cost is None


def used(prompt: int, completion: int, **details: int | None) -> dict[str, Any]:
    """An answer with this usage."""
    return chat(usage={"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
                       "prompt_tokens_details": details})


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

    async def twice(api: Api) -> list[float | None]:
        costs = [(await api.complete(ASK)).cost for _ in range(2)]
        await api._client.close()
        return costs

    assert asyncio.run(twice(Api(model="gpt-4.1", base_url=endpoint.url))) == [None, None]
    assert capsys.readouterr().err == (
        f"  no price is known for gpt-4.1 at {endpoint.url}, so its cost is left open; set the model's options "
        "price_in and price_out (US dollars per million tokens)\n")


def test_one_price_of_two_is_not_enough(endpoint: Endpoint) -> None:
    endpoint.answers = [(200, used(1000, 20))]
    assert complete(Api(model="m", base_url=endpoint.url, price_in=1.0)).cost is None
    assert complete(Api(model="m", base_url=endpoint.url, price_cached=1.0)).cost is None


def test_a_passing_fault_is_repeated(endpoint: Endpoint) -> None:
    endpoint.answers = [(429, {"error": {"message": "slow down"}}), (500, "<html>oops</html>"), (200, chat("done"))]
    assert complete(Api(model="m", base_url=endpoint.url, retries=2)).text == "done"
    assert len(endpoint.calls) == 3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_does_not_pass_is_told(endpoint: Endpoint, status: int) -> None:
    endpoint.answers = [(status, {"error": {"message": "the server\nis overloaded"}})]
    text = refusal(Api(model="m", base_url=endpoint.url, retries=1), ProviderError)
    assert text == f"{endpoint.url} failed: the server is overloaded"
    assert len(endpoint.calls) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_its_variable(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setenv("MY_KEY", f"  {KEY}\n")
    endpoint.answers = [(status, {"error": {"message": f"Incorrect API key provided: {KEY}."}})]
    text = refusal(Api(model="m", base_url=endpoint.url, key_env="MY_KEY"), ConfigError)
    assert text == f"{endpoint.url} refuses the key in $MY_KEY: Incorrect API key provided: ***."
    assert endpoint.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize("key", ["sk-\nvery-secret", "sk-sécrèt"])
def test_a_key_that_cannot_be_sent_is_refused_untold(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    text = refusal(Api(model="m", base_url="http://127.0.0.1:9/v1", key_env="OPENAI_API_KEY"), ConfigError)
    assert text == "the key in $OPENAI_API_KEY holds a line break or a letter that no key has; set it anew"


def test_a_key_in_place_of_its_variables_name_is_refused_untold() -> None:
    node = {"_target_": "fireact.model.api.Api", "model": "m"}
    check({**node, "key_env": None}, "teacher")
    with pytest.raises(ConfigError, match=r"^key_env is no name of an environment variable; ") as failure:
        check({**node, "key_env": KEY}, "teacher")
    assert KEY not in str(failure.value)


def test_an_unknown_model_is_a_config_error(endpoint: Endpoint) -> None:
    endpoint.answers = [(404, {"error": {"message": "The model `m` does not exist"}})]
    text = refusal(Api(model="m", base_url=endpoint.url), ConfigError)
    assert text.startswith(f"{endpoint.url} has no model 'm': The model `m` does not exist; set ")


def test_a_prompt_that_is_too_long_is_a_context_error(endpoint: Endpoint) -> None:
    endpoint.answers = [(400, {"error": {"message": "This model's maximum context length is 10 tokens",
                                         "code": "context_length_exceeded"}})]
    assert "maximum context length is 10" in refusal(Api(model="m", base_url=endpoint.url), ContextError)


def test_another_refused_request_is_a_provider_error(endpoint: Endpoint) -> None:
    endpoint.answers = [(400, {"error": {"message": "Unsupported value: 'temperature'"}})]
    text = refusal(Api(model="m", base_url=endpoint.url), ProviderError)
    assert text == f"{endpoint.url} refuses the request: Unsupported value: 'temperature'"
    assert len(endpoint.calls) == 1


@pytest.mark.parametrize(("body", "told"), [
    ("<html>Welcome</html>", "'<html>Welcome</html>'"),
    ("", "''"),
    ({"error": {"message": "quota"}}, "choices: Field required"),
    (chat() | {"choices": []}, "choices: List should have at least 1 item"),
    (chat(None), "choices.0.message.content: Input should be a valid string"),
    ({"choices": [{"message": None}]}, "choices.0.message"),
    (["a", "list"], "Input should be an object"),
])
def test_an_answer_that_is_no_completion_is_told(endpoint: Endpoint, body: Any, told: str) -> None:
    endpoint.answers = [(200, body)]
    text = refusal(Api(model="m", base_url=endpoint.url), ProviderError)
    assert text.startswith(f"{endpoint.url} answered without a text (")
    assert told in text
    assert text.endswith("; check that base_url is a chat API")


def test_an_endpoint_that_is_silent_is_given_up(endpoint: Endpoint) -> None:
    endpoint.delay = 5
    text = refusal(Api(model="m", base_url=endpoint.url, timeout=0.2, retries=0), ProviderError)
    assert text == f"{endpoint.url} did not answer within 0.2 seconds; raise the model's option timeout"


def test_an_endpoint_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    text = refusal(Api(model="m", base_url="http://127.0.0.1:9/v1", retries=0), ProviderError)
    assert text == "http://127.0.0.1:9/v1 cannot be reached: All connection attempts failed"


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "ftp://x/v1", "http://x:port/v1", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    text = refusal(Api(model="m", base_url=url), ConfigError)
    assert text == f"base_url={url} is no address; write e.g. http://127.0.0.1:8000/v1"


@pytest.mark.parametrize("key", [None, "", " \n"])
def test_openai_needs_a_key(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    text = refusal(Api(model="gpt-4.1"), ConfigError)
    assert text.startswith("model gpt-4.1 needs a key: set the environment variable OPENAI_API_KEY, or base_url")


def test_an_endpoint_of_ones_own_needs_no_key(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert complete(Api(model="m", base_url=endpoint.url)).text == "Thought: so."


def test_the_address_comes_from_the_configuration_alone(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint) -> None:
    """The openai package would take it from the environment, and the store would take both models for one."""
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
    assert str(Api(model="m")._client.base_url) == "https://api.openai.com/v1/"


@pytest.mark.parametrize(("name", "value", "sentence"), [
    ("temperature", -1, "greater than or equal to 0"),
    ("max_tokens", 0, "greater than or equal to 1"),
    ("price_in", -2, "greater than or equal to 0"),
    ("price_out", float("nan"), "a finite number"),
    ("price_cached", -0.1, "greater than or equal to 0"),
    ("timeout", 0, "greater than 0"),
    ("retries", -1, "greater than or equal to 0"),
])
def test_numbers_out_of_range_are_refused(name: str, value: float, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"teacher.{name}={value} does not fit: input should be {sentence}"):
        check({"_target_": "fireact.model.api.Api", name: value}, "teacher")
