"""The API model against a server on the loopback: what is sent, and what comes back."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fireact.model.api import Api
from fireact.requests import Ask
from fireact.store import identity
from fireact.types import Completion, Episode, Message

KEY = "sk-very-secret-0123456789"
ASK = Ask((Message("system", "Be short."), Message("user", "Capital of France?")), ("\nObservation", "\nQuestion:"),
          episode=Episode("q1", seed=7))


def chat(text: Any = "Thought: so.", finish: str | None = "stop", *, reasoning: str | None = None,
         **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **({"reasoning_content": reasoning} if reasoning else {})}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}


def used(prompt: int, completion: int, **details: int | None) -> dict[str, Any]:
    """An answer with this usage."""
    return chat(usage={"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
                       "prompt_tokens_details": details})


def failed(text: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": text, **more}}


@dataclass
class Endpoint:
    """Answers with `answers` in order, the last one again and again, and keeps what it was asked."""

    url: str
    answers: list[Any] = field(default_factory=lambda: [(200, chat())])
    """Status, body, and headers in place of a pause of a millisecond; or what makes them of a request. A body None
    breaks the connection off."""
    holds: dict[int, threading.Event] = field(default_factory=dict)
    """By a request's number: what its answer waits for."""
    calls: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """When each request came."""
    models: list[str] | None = None
    """What GET /models lists; None: nothing is there."""

    def asked(self, path: str, headers: Any, body: bytes) -> tuple[Any, ...]:
        self.calls.append(json.loads(body))
        self.paths.append(path)
        self.headers.append(headers)
        self.times.append(time.monotonic())
        number = len(self.calls) - 1
        if number in self.holds:
            self.holds[number].wait(20)
        answer = self.answers[min(number, len(self.answers) - 1)]
        return answer(self.calls[number]) if callable(answer) else answer


def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(*this.asked(self.path, self.headers, asked))

        def do_GET(self) -> None:
            this.paths.append(self.path)
            listed = {"data": [{"id": model} for model in this.models or []]}
            self.answer(404 if this.models is None else 200, listed)

        def answer(self, status: int, body: Any, headers: Any = None) -> None:
            if body is None:
                self.close_connection = True
                return
            sent = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {"retry-after-ms": "1"}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *args: None        # A client may leave while it is being answered.
    this = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield this
    finally:
        for held in this.holds.values():
            held.set()
        server.shutdown()
        server.server_close()
        thread.join()


endpoint = pytest.fixture(serving)
other = pytest.fixture(serving)


def complete(api: Api, ask: Ask = ASK) -> Completion:
    (reply,) = together(api, ask)
    return reply


def together(api: Api, *asks: Ask) -> list[Completion]:
    """Ask all at once, and leave nothing behind: no connection and no task."""

    async def all_of_them() -> list[Completion]:
        try:
            return await asyncio.gather(*map(api.complete, asks))
        finally:
            await api.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            assert len(asks) > 1 or not others

    return asyncio.run(all_of_them())


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that comes sooner or later."""
    for _ in range(4000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it does not come")


def refusal(api: Api, kind: type[Exception], ask: Ask = ASK) -> str:
    """The sentence of the failure, which is one line and never tells the key."""
    with pytest.raises(kind) as failure:
        complete(api, ask)
    assert type(failure.value) is kind
    text = str(failure.value)
    assert KEY not in text
    assert "\n" not in text
    return text


def test_what_is_sent(endpoint: Endpoint) -> None:
    complete(Api(model="gpt-x", base_url=endpoint.url, temperature=0.5, max_tokens=64, key_env="OPENAI_API_KEY",
                 options={"top_p": 0.9}))
    assert endpoint.paths == ["/v1/chat/completions"]
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert endpoint.headers[0]["User-Agent"].startswith("fireact/")
    assert endpoint.calls == [{
        "model": "gpt-x", "temperature": 0.5, "max_tokens": 64, "seed": 7, "stop": ["\nObservation", "\nQuestion:"],
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Capital of France?"}],
        "top_p": 0.9}]


def test_no_key_is_sent_where_none_was_named(endpoint: Endpoint) -> None:
    complete(Api(model="m", base_url=endpoint.url))
    assert endpoint.headers[0]["Authorization"] is None


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


def test_the_stop_strings_are_cut_on_our_side_too(endpoint: Endpoint) -> None:
    endpoint.answers = [(200, chat("Thought: a\nQuestion: b\nObservation: c"))]
    assert complete(Api(model="m", base_url=endpoint.url)).text == "Thought: a"


def test_a_model_may_be_used_again_after_it_was_closed(endpoint: Endpoint) -> None:
    api = Api(model="m", base_url=endpoint.url)
    assert [complete(api).text for _ in range(2)] == ["Thought: so."] * 2
    asyncio.run(Api(model="m").close())


@pytest.mark.parametrize("finish", ["eos", "", None, "STOP"])
def test_a_finish_reason_that_is_none_of_openais_is_understood(
        endpoint: Endpoint, finish: str, capsys: pytest.CaptureFixture[str]) -> None:
    endpoint.answers = [(200, chat("so", finish))]
    assert complete(Api(model="m", base_url=endpoint.url, price_in=0, price_out=0)).finish == "stop"
    assert capsys.readouterr().err == ""


def test_an_unknown_finish_reason_is_told_once(endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    endpoint.answers = [(200, chat("so", "banana"))]
    replies = together(Api(model="m", base_url=endpoint.url, price_in=0, price_out=0), ASK, ASK)
    assert [(reply.text, reply.finish) for reply in replies] == [("so", "stop")] * 2
    assert capsys.readouterr().err == (
        f"  {endpoint.url} ended a reply with the unknown finish_reason='banana'; it is taken for a whole one\n")


def test_the_least_busy_of_several_addresses_is_asked(endpoint: Endpoint, other: Endpoint) -> None:
    endpoint.holds = {number: threading.Event() for number in range(9)}
    other.holds = {0: threading.Event()}

    async def four() -> None:
        api = Api(model="m", base_url=[endpoint.url, other.url])
        tasks = [asyncio.create_task(api.complete(ASK)) for _ in range(4)]
        await until(lambda: len(endpoint.calls) + len(other.calls) == 4)
        assert (len(endpoint.calls), len(other.calls)) == (2, 2)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await api.complete(ASK)                 # The other has answered one, and holds one.
        assert (len(endpoint.calls), len(other.calls)) == (2, 3)
        for held in (*endpoint.holds.values(), *other.holds.values()):
            held.set()
        await asyncio.gather(*tasks)
        await api.close()

    asyncio.run(four())


def test_what_servers_are_called_counts_in_place_of_where_they_stand() -> None:
    def counted(**options: Any) -> dict[str, Any]:
        return identity({"_target_": "fireact.model.api.Api", "model": "m", **options})

    assert counted()["family"] == "api.openai.com"
    assert counted(base_url="http://A:8000/v1")["family"] == "a:8000"
    assert counted(base_url="http://a:8000/v1") == counted(base_url=["https://a:8000/v1/", "http://b:1/v1"])
    assert counted(base_url=["http://a:8000", "http://b:1"]) == counted(base_url=["http://b:1", "http://a:8000"])
    # A path may tell the model, as a deployment at Azure does, or whose servers a router leads to.
    assert counted(base_url="http://a:8000/deployments/small") != counted(base_url="http://a:8000/deployments/large")
    assert counted(base_url="http://a:8000/v1") != counted(base_url="http://a:8001/v1")
    assert counted(base_url="http://a:1/v1", family="llama") == counted(base_url=["http://b:2/v1"], family="llama")
    runtime = {"hedge": 4, "timeout": 1.0, "patience": 1.0, "requests_per_minute": 5, "tokens_per_minute": 5,
               "headers": {"a": "b"}, "key_env": "K", "retries": 1, "price_in": 1.0}
    assert counted(**runtime) == counted()
    for change in ({"temperature": 1.0}, {"options": {"top_p": 0.5}}, {"route": "completions"}, {"query": {"a": "b"}}):
        assert counted(**change) != counted()
