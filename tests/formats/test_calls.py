"""Trajectories whose actions are functions that are called, in the files of other tools."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.curate import _filter
from fireact.examples import conversation, example
from fireact.formats import Name, read, write, write_pairs
from fireact.formats.alpaca import alpaca_record
from fireact.formats.chat import conversational_record, openai_record, preference_record, sharegpt_record
from fireact.jsonl import read_jsonl
from fireact.preferences import Preference, pair_up
from fireact.strategy.calling import FINISH
from fireact.toolspec import SEARCH, Call
from fireact.train.hosted_data import write_chat_file
from fireact.types import Completion, Score, Step, Trajectory
from tests.formats.samples import act, trajectory
from tests.formats.test_trl import options, rows
from tests.model.tiny import tiny_model, tiny_tokenizer
from tests.tool_templates import QWEN2_5

TOOLS = (SEARCH, FINISH)
FORMATS: list[Name] = ["trajectories", "conversational", "sharegpt", "alpaca", "openai"]


def says(thought: str, *calls: Call) -> Step:
    """A reply that calls functions, or one that does not."""
    return Step("ask", thought, form="react", completion=Completion(thought, calls=calls))


def called(*steps: Step, **more: Any) -> Trajectory:
    return replace(trajectory(*steps, **more), tools=TOOLS)


PLAIN = called(says("I look.", SEARCH.call("Thimphu")), act("Thimphu", "It is in Bhutan."),
               says("", FINISH.call("ngultrum")))
SEVERAL = called(says("Both.", SEARCH.call("a"), SEARCH.call("b")), act("a", "A is."), act("b", "B is."),
                 says("So.", SEARCH.call("c"), FINISH.call("ngultrum")))
REFUSED = called(says("I think."), Step("refuse", "no function was called; call search, or finish to give the answer"),
                 says("Cut.", Call("search", '{"query": "x')), Step("refuse", "the arguments are no JSON object"),
                 says("", FINISH.call("ngultrum")))
ALL = [PLAIN, SEVERAL, REFUSED]


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_lost(name: Name, tmp_path: Path) -> None:
    records = [replace(record, id=str(number), question=replace(record.question, id=str(number), text=f"Q{number}?"))
               for number, record in enumerate(ALL)]
    assert write(name, records, tmp_path / "file") == len(ALL)
    found = read(tmp_path / "file")
    assert (found.trajectories, found.defects) == (records, [])


def test_openai_takes_functions_with_the_messages() -> None:
    record = openai_record(SEVERAL)
    assert list(record) == ["messages", "tools"]
    assert record["tools"] == [spec.as_function() for spec in TOOLS]
    assert [message["role"] for message in record["messages"]] == ["user", "assistant", "tool", "tool", "assistant"]
    first = record["messages"][1]
    assert (first["content"], [call["function"] for call in first["tool_calls"]]) == ("Both.", [
        {"name": "search", "arguments": '{"query": "a"}'}, {"name": "search", "arguments": '{"query": "b"}'}])
    assert openai_record(PLAIN)["messages"][-1]["content"] is None
    assert [message.get("weight") for message in openai_record(REFUSED)["messages"]] == [None, 0, None, 0, None, None]


def test_a_hosted_training_is_sent_them(tmp_path: Path) -> None:
    write("trajectories", ALL, tmp_path / "train.jsonl")
    sent = write_chat_file(tmp_path / "train.jsonl", tmp_path / "sent.jsonl", None)
    lines = [json.loads(line) for line in (tmp_path / "sent.jsonl").read_text().splitlines()]
    assert (sent.examples, [line["messages"] for line in lines]) == (3, [openai_record(one)["messages"] for one in ALL])
    assert sent.tokens > 3 * 100


def test_words_act_once_a_reply() -> None:
    """Formats without functions: calls that were made at once stand one after the other, each before its result."""
    told = [turn["value"] for turn in sharegpt_record(SEVERAL)["conversations"]]
    assert told[1:] == ["Thought: Both.\nAction: search[a]", "Observation: A is.", "Action: search[b]",
                        "Observation: B is.", "Thought: So.\nAction: finish[ngultrum]"]
    assert alpaca_record(SEVERAL)["output"] == "\n".join(told[1:])
    assert 'Cut.\nsearch({"query": "x)' in alpaca_record(REFUSED)["output"]


@pytest.mark.parametrize("record", ALL)
def test_a_file_of_calls_alone_is_read_as_words(record: Trajectory, tmp_path: Path) -> None:
    """One that another tool wrote: with its functions or without."""
    write("openai", [record], tmp_path / "file")
    (tmp_path / "file.trajectories.jsonl").unlink()
    [found] = read(tmp_path / "file").trajectories
    raw = json.loads((tmp_path / "file").read_text())
    del raw["tools"]
    (tmp_path / "bare").write_text(json.dumps(raw))
    [bare] = read(tmp_path / "bare").trajectories
    for one in (found, bare):
        assert one.answer == "ngultrum"
        assert [(step.tool, step.argument) for step in one.steps if step.kind == "act"] == [
            (step.tool, step.argument) for step in record.steps if step.kind == "act"]
        messages, learnt = conversation(one)
        assert not any(message.calls for message in messages)
        assert learnt[-1] == len(messages) - 1


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"', "", {"query": 3}, {"query": "a", "n": None}])
def test_any_arguments_of_a_file_are_read(arguments: Any, tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "search", "arguments": arguments}}
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "a"}, {"role": "assistant", "content": "Action: finish[b]"}]
    (tmp_path / "file").write_text(json.dumps({"messages": talk, "tools": [SEARCH.as_function()]}))
    [found] = read(tmp_path / "file").trajectories
    assert found.answer == "b"
    if isinstance(arguments, dict):
        assert found.steps[1].argument == {3: "3", "a": "a"}[arguments["query"]]


def test_trl_trains_on_calls_as_we_do(tmp_path: Path) -> None:
    """Also where calls of different functions stand in one table, whose rows get the arguments of all of them."""
    trl = pytest.importorskip("trl", reason="the library trl is not installed")
    write("conversational", [PLAIN, SEVERAL, PLAIN], tmp_path / "set.jsonl")
    folder = tiny_model(tmp_path / "model", window=2048)
    tokenizer = tiny_tokenizer(QWEN2_5)
    tokenizer.save_pretrained(folder)
    trainer = trl.SFTTrainer(model=str(folder), args=options(trl.SFTConfig, tmp_path, max_length=2048),
                             train_dataset=rows(tmp_path / "set.jsonl"))
    for number, record in enumerate([PLAIN, SEVERAL]):
        text = tokenizer.decode(trainer.train_dataset[number]["input_ids"])
        assert text.rstrip() == tokenizer.decode(example(tokenizer, record).ids).rstrip()
    assert trainer.train().training_loss > 0


def test_pairs_bring_their_functions(tmp_path: Path) -> None:
    wrong = replace(called(*PLAIN.steps[:2], says("", FINISH.call("rupee")), answer="rupee"), score=Score(0, 0))
    record = preference_record(Preference(PLAIN, wrong))
    assert record["tools"] == [spec.as_function() for spec in TOOLS]
    assert [message["role"] for message in record["prompt"]] == ["user", "assistant", "tool"]
    assert [side[0]["tool_calls"][0]["function"]["arguments"] for side in (record["chosen"], record["rejected"])] == [
        {"answer": "ngultrum"}, {"answer": "rupee"}]
    write_pairs([Preference(PLAIN, wrong)], tmp_path / "pairs.jsonl")
    assert [json.loads(line)["tools"] for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]


def test_who_differs_in_calls_alone_is_no_duplicate() -> None:
    """Two attempts without a thought: the same words, other answers."""
    right = called(says("", FINISH.call("ngultrum")))
    wrong = replace(called(says("", FINISH.call("rupee")), answer="rupee"), score=Score(0, 0), attempt=1)
    pairing = pair_up([right, wrong], lambda record: True, 1, 0)
    assert [(pair.chosen, pair.rejected) for pair in pairing.pairs] == [(right, wrong)]
    kept, dropped = _filter([right, wrong, right], (), lambda name, record: True, False)
    assert (kept, dropped) == ([right, wrong], {"duplicate": 1})


@given(st.lists(st.tuples(st.text(max_size=8), st.lists(st.text(max_size=8), max_size=3)), max_size=3))
def test_any_episode_is_written_and_told_in_words(turns: list[tuple[str, list[str]]]) -> None:
    steps: list[Step] = []
    for thought, arguments in turns:
        steps += [says(thought, *map(SEARCH.call, arguments)),
                  *([act(argument, "seen") for argument in arguments] or [Step("refuse", "no function was called")])]
    record = called(*steps, says("", FINISH.call("x")))
    told = sharegpt_record(record)["conversations"]
    assert [turn["from"] for turn in told] == ["human", "gpt"] * (len(told) // 2)
    assert sum(turn["value"].startswith("Observation: seen") for turn in told) == sum(len(made) for _, made in turns)
    messages = conversational_record(record)["messages"]
    ids = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    assert len(set(ids)) == len(ids)


def test_an_episode_may_be_read_line_by_line(tmp_path: Path) -> None:
    write("trajectories", ALL, tmp_path / "file.jsonl")
    assert list(read_jsonl(tmp_path / "file.jsonl", Trajectory)) == ALL
