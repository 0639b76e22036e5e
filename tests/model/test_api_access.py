"""Addresses, keys and headers of the API model: what is sent where, what is refused before, and what is never told."""

from typing import Any

import pytest

from fireact.errors import ConfigError
from fireact.model.api import Api
from fireact.plugins import check
from tests.model.test_api import KEY, Endpoint, complete, failed, refusal, serving

endpoint = pytest.fixture(serving)
NODE = {"_target_": "fireact.model.api.Api", "model": "m"}
OTHER = "other-secret-9876543210"


@pytest.mark.parametrize("key", ["sk-\nvery-secret", "sk-sécrèt"])
def test_a_key_that_cannot_be_sent_is_refused_untold(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    text = refusal(Api(model="m", base_url="http://127.0.0.1:9/v1", key_env="OPENAI_API_KEY"), ConfigError)
    assert text == "the key in $OPENAI_API_KEY holds a line break or a letter that no key has; set it anew"


def test_a_key_in_place_of_its_variables_name_is_refused_untold() -> None:
    check({**NODE, "key_env": None}, "teacher")
    with pytest.raises(ConfigError, match=r"^key_env is no name of an environment variable; ") as failure:
        check({**NODE, "key_env": KEY}, "teacher")
    assert KEY not in str(failure.value)


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
    """Taken from the environment, the store would take both models for one."""
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
    assert Api(model="m").account() == ("https://api.openai.com/v1", KEY)


def test_azure_is_asked_by_its_header_and_its_version(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_KEY", f"{OTHER}\n")
    place = f"{endpoint.url}/openai/deployments/my-gpt/"
    azure = Api(model="m", base_url=place, headers={"api-key": "$AZURE_KEY", "X-Title": "me"},
                query={"api-version": "2025-04-01 preview"})
    complete(azure)
    assert endpoint.paths == ["/v1/openai/deployments/my-gpt/chat/completions?api-version=2025-04-01+preview"]
    sent = endpoint.headers[0]
    assert (sent["api-key"], sent["X-Title"], sent["Authorization"]) == (OTHER, "me", None)
    endpoint.answers = [(401, failed(f"wrong: {OTHER}"))]
    assert refusal(azure, ConfigError) == (
        f"{place} refuses the key in $AZURE_KEY: wrong: ***; set it to one of this endpoint's")
    endpoint.answers = [(404, "")]
    refusal(azure, ConfigError)
    assert endpoint.paths[-1] == "/v1/openai/deployments/my-gpt/models?api-version=2025-04-01+preview"


def test_a_header_may_take_the_place_of_the_key(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_AUTH", f"Basic {OTHER}")
    api = Api(model="m", base_url=endpoint.url, headers={"authorization": "$MY_AUTH"}, key_env="OPENAI_API_KEY")
    endpoint.answers = [(400, failed(f"{OTHER} and {KEY}"))]
    with pytest.raises(Exception, match=r"refuses the request: \*\*\* and \*\*\*$"):
        complete(api)
    assert endpoint.headers[0].get_all("Authorization") == [f"Basic {OTHER}"]


def test_the_environments_passwords_are_not_sent(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch,
                                                 tmp_path: Any) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    complete(Api(model="m", base_url=endpoint.url))
    complete(Api(model="m", base_url=endpoint.url, key_env="OPENAI_API_KEY"))
    assert [sent["Authorization"] for sent in endpoint.headers] == [None, f"Bearer {KEY}"]


def test_a_proxy_of_the_environment_is_used(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", endpoint.url.removesuffix("/v1"))
    complete(Api(model="m", base_url="http://far.invalid/v1"))
    assert endpoint.paths == ["http://far.invalid/v1/chat/completions"]


@pytest.mark.parametrize(("options", "sentence"), [
    ({"headers": {"X-Api-Key": KEY}}, "X-Api-Key holds a secret, which would be saved with the configuration; put it "
                                      "into an environment variable and write its name, e.g. {X-Api-Key: $MY_KEY}"),
    ({"query": {"key": KEY}}, "key holds a secret, "),
    ({"base_url": f"https://me:{KEY}@host/v1"}, "base_url holds a password, "),
    ({"base_url": ["http://a/v1", f"http://{KEY}@host"]}, "base_url holds a password, "),
    ({"base_url": []}, "base_url=[] names no endpoint; "),
    ({"options": {"stream": True}}, "options holds stream, which is filled in for every request; take it out"),
    ({"options": {"max_completion_tokens": 9}}, "options holds max_completion_tokens, which is filled in for every "
                                                "request; set the model's option max_tokens instead"),
], ids=str)
def test_what_must_not_stand_in_a_configuration_is_refused_untold(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as failure:
        check({**NODE, **options}, "teacher")
    assert str(failure.value).startswith(sentence)
    assert KEY not in str(failure.value)


def test_headers_by_their_variables_are_taken() -> None:
    check({**NODE, "headers": {"api-key": "$AZURE_KEY", "X-Title": "me"}, "query": {"key": "$MY_KEY"}}, "teacher")


def test_a_header_whose_variable_is_not_set_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_KEY", raising=False)
    api = Api(model="m", base_url="http://127.0.0.1:9/v1", headers={"api-key": "$AZURE_KEY"})
    assert refusal(api, ConfigError) == "api-key is to hold $AZURE_KEY, and this environment variable is not set"
    monkeypatch.setenv("AZURE_KEY", f"{KEY}\n{KEY}")
    assert refusal(api, ConfigError) == (
        "what api-key is to hold has a line break or a letter that cannot be sent; set $AZURE_KEY anew")


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "ftp://x/v1", "http://x:port/v1", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    text = refusal(Api(model="m", base_url=url), ConfigError)
    assert text == f"base_url={url} is no address; write e.g. http://127.0.0.1:8000/v1"


def test_an_address_with_too_much_behind_it_is_refused() -> None:
    assert refusal(Api(model="m", base_url="http://x/v1?api-version=1"), ConfigError) == (
        "base_url=http://x/v1?api-version=1 has more behind its path; write it as the model's option query, e.g. "
        "query: {api-version: 2025-04-01-preview}")
    for route in ("chat/completions", "completions/"):
        assert refusal(Api(model="m", base_url=f"http://x/v1/{route}"), ConfigError) == (
            f"base_url=http://x/v1/{route} is the address of a route; write the address of the API, http://x/v1")


def test_the_second_of_two_addresses_is_checked_too() -> None:
    text = refusal(Api(model="m", base_url=["http://127.0.0.1:9/v1", "nowhere"]), ConfigError)
    assert text.startswith("base_url=nowhere is no address; ")
