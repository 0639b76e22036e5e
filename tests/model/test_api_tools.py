"""Functions over the API: how they are offered, how calls are read, what is refused, and what a request may cost."""

import json
from typing import Any

import pytest

from fireact.errors import ConfigError, FormatError, ProviderError
from fireact.model.api import Api
from fireact.model.api.request import most_tokens
from fireact.requests import Ask
from fireact.strategy.calling import FINISH, read_calls
from fireact.strategy.turns import said
from fireact.toolspec import SEARCH, Call
from fireact.types import Completion, Episode, Message
from tests.model.test_api import Endpoint, chat, complete, failed, refusal, serving

endpoint = pytest.fixture(serving)
TALK = (Message("system", "Be short."), Message("user", "Who?"), Message("assistant", "I look.", (SEARCH.call("a"),)),
        Message("tool", "b"), Message("assistant", "", (SEARCH.call("c"), SEARCH.call("d"))), Message("tool", "e"),
        Message("tool", "f"))
ASK = Ask(TALK, tools=(SEARCH, FINISH), episode=Episode("q1", seed=7))


def called(*functions: dict[str, Any], content: Any = None, **more: Any) -> dict[str, Any]:
    """An answer that calls functions."""
    answer = chat(content, "tool_calls", **more)
    answer["choices"][0]["message"]["tool_calls"] = [
        {"id": f"x{number}", "type": "function", "function": function} for number, function in enumerate(functions)]
    return answer


def ask(endpoint: Endpoint, answer: Any, asked: Ask = ASK, **options: Any) -> Completion:
    endpoint.answers = [(200, answer)]
    return complete(Api(model="m", base_url=endpoint.url, **options), asked)


def test_functions_are_offered_and_calls_told_as_openai_has_them(endpoint: Endpoint) -> None:
    ask(endpoint, called({"name": "search", "arguments": '{"query": "g"}'}))
    sent = endpoint.calls[0]
    assert sorted(sent) == ["max_tokens", "messages", "model", "temperature", "tools"]
    assert sent["tools"] == [{"type": "function", "function": {
        "name": spec.name, "description": spec.description, "parameters": spec.parameters}} for spec in ASK.tools]
    assert sent["messages"] == [
        {"role": "system", "content": "Be short."}, {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [{"id": "call00000", "type": "function", "function": {
            "name": "search", "arguments": '{"query": "a"}'}}]},
        {"role": "tool", "content": "b", "tool_call_id": "call00000"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call00001", "type": "function", "function": {"name": "search", "arguments": '{"query": "c"}'}},
            {"id": "call00002", "type": "function", "function": {"name": "search", "arguments": '{"query": "d"}'}}]},
        {"role": "tool", "content": "e", "tool_call_id": "call00001"},
        {"role": "tool", "content": "f", "tool_call_id": "call00002"}]


@pytest.mark.parametrize("arguments", ['{"query": "g"}', {"query": "g"}])
@pytest.mark.parametrize("content", [None, "", "I look on."])
def test_calls_are_read(endpoint: Endpoint, arguments: Any, content: Any) -> None:
    usage = {"prompt_tokens": 90, "completion_tokens": 12, "total_tokens": 102}
    reply = ask(endpoint, called({"name": "search", "arguments": arguments}, {"name": "finish", "arguments": "{}"},
                                 content=content, usage=usage))
    assert reply.calls == (Call("search", '{"query": "g"}'), Call("finish", "{}"))
    assert (reply.text, reply.finish) == (content or "", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens) == (90, 12)


def test_the_older_form_is_read(endpoint: Endpoint) -> None:
    answer = chat(None, "function_call")
    answer["choices"][0]["message"]["function_call"] = {"name": "search", "arguments": '{"query": "g"}'}
    assert ask(endpoint, answer).calls == (SEARCH.call("g"),)


def test_a_function_without_arguments_is_called_with_none(endpoint: Endpoint) -> None:
    for given in ({"name": "now", "arguments": None}, {"name": "now"}, {"name": "now", "arguments": ""}):
        assert ask(endpoint, called(given)).calls[0].given == {}


def test_a_call_that_is_cut_off_is_refused_and_shown_again_as_it_was(endpoint: Endpoint) -> None:
    broken = called({"name": "search", "arguments": '{"query": "a'}, content="So.")
    broken["choices"][0]["finish_reason"] = "length"
    reply = ask(endpoint, broken)
    assert reply.finish == "length"
    with pytest.raises(FormatError, match="the arguments of search are no JSON object"):
        read_calls(reply, ASK.tools)
    assert said(reply) == Message("assistant", 'So.\nsearch({"query": "a)')


def test_half_a_letter_in_an_argument_is_no_text(endpoint: Endpoint) -> None:
    reply = ask(endpoint, called({"name": "search", "arguments": '{"query": "a\\ud83d"}'}))
    [step] = read_calls(reply, ASK.tools)
    (call,) = said(reply).calls
    assert (step.argument, call.arguments) == ("a?", '{"query": "a?"}')


def test_calls_that_nobody_offered_are_none(endpoint: Endpoint) -> None:
    """A strategy in words is sent words."""
    asked = Ask((Message("user", "Who?"),))
    assert ask(endpoint, called({"name": "search", "arguments": "{}"}, content="hm"), asked).calls == ()


@pytest.mark.parametrize(("status", "told"), [
    (400, "registry/gemma does not support tools"),
    (400, "Unsupported parameter: 'tools' is not supported with this model."),
    (422, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
    (400, "Function calling is not enabled for this model"),
    (404, "No endpoints found that support tool use."),
])
def test_an_endpoint_that_takes_no_functions_is_told_with_the_mend(endpoint: Endpoint, status: int, told: str) -> None:
    endpoint.answers = [(status, failed(told))]
    text = refusal(Api(model="m", base_url=endpoint.url), ProviderError, ASK)
    assert text == f"{endpoint.url} refuses the request: {told}; set strategy.wire=text"
    assert len(endpoint.calls) == 1


def test_a_server_that_fails_for_functions_is_told_with_the_mend(endpoint: Endpoint) -> None:
    """llama.cpp's, started without its templates."""
    endpoint.answers = [(500, failed("tools param requires --jinja flag"))]
    text = refusal(Api(model="m", base_url=endpoint.url, retries=1), ProviderError, ASK)
    assert text.endswith("tools param requires --jinja flag; set strategy.wire=text")


def test_other_refusals_are_not_blamed_on_functions(endpoint: Endpoint) -> None:
    endpoint.answers = [(400, failed("The temperature is too high."))]
    assert "wire" not in refusal(Api(model="m", base_url=endpoint.url), ProviderError, ASK)
    endpoint.answers = [(404, failed("The model `functionary-tool` does not exist."))]
    assert "has no model" in refusal(Api(model="functionary-tool", base_url=endpoint.url), ConfigError, ASK)


def test_the_completions_route_says_what_to_set(endpoint: Endpoint) -> None:
    text = refusal(Api(model="m", base_url=endpoint.url, route="completions"), ConfigError, ASK)
    assert text.endswith("set the model's option route=chat, or strategy.wire=text")
    assert not endpoint.calls


def test_what_a_request_may_cost_counts_functions_and_calls(endpoint: Endpoint) -> None:
    """No more tokens than bytes, however a template writes them."""
    ask(endpoint, called({"name": "search", "arguments": "{}"}))
    sent = endpoint.calls[0]
    written = json.dumps(sent["messages"]) + json.dumps(sent["tools"], indent=4)
    bare = most_tokens({"messages": sent["messages"][:2]})
    assert most_tokens(sent) > bare + len(json.dumps(sent["tools"], indent=4))
    assert most_tokens(sent) > len(written) - 12 * len('{"role": "", "content": ""}')


def test_an_asks_own_temperature_is_sent_with_its_seed(endpoint: Endpoint) -> None:
    complete(Api(model="m", base_url=endpoint.url), Ask(ASK.messages, episode=Episode("q", seed=9), temperature=0.7))
    complete(Api(model="m", base_url=endpoint.url), Ask(ASK.messages, episode=Episode("q", seed=9)))
    assert [(call["temperature"], call.get("seed")) for call in endpoint.calls] == [(0.7, 9), (0.0, None)]
