"""Pairs as TRL's DPOTrainer takes them."""

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import given

from fireact.examples import conversation
from fireact.formats import write_pairs
from fireact.formats.chat import preference_record
from fireact.jsonl import decode
from fireact.preferences import Preference
from fireact.types import Score, Trajectory
from tests.formats.samples import COT, REACT, ROUNDS, act, ask, trajectories, trajectory

SHARED = (ask("Thought: a.\nAction: search[a]"), act("a", "It is Bhutan."))
RIGHT = trajectory(*SHARED, ask("Thought: b.\nAction: finish[ngultrum]"))
WRONG = trajectory(*SHARED, ask("Thought: c.\nAction: finish[rupee]"), answer="rupee")


def test_the_prompt_is_what_both_have_in_common() -> None:
    record = preference_record(Preference(RIGHT, WRONG))
    assert [message["role"] for message in record["prompt"]] == ["user", "assistant", "user"]
    assert record["prompt"][-1]["content"] == "Observation: It is Bhutan."
    assert record["chosen"] == [{"role": "assistant", "content": "Thought: b.\nAction: finish[ngultrum]"}]
    assert record["rejected"] == [{"role": "assistant", "content": "Thought: c.\nAction: finish[rupee]"}]


def test_what_both_say_before_they_see_different_things_is_not_in_the_prompt() -> None:
    """A prompt ends where the assistant is to answer, not with its own words."""
    other = trajectory(SHARED[0], act("a", "It is Nepal."), ask("Thought: c.\nAction: finish[rupee]"), answer="rupee")
    record = preference_record(Preference(RIGHT, other))
    assert [message["role"] for message in record["prompt"]] == ["user"]
    assert record["chosen"][0] == record["rejected"][0]


def test_one_that_stops_where_the_other_goes_on_has_a_last_reply_of_its_own() -> None:
    stopped = replace(ROUNDS, score=Score(0, 0))
    record = preference_record(Preference(RIGHT, stopped))
    assert [message["role"] for message in record["prompt"]] == ["user"]
    assert len(record["rejected"]) == 1


@given(trajectories().filter(lambda record: conversation(record)[1]),
       trajectories().filter(lambda record: conversation(record)[1]))
def test_prompt_and_sides_are_the_conversations(one: Trajectory, other: Trajectory) -> None:
    record = preference_record(Preference(one, other))
    assert record["prompt"][0] == {"role": "user", "content": one.question.text}
    for name, side in (("chosen", one), ("rejected", other)):
        whole = [{"role": message.role, "content": message.content} for message in conversation(side)[0]]
        assert record["prompt"] + record[name] == whole
        assert record[name][0]["role"] == "assistant"
        assert decode(Trajectory, record[f"{name}_trajectory"], "") == side
    assert record["prompt"][-1]["role"] == "user"


def test_a_file_has_one_pair_a_line(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "pairs.jsonl"
    assert write_pairs([Preference(RIGHT, WRONG), Preference(REACT, ROUNDS, 1), Preference(COT, WRONG)], path) == 3
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {tuple(line) for line in lines} == {("prompt", "chosen", "rejected", "chosen_trajectory",
                                                "rejected_trajectory")}
