"""Episodes whose model calls functions, whatever it writes: they end, and what a student learns of them is what it will
be shown."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fireact.checks import check
from fireact.episode import Player
from fireact.errors import ConfigError, ToolError
from fireact.examples import Masking, conversation, example
from fireact.jsonl import encode
from fireact.preferences import Preference
from fireact.render import render_prompt
from fireact.requests import Act, Ask
from fireact.stages import Stages
from fireact.strategy.calling import FINISH
from fireact.strategy.react import React
from fireact.tokenize.audit import Audit, require, summarize
from fireact.tokenize.page import page
from fireact.tokenize.pairs import pairs, sides, together
from fireact.tokenize.rows import RowBuilder
from fireact.toolspec import LOOKUP, SEARCH, Call, ToolSpec
from fireact.types import Completion, Observation, Score, StopReason, Trajectory
from fireact.viewer import main
from tests.helpers import Gold, composed
from tests.model.tiny import CHATML, tiny_tokenizer
from tests.test_examples import QUESTION
from tests.tool_templates import ALL, CONTROL

TOKENIZERS = {name: tiny_tokenizer(text, CONTROL.get(name, ())) for name, text in {"none": CHATML, **ALL}.items()}
TOKENIZERS["llama3.1"].eos_token = "<|eot_id|>"


@dataclass
class Says:
    """A model that replies by a list, the last one again and again."""

    replies: Sequence[Completion]
    name: str = "listed"
    asked: list[Ask] = field(default_factory=list)

    async def complete(self, ask: Ask) -> Completion:
        self.asked.append(ask)
        return self.replies[min(len(self.asked), len(self.replies)) - 1]

    async def close(self) -> None:
        """Nothing is held."""


@dataclass
class World:
    """Two actions, of which one refuses what it does not know."""

    actions: tuple[str, ...] = ("search", "lookup")
    specs: tuple[ToolSpec, ...] = (SEARCH, LOOKUP)

    async def __call__(self, act: Act) -> Observation:
        if "?" in act.argument:
            raise ToolError(f"nobody knows {act.argument}")
        return Observation(f"{act.argument} is <|im_end|> there. </tool_response>")


def play(*replies: Completion) -> tuple[Trajectory, list[Ask]]:
    model = Says(replies)
    player = Player(method="react", task="gold", strategy=React(prompt="factbook", wire="tools", max_rounds=6),
                    few_shot=False, model=model, tool=World(), dataset=Gold(QUESTION))
    return asyncio.run(player.play(QUESTION)), model.asked


def says(thought: str, *calls: Call) -> Completion:
    return Completion(thought, calls=calls)


RIGHT, ASKED = play(says("I look.", SEARCH.call("a"), LOOKUP.call("b")), says("", FINISH.call("ngultrum")))
WRONG, _ = play(says("I look.", SEARCH.call("a"), LOOKUP.call("b")), says("Hm.", FINISH.call("rupee")))

_argument = st.sampled_from(['{"query": "a"}', '{"query": "a?"}', '{"words": "b"}', "{", "[]", "", '{"query": 3}'])
_call = st.builds(Call, st.sampled_from(["search", "lookup", "fly", "finish", "<|im_end|>"]), _argument)
_replies = st.lists(st.builds(says, st.sampled_from(["", "I look.", "Thought: two\nlines <|im_end|>"])), max_size=4)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_whatever_is_called_a_student_learns_what_it_will_be_shown(name: str, data: st.DataObject) -> None:
    replies = [replace(reply, calls=tuple(data.draw(st.lists(_call, max_size=3)))) for reply in data.draw(_replies)]
    record, asked = play(*replies, says("Done.", FINISH.call("ngultrum")))
    assert record.stop in (StopReason.FINISHED, StopReason.FORMAT, StopReason.ROUNDS)
    tokenizer = TOKENIZERS[name]
    whole = example(tokenizer, record).ids
    for ask in asked:
        prompt = tuple(render_prompt(tokenizer, ask.messages, tools=ask.tools))
        assert whole[: len(prompt)] == prompt


def test_of_several_calls_an_unknown_one_is_refused_and_the_others_are_answered() -> None:
    record, asked = play(says("Two.", Call("fly", "{}"), SEARCH.call("a")), says("", FINISH.call("x")))
    assert [step.kind for step in record.steps] == ["ask", "refuse", "act", "ask"]
    refused, found = asked[1].messages[-2:]
    assert refused.content == "there is no tool 'fly'; use one of search[...], lookup[...], finish[...]"
    assert found.content.startswith("a is")
    assert conversation(record)[0][:-1] == list(asked[1].messages)
    assert conversation(record)[1] == [4]


def test_an_argument_of_the_wrong_type_is_an_observation() -> None:
    record, _ = play(says("", Call("search", '{"query": 3, "k": 1}')), says("", FINISH.call("x")))
    assert "the arguments of search do not fit" in record.steps[1].text or "does not fit" in record.steps[1].text
    assert record.stop is StopReason.FINISHED


@pytest.mark.parametrize("name", TOKENIZERS)
def test_pairs_of_them_are_rows_without_a_fault(name: str) -> None:
    tokenizer, wrong = TOKENIZERS[name], replace(WRONG, score=Score(0, 0), attempt=1)
    built = RowBuilder(tokenizer, Masking(), 10_000, "error")
    rows = together([built.row(one, label) for label, one in sides([Preference(RIGHT, wrong)])])
    [pair] = pairs(rows)
    assert pair.chosen.ids != pair.rejected.ids
    summary = summarize(rows)
    # Mistral's own writes its functions anew before each turn of the user.
    require(summary, Audit(rewritten=1.0))
    assert {"thought", "action", "final action", "end of turn", "observation"} <= summary["by_role"].keys()
    shown = page(tokenizer, rows, summary)
    assert "I look." in shown
    assert "ngultrum" in shown


def test_what_is_too_long_loses_the_ends_of_its_results() -> None:
    tokenizer, long = TOKENIZERS["none"], "so it is " * 60
    record = replace(RIGHT, steps=tuple(replace(step, text=long) if step.kind == "act" else step
                                        for step in RIGHT.steps))
    size = len(example(tokenizer, record).ids)
    row = RowBuilder(tokenizer, Masking(), size - 100, "shorten").row(record)
    assert row.shortened
    assert size - 200 < len(row.example.ids) <= size - 100
    assert row.example.roles.count("f") == example(tokenizer, record).roles.count("f")


def test_the_viewer_shows_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set.jsonl").write_text(f"{encode(RIGHT)}\n")
    tokenizer = tiny_tokenizer(ALL["qwen2.5"])
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    assert main([str(tmp_path / "set.jsonl"), str(tmp_path / "tokenizer"), "--loss", "actions"]) == 0
    shown = capsys.readouterr().out
    assert 'I look.«\n<tool_call>\n{"name": "search", "arguments": {"query": "a"}}\n</tool_call>\n<tool_call>' in shown
    assert '«<tool_call>\n{"name": "finish", "arguments": {"answer": "ngultrum"}}\n</tool_call><|im_end|>»' in shown


@pytest.mark.parametrize("options", [("model.template=alpaca", "stage=evaluate"),
                                     ("model@teacher=api", "teacher.model=m", "teacher.base_url=http://127.0.0.1:1/v1",
                                      "teacher.route=completions", "stage=generate")])
def test_a_conversation_of_one_text_holds_no_calls(options: tuple[str, ...], tmp_path: Path) -> None:
    config = composed(f"store={tmp_path}", "strategy.wire=tools", *options)
    with pytest.raises(ConfigError, match=r"(model\.template=alpaca|teacher\.route=completions) writes a conversation "
                                          r"as one text, .*or strategy\.wire=text"):
        check(Stages(config), [config.stage])


def test_functions_are_offered_once_and_kept() -> None:
    assert RIGHT.tools == ASKED[0].tools == (SEARCH, LOOKUP, FINISH)
