"""What cannot be had of an endpoint: each failure has its kind and one sentence, and none is asked for twice."""

import socket
import threading
from typing import Any

import pytest

from fireact.errors import ConfigError, ContextError, FilterError, ProviderError
from fireact.model.api import Api
from fireact.plugins import check
from tests.model.test_api import KEY, Endpoint, chat, complete, failed, refusal, serving

endpoint = pytest.fixture(serving)
PAGE = "<html>\n<h1>Welcome</h1></html>"


def refused(endpoint: Endpoint, kind: type[Exception], *answer: Any, **options: Any) -> str:
    """The sentence of a refusal that is not repeated, without the address it begins with."""
    endpoint.answers = [answer]
    text = refusal(Api(model="m", base_url=endpoint.url, **options), kind)
    assert len(endpoint.calls) == 1
    return text.removeprefix(f"{endpoint.url} ")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_its_variable(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setenv("MY_KEY", f"  {KEY}\n")
    answer = failed(f"Incorrect API key provided: {KEY}.")
    assert (refused(endpoint, ConfigError, status, answer, key_env="MY_KEY")
            == "refuses the key in $MY_KEY: Incorrect API key provided: ***.; set it to one of this endpoint's")
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_an_endpoint_that_wants_a_key_is_told_how_to_give_one(endpoint: Endpoint) -> None:
    assert refused(endpoint, ConfigError, 401, failed("No key.")) == (
        "wants a key: No key.; set the model's option key_env to the name of the variable that holds it")


@pytest.mark.parametrize("answer", [
    (429, failed("You exceeded your current quota.", type="insufficient_quota", code="insufficient_quota")),
    (402, failed("Insufficient Balance")), (402, ""),
    (400, failed("Your credit balance is too low to access the API.")),
    (403, failed("Pay.", code="insufficient_quota")), (200, failed("Pay.", code="insufficient_quota")),
], ids=str)
def test_a_quota_that_is_used_up_is_a_config_error(endpoint: Endpoint, answer: tuple) -> None:
    text = refused(endpoint, ConfigError, *answer)
    assert text.startswith("wants to be paid first: ")
    assert text.endswith("; what was played is kept, go on with the same command once the account is settled")


def test_a_rate_limit_that_tells_of_billing_is_none(endpoint: Endpoint) -> None:
    told = "Limit: 3 / min. Add a payment method at https://platform.openai.com/account/billing to have more."
    endpoint.answers = [(429, failed(told, code="rate_limit_exceeded")), (200, chat("done"))]
    assert complete(Api(model="m", base_url=endpoint.url)).text == "done"


@pytest.mark.parametrize("answer", [
    (400, failed("This model's maximum context length is 10 tokens", code="context_length_exceeded")),
    (413, "too large"), (500, failed("the request exceeds the available context size")),
], ids=str)
def test_a_prompt_that_is_too_long_is_a_context_error(endpoint: Endpoint, answer: tuple) -> None:
    assert refused(endpoint, ContextError, *answer).startswith("refuses the request: ")


@pytest.mark.parametrize("answer", [
    (400, failed("Triggered the policy.", code="content_filter")),
    (400, failed("The response was filtered by the content management policy.")),
    (403, failed("Your input was flagged", code=403, metadata={"reasons": ["x"]})),
], ids=str)
def test_a_request_that_is_filtered_is_a_filter_error(endpoint: Endpoint, answer: tuple) -> None:
    assert refused(endpoint, FilterError, *answer).startswith("refuses the request by its content filter: ")


@pytest.mark.parametrize(("answer", "why"), [
    (chat("half a", "content_filter"), "content_filter"), (chat(None, "SAFETY"), "safety"),
    ({"choices": [{"message": {"content": None, "refusal": "I can't."}}]}, "I can't."),
], ids=str)
def test_a_reply_that_is_filtered_is_a_filter_error(endpoint: Endpoint, answer: Any, why: str) -> None:
    assert refused(endpoint, FilterError, 200, answer) == f"cut the reply off by its content filter: {why}"


def test_another_refused_request_is_a_provider_error_with_its_mend(endpoint: Endpoint) -> None:
    told = "Unsupported value: 'temperature' does not support 0.0 with this model."
    assert (refused(endpoint, ProviderError, 400, failed(told))
            == f"refuses the request: {told}; set the model's option temperature to null")
    endpoint.calls.clear()
    assert refused(endpoint, ProviderError, 422, {"detail": "Extra inputs: top_k"}, options={"top_k": 5}) == (
        "refuses the request: Extra inputs: top_k; take top_k out of the model's options")
    endpoint.calls.clear()
    assert refused(endpoint, ProviderError, 400, "no\n way") == "refuses the request: 'no way'"
    endpoint.calls.clear()
    assert refused(endpoint, ProviderError, 400, failed("temperature: at most 2")).endswith(": at most 2")


@pytest.mark.parametrize(("status", "told"), [(404, "no page here"), (405, ""), (501, "Unsupported method ('POST')")])
def test_a_wrong_path_is_a_config_error(endpoint: Endpoint, status: int, told: str) -> None:
    shown = repr(" ".join(told.split())) if told else f"status {status}"
    assert refused(endpoint, ConfigError, status, told) == (
        f"has no model 'm' on the route chat: {shown}; set the model's options model, base_url (which mostly ends in "
        "/v1) and route")


def test_a_web_page_is_told_as_such(endpoint: Endpoint) -> None:
    assert refused(endpoint, ConfigError, 404, PAGE) == (
        "answered with a web page (status 404); check that base_url is the address of a chat API, which mostly ends in "
        "/v1")


def test_an_unknown_model_is_a_config_error_with_those_that_there_are(endpoint: Endpoint) -> None:
    endpoint.models = ["n-large", *(f"z{number:02}" for number in range(20))]
    for status, code in ((404, "not_found"), (400, "model_not_found")):
        endpoint.answers = [(status, failed("The model `n-larg` does not exist", code=code))]
        assert refusal(Api(model="n-larg", base_url=endpoint.url), ConfigError) == (
            f"{endpoint.url} has no model 'n-larg' (did you mean n-large?); it has n-large, z00, z01, z02, z03, z04, "
            "z05, z06, z07, z08, z09, z10, ...; set the model's option model")
    endpoint.models = ["n-larg"]
    assert "on the route completions: The model" in refusal(
        Api(model="n-larg", base_url=endpoint.url, route="completions"), ConfigError)


@pytest.mark.parametrize(("body", "told"), [
    (PAGE, "'<html> <h1>Welcome</h1></html>'"), ("", "''"), (f"key {KEY}", "'key ***'"),
    ({"response": "I speak another API"}, "choices: Field required"),
    (chat() | {"choices": []}, "choices: List should have at least 1 item"),
    ({"choices": [{"message": None}]}, "choices.0 has neither message nor text"),
    ({"choices": [{"message": {"content": 5}}]}, "choices.0.message.content: Input should be a valid string"),
    (["a", "list"], "Input should be an object"),
], ids=str)
def test_an_answer_that_is_no_completion_is_a_config_error(endpoint: Endpoint, body: Any, told: str) -> None:
    text = refused(endpoint, ConfigError, 200, body, key_env="OPENAI_API_KEY")
    assert text.startswith("answered without a text (")
    assert told in text
    assert text.endswith("; check that base_url is the address of a chat API, which mostly ends in /v1")


def test_a_redirection_is_not_followed(endpoint: Endpoint) -> None:
    to = {"Location": f"https://elsewhere/{KEY}"}
    assert refused(endpoint, ConfigError, 301, "", to, key_env="OPENAI_API_KEY") == (
        f"base_url={endpoint.url} leads on to https://elsewhere/*** (status 301); set base_url to the address of the "
        "API itself")


def test_an_empty_reply_is_the_models_own_affair(endpoint: Endpoint) -> None:
    endpoint.answers = [(200, chat("")), (200, chat(None))]
    assert [complete(Api(model="m", base_url=endpoint.url)).text for _ in range(2)] == ["", ""]


def test_an_endpoint_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    for url, why in (("http://127.0.0.1:9/v1", "Connection refused"), ("http://no-such-host.invalid/v1", "")):
        text = refusal(Api(model="m", base_url=url, patience=0), ProviderError)
        assert text.startswith(f"{url} cannot be reached: {why}")
        assert text.endswith("; check base_url, and that the endpoint runs")


def test_what_speaks_no_http_and_what_speaks_no_https_is_told(
        endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.create_server(("127.0.0.1", 0)) as server:
        def greet() -> None:
            connection, _ = server.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        text = refusal(Api(model="m", base_url=url, retries=0), ProviderError)
        thread.join()
    assert text.startswith(f"{url} answered with what is no HTTP: Bad status line")
    secure = endpoint.url.replace("http:", "https:")
    text = refusal(Api(model="m", base_url=secure, patience=0), ProviderError)
    assert text.startswith(f"{secure} cannot be reached: [SSL: ")


def test_an_address_that_swallows_all_is_one_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("fireact.model.api.transport._CONNECT", 0.2)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        assert refusal(Api(model="m", base_url=url, patience=0), ProviderError) == (
            f"{url} cannot be reached: no connection within 0.2 seconds; check base_url, and that the endpoint runs")


@pytest.mark.parametrize(("name", "value", "sentence"), [
    ("temperature", -1, "greater than or equal to 0"),
    ("max_tokens", 0, "greater than or equal to 1"),
    ("price_in", -2, "greater than or equal to 0"),
    ("price_out", float("nan"), "a finite number"),
    ("price_cached", -0.1, "greater than or equal to 0"),
    ("timeout", 0, "greater than 0"),
    ("retries", -1, "greater than or equal to 0"),
    ("patience", -1, "greater than or equal to 0"),
    ("hedge", 1, "greater than 1"),
    ("requests_per_minute", 0, "greater than 0"),
])
def test_numbers_out_of_range_are_refused(name: str, value: float, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"teacher.{name}={value} does not fit: input should be {sentence}"):
        check({"_target_": "fireact.model.api.Api", name: value}, "teacher")
