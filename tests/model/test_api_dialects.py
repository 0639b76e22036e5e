"""Endpoints differ in what they take and in how they reply: what of it is adapted, and what is told."""

from typing import Any

import pytest

from fireact.errors import ContextError, ProviderError
from fireact.loopback import Faults, serve
from fireact.model.api import Api
from fireact.requests import Ask
from fireact.types import Episode, Message
from tests.model.test_api import ASK, Endpoint, chat, complete, failed, refusal, serving, together

endpoint = pytest.fixture(serving)


def picky(**refusals: str) -> Any:
    """An endpoint that refuses a request for the first of some fields that it holds."""

    def answer(body: dict[str, Any]) -> tuple[Any, ...]:
        told = next((text for name, text in refusals.items() if name in body), None)
        return (400, failed(told, code="unsupported_parameter")) if told else (200, chat("a\nObservation: b"))

    return answer


def test_a_model_that_refuses_stop_is_asked_without_it_and_cut_on_our_side() -> None:
    asks = [Ask((Message("user", f"Who is number {number}?"),), ("\nAction",)) for number in range(8)]
    with serve(Faults(refuse_stop=True, delay=0.01)) as server:
        replies = together(Api(model="scripted", base_url=server.url), *asks, *asks)
    assert {reply.text for reply in replies} == {"Thought: I need to look up step 1."}
    sent = [body.get("stop") for body in server.bodies]
    assert sent.count(None) == 16
    assert None not in sent[:8]


@pytest.mark.parametrize("first", [None, "max_tokens"])
def test_the_other_name_of_the_longest_reply_is_learnt(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch,
                                                       first: str | None) -> None:
    monkeypatch.setattr("fireact.model.api._OPENAI", endpoint.url)
    names = ["max_completion_tokens", "max_tokens"] if first is None else ["max_tokens", "max_completion_tokens"]
    told = f"Unsupported parameter: '{names[0]}' is not supported with this model. Use '{names[1]}' instead."
    endpoint.answers = [picky(**{names[0]: told})]
    api = Api(model="m", base_url=None if first is None else endpoint.url, max_tokens=9)
    assert len(together(api, *[ASK] * 6)) == 6
    assert sum(call.get(names[1]) == 9 and names[0] not in call for call in endpoint.calls) == 6
    before = len(endpoint.calls)
    complete(api)
    assert len(endpoint.calls) == before + 1


def test_all_that_can_be_done_without_is_learnt_at_one_endpoint(endpoint: Endpoint) -> None:
    endpoint.answers = [picky(stop="stop: Extra inputs are not permitted", seed="Unrecognized argument: seed",
                              max_tokens="Unsupported parameter: 'max_tokens'")]
    assert complete(Api(model="m", base_url=endpoint.url, temperature=1.0)).text == "a"
    assert sorted(endpoint.calls[-1]) == ["max_completion_tokens", "messages", "model", "temperature"]
    assert len(endpoint.calls) == 4


def test_an_endpoint_that_takes_neither_name_is_not_asked_for_ever(endpoint: Endpoint) -> None:
    told = "Unsupported parameter: '{}'"
    endpoint.answers = [picky(**{name: told.format(name) for name in ("max_tokens", "max_completion_tokens")})]
    text = refusal(Api(model="m", base_url=endpoint.url), ProviderError)
    assert text == f"{endpoint.url} refuses the request: Unsupported parameter: 'max_completion_tokens'"
    assert len(endpoint.calls) == 2


def test_what_would_change_a_result_is_told(endpoint: Endpoint) -> None:
    endpoint.answers = [picky(max_tokens="max_tokens is too large: 512; this model supports at most 256")]
    assert "at most 256" in refusal(Api(model="m", base_url=endpoint.url), ProviderError)
    assert len(endpoint.calls) == 1


@pytest.mark.parametrize(("content", "text"), [
    ("<think>\nI think.\n</think>\n\nThought: x", "Thought: x"), ("  <thinking>a</thinking>Thought: x", "Thought: x"),
    ("I think.\n</think>\nThought: x", "Thought: x"), ("<think></think>x</think>", "x</think>"),
    ("Thought: I think <b> so", "Thought: I think <b> so"), ("<think>and so on", ""),
    ("<think>Observation:\nObservation: a</think>Thought: x\nObservation: b", "Thought: x"),
])
def test_what_is_thought_aloud_is_no_part_of_the_reply(endpoint: Endpoint, content: str, text: str) -> None:
    endpoint.answers = [(200, chat(content))]
    assert complete(Api(model="m", base_url=endpoint.url)).text == text


def test_what_is_thought_in_a_field_of_its_own_is_left_out(endpoint: Endpoint) -> None:
    endpoint.answers = [(200, chat("Thought: x", reasoning="I think."))]
    assert complete(Api(model="m", base_url=endpoint.url)).text == "Thought: x"


@pytest.mark.parametrize("answer", [
    chat(None, "length", reasoning="I think"), chat("", "max_tokens", reasoning="I think"),
    chat("<think>I think", "length"), chat("<think>I think</think>\n", "length")], ids=str)
def test_a_reply_that_was_all_thinking_is_told(endpoint: Endpoint, answer: Any) -> None:
    endpoint.answers = [(200, answer)]
    assert refusal(Api(model="m", base_url=endpoint.url), ContextError) == (
        f"{endpoint.url} spent the whole reply on thinking; raise the model's option max_tokens, or lower "
        "reasoning_effort")
    assert len(endpoint.calls) == 1


def test_an_empty_reply_that_was_cut_off_is_told(endpoint: Endpoint) -> None:
    endpoint.answers = [(200, chat(None, "length"))]
    assert "without a word that is shown; raise" in refusal(Api(model="m", base_url=endpoint.url), ContextError)


def test_a_base_model_continues_one_text() -> None:
    ask = Ask((Message("system", "Be short."), Message("user", "Question: Which word is last?"),
               Message("assistant", "Thought: a.\nAction: search[x]"), Message("user", "Observation: y")),
              ("\nObservation",), prime="Thought:", max_tokens=7, episode=Episode("q", seed=3))
    with serve(Faults(thinks=True)) as server:
        reply = complete(Api(model="scripted", base_url=server.url, route="completions", temperature=1.0), ask)
    assert server.bodies == [{
        "model": "scripted", "temperature": 1.0, "max_tokens": 7, "stop": ["\nObservation"], "seed": 3,
        "prompt": "Be short.\nQuestion: Which word is last?\nThought: a.\nAction: search[x]\nObservation: y\nThought:"}]
    assert reply.text == "Thought: I need to look up step 2.\nAction: search[last 2]"
    assert reply.prompt_tokens > 0
