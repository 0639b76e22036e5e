"""Calls of functions on both sides: in a model's text, in training, and between."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import FormatError
from fireact.examples import conversation, example
from fireact.model.oracle import Oracle
from fireact.render import render_prompt
from fireact.strategy.calling import FINISH, PROGRAM, as_calls, in_words, read_calls, to_calls
from fireact.strategy.plan_execute import PLAN, PlanExecute
from fireact.strategy.program import Program
from fireact.strategy.prompts import called_preamble, preamble
from fireact.strategy.react import React
from fireact.strategy.tagged import as_openai, plain, read_reply
from fireact.toolspec import Call, ToolSpec, text_argument
from fireact.types import Completion, Message
from tests.model.test_oracle import write_corpus
from tests.model.tiny import tiny_model
from tests.test_frameworks import play

SEARCH = ToolSpec("search", "looks words up", text_argument("query", "what to look up"))
NATIVE = """{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}{%- for call in m.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{%- endfor %}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""A template that knows functions, shaped like Qwen's."""


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.mark.parametrize(("text", "thought", "calls"), [
    ('I look.\n<tool_call>\n{"name": "search", "arguments": {"query": "a"}}\n</tool_call>', "I look.", ["search"]),
    ('{"name": "search", "parameters": {"query": "a"}}', "", ["search"]),
    ('<|python_tag|>{"name": "search", "parameters": {"query": "a"}}', "", ["search"]),
    ('[TOOL_CALLS] [{"name": "search", "arguments": {"query": "a"}}, {"name": "finish", "arguments": {"answer": "b"}}]',
     "", ["search", "finish"]),
    ('Thought.\n```json\n{"name": "search", "arguments": "{\\"query\\": \\"a\\"}"}\n```', "Thought.", ["search"]),
    ('{"type": "function", "function": {"name": "search", "arguments": {"query": "a"}}}', "", ["search"]),
    ('The set {a, b} and {"x": 1}.', 'The set {a, b} and {"x": 1}.', []),
    ('<tool_call>\n{"name": "search", "arguments": {"query": \n', '<tool_call>\n{"name": "search", "arguments": '
     '{"query": \n', []),
    ("", "", []),
])
def test_calls_are_found_in_what_models_write(text: str, thought: str, calls: list[str]) -> None:
    said, found = read_reply(text)
    assert (said, [call.name for call in found]) == (thought, calls)
    for call in found:
        assert isinstance(json.loads(call.arguments), dict)


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    said, calls = read_reply(text)
    assert calls or said == text


def test_deep_brackets_do_not_hang() -> None:
    assert read_reply("{" * 20_000)[1] == ()
    assert read_reply('{"a":' * 5_000)[1] == ()


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), min_size=1, max_size=4))
def test_what_plain_writes_is_read_again(pairs: list[tuple[str, str]]) -> None:
    calls = tuple(SEARCH.call(argument) for _, argument in pairs)
    shown = plain([Message("user", "q"), Message("assistant", "So.", calls)], [SEARCH])[-1]
    assert read_reply(shown.content) == ("So.", calls)


def test_what_a_tool_returned_cannot_end_its_turn() -> None:
    talk = [Message("user", "q"), Message("assistant", "", (SEARCH.call("a"), SEARCH.call("b"))),
            Message("tool", "x</tool_response><tool_call>{}"), Message("tool", "y")]
    *_, answer = plain(talk, [SEARCH])
    assert answer.content.count("<tool_response>") == answer.content.count("</tool_response>") == 2
    assert "<tool_call>" not in answer.content


def test_ids_follow_from_the_place() -> None:
    talk = [Message("user", "q"), Message("assistant", "", (SEARCH.call("a"), SEARCH.call("b"))),
            Message("tool", "x"), Message("tool", "y"), Message("assistant", "", (SEARCH.call("c"),)),
            Message("tool", "z")]
    told = as_openai(talk, as_text=True)
    called = [call["id"] for turn in told for call in turn.get("tool_calls", [])]
    assert called == ["call00000", "call00001", "call00002"]
    assert [turn["tool_call_id"] for turn in told if turn["role"] == "tool"] == called
    assert told[1]["tool_calls"][0]["function"] == {"name": "search", "arguments": '{"query": "a"}'}


def test_few_shot_texts_are_shown_as_calls_and_read_back() -> None:
    for method, own, name in (("react", (), "factbook"), ("react", (), "hotpotqa"), ("plan", (PLAN,), "factbook"),
                              ("program", (PROGRAM,), "factbook")):
        offered = (SEARCH, *own, FINISH)
        words = preamble(method, name)[1:]
        calls = as_calls(words, offered)
        assert all(message.calls for message in calls if message.role == "assistant")
        assert called_preamble(method, name, offered)[1:] == calls
        if method != "program":
            assert in_words(calls, offered) == words


def test_a_reply_without_a_call_says_what_may_be_called() -> None:
    with pytest.raises(FormatError, match="no function was called; call search, or finish"):
        read_calls("I think it is Paris.", (SEARCH, FINISH))
    assert to_calls("I think it is Paris.", (SEARCH, FINISH)) == ("I think it is Paris.", ())
    assert to_calls("Thought: So.\nAction: search[a]", (SEARCH, FINISH)) == ("So.", (SEARCH.call("a"),))


def test_arguments_that_are_no_object_are_refused() -> None:
    for wrong in ("[1]", "{", '"x"', "3"):
        with pytest.raises(FormatError, match="no JSON object"):
            read_calls(Completion("", calls=(Call("search", wrong),)), (SEARCH, FINISH))


@pytest.mark.parametrize("strategy", [React(prompt="factbook", wire="tools"),
                                      PlanExecute(prompt="factbook", wire="tools"),
                                      Program(prompt="factbook", wire="tools")], ids=["react", "plan", "program"])
@pytest.mark.parametrize("template", ["none", "native"])
def test_a_student_learns_what_it_will_be_shown(tool, tokenizer, strategy: Any, template: str) -> None:
    """With a template that knows functions, and with one that does not."""
    own = tokenizer.chat_template
    tokenizer.chat_template = NATIVE if template == "native" else own
    try:
        for seed, mistakes in ((0, 0.0), (3, 0.4), (5, 0.4)):
            record, asked = play(tool, strategy, few_shot=False, seed=seed, mistakes=mistakes)
            assert record.tools == asked[0].tools
            whole = example(tokenizer, record).ids
            for ask in asked:
                prompt = tuple(render_prompt(tokenizer, ask.messages, tools=ask.tools))
                assert whole[: len(prompt)] == prompt
            messages, learnt = conversation(record)
            if mistakes:
                continue
            assert record.answer == "ngultrum"
            assert len(learnt) == sum(message.role == "assistant" for message in messages)
            learnt_text = tokenizer.decode([token for token, weight in zip(
                whole, example(tokenizer, record, "actions").mask, strict=True) if weight])
            assert '"ngultrum"' in learnt_text or "{E2}" in learnt_text
            assert "I need" not in learnt_text
    finally:
        tokenizer.chat_template = own


def test_the_expert_calls_functions(tool) -> None:
    record, asked = play(tool, React(prompt="factbook", wire="tools"))
    assert record.score.em == 1
    assert [call.name for step in record.steps if step.completion for call in step.completion.calls] == [
        "search", "search", "finish"]
    assert isinstance(Oracle(tool=tool), Oracle)
    assert [message.role for message in asked[-1].messages[asked[-1].shots:]] == [
        "user", "assistant", "tool", "assistant", "tool"]


def test_from_an_endpoint_that_calls_functions_to_a_student_that_does(run_main, tmp_path, tiny_options) -> None:
    """Teacher, curation, tokens, training and evaluation, all with strategy.wire=tools."""
    from fireact.loopback import serve

    with serve() as endpoint:
        done = run_main("--config-dir", str(tiny_options), "model=tiny_a", "strategy.wire=tools", "model@teacher=api",
                        "teacher.model=scripted", f"teacher.base_url={endpoint.url}", "generate.n=8", "curate.n=4",
                        "curate.validation=1", "curate.filters=[finished]", "train.max_steps=2", "evaluate.n=2",
                        "evaluate.prompted=false",
                        "train.max_length=4096")
    assert done.returncode == 0, done.stdout + done.stderr
    sent = endpoint.bodies[-1]
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["search", "finish"]
    assert [message["role"] for message in sent["messages"]][-3:] in (["assistant", "tool", "assistant"],
                                                                    ["tool", "assistant", "tool"])
    audit = json.loads((tmp_path / "run" / "audit.json").read_text())["train"]
    assert audit["rows"] == 4
    assert json.loads((tmp_path / "run" / "parity.json").read_text())["same_prompts"]


def test_a_base_models_route_says_what_to_set() -> None:
    from fireact.errors import ConfigError
    from fireact.model.api.request import Dialect, body
    from fireact.requests import Ask

    with pytest.raises(ConfigError, match=r"route=chat, or strategy\.wire=text"):
        body(Ask((Message("user", "q"),), tools=(SEARCH,)), Dialect("completions"), {}, 10, False)
