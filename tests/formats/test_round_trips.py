"""What is written in a format and read again is what it was, as far as the format can carry it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fireact.examples import conversation
from fireact.formats import Name, read, write
from fireact.formats.alpaca import split_turns
from fireact.jsonl import encode, read_jsonl
from fireact.types import Trajectory
from tests.formats.samples import ALL, COT, EMPTY, REACT, REFUSED, ROUNDS, SILENT, act, ask, trajectories, trajectory

LOSSLESS: list[Name] = ["trajectories", "conversational", "sharegpt", "alpaca", "openai"]
LEARNT = [record for record in ALL if record is not REFUSED]
"""What OpenAI's format has: there is something to learn."""
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def through(name: Name, records: list[Trajectory], folder: Path) -> list[Trajectory]:
    path = folder / "file"
    assert write(name, records, path) == len(records)
    found = read(path)
    assert not [defect for defect in found.defects if name in LOSSLESS]
    return found.trajectories


def messages_only(records: list[Trajectory], folder: Path) -> list[Trajectory]:
    write("openai", records, folder / "file")
    (folder / "file.trajectories.jsonl").unlink()
    return read(folder / "file").trajectories


@pytest.mark.parametrize("name", LOSSLESS)
def test_nothing_is_lost(name: Name, tmp_path: Path) -> None:
    records = LEARNT if name == "openai" else ALL
    assert through(name, records, tmp_path) == records


@pytest.mark.parametrize("name", LOSSLESS)
@same_folder
@given(records=st.lists(trajectories().filter(lambda record: record.steps), min_size=1, max_size=3))
def test_nothing_is_lost_of_any_episode(name: Name, records: list[Trajectory], tmp_path: Path) -> None:
    if name == "openai":
        records = [record for record in records if conversation(record)[1]] or [REACT]
    assert through(name, records, tmp_path) == records


@same_folder
@given(record=trajectories().filter(lambda record: record.answer is not None))
def test_openai_carries_the_messages_and_what_is_learnt(record: Trajectory, tmp_path: Path) -> None:
    [found] = messages_only([record], tmp_path)
    assert conversation(found) == conversation(record)
    assert found.answer == record.answer
    assert found.question.text == record.question.text


@pytest.mark.parametrize("record", [REACT, COT, EMPTY, ROUNDS], ids=lambda record: record.method)
def test_openai_keeps_every_method_trainable(record: Trajectory, tmp_path: Path) -> None:
    [found] = messages_only([record], tmp_path)
    assert conversation(found) == conversation(record)
    assert found.score.em == 0


def test_what_stands_beside_openais_file_belongs_to_its_messages_not_to_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    other = replace(COT, id="q9", question=replace(COT.question, id="q9", text="What else?"))
    again = replace(REACT, seconds=7.0)
    write("openai", [REACT, other, again, COT], path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.jsonl", "a.trajectories.jsonl"]
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([lines[3], lines[2], lines[1], lines[0]]), encoding="utf-8")
    assert read(path).trajectories == [COT, REACT, other, again]
    path.write_text(lines[1].replace("finish[ngultrum]", "finish[Nu]"), encoding="utf-8")
    found = read(path)
    assert [defect.kind for defect in found.defects] == ["edited"]
    assert (found.trajectories[0].id, found.trajectories[0].answer, found.trajectories[0].score.em) == ("q9", "Nu", 1)


def test_a_strangers_file_is_not_told_by_what_stands_beside_it(tmp_path: Path) -> None:
    write("openai", [replace(REACT, question=replace(REACT.question, text="What else?"))], tmp_path / "a.jsonl")
    write("trajectories", [SILENT, REFUSED, COT], tmp_path / "a.trajectories.jsonl")
    found = read(tmp_path / "a.jsonl")
    assert [defect.kind for defect in found.defects] == ["no_thought", "unscored"]
    assert "ends in .trajectories.jsonl, kept beside it" in found.defects[1].text
    assert found.trajectories[0].id != REACT.id


def test_a_silent_episode_is_left_out_but_of_our_own_format(tmp_path: Path) -> None:
    assert write("sharegpt", [SILENT, REACT], tmp_path / "a") == 1
    assert write("openai", [SILENT, REFUSED, REACT], tmp_path / "b") == 1
    assert through("trajectories", [SILENT], tmp_path) == [SILENT]


@pytest.mark.parametrize(("name", "old", "new"), [
    ("conversational", "finish[ngultrum]", "finish[Nu]"), ("alpaca", "finish[ngultrum]", "finish[Nu]")])
def test_an_edited_conversation_counts_not_what_it_came_from(name: Name, old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    short = trajectory(ask("Thought: b.\nAction: search[b]"), act("b", "c"),
                       ask("Thought: c.\nAction: finish[ngultrum]"))
    write(name, [short], path)
    key = {"conversational": "messages", "alpaca": "output"}[name]
    text = path.read_text(encoding="utf-8")
    record = json.loads(text)[0] if name == "alpaca" else json.loads(text)
    record[key] = json.loads(json.dumps(record[key]).replace(old, new))
    path.write_text(json.dumps(record), encoding="utf-8")
    found = read(path)
    [mine] = found.trajectories
    assert [defect.kind for defect in found.defects] == ["edited"]
    assert (mine.answer, mine.score.em, mine.question.answers) == ("Nu", 1.0, ("ngultrum", "Nu"))
    assert mine.method == "react"
    assert mine.steps[1].text == "c"


def test_searches_hold_what_the_tool_itself_answered_once(tmp_path: Path) -> None:
    found = trajectory(ask("Thought: b.\nAction: search[b]"), act("b", "c\nd"), ask("x"), act("b", "c\nd"),
                       ask("x"), act("b", "e", "exact"), ask("x"), act("b", "near", "nearest"),
                       ask("x"), act("b", "None", "empty"), ask("Thought: c.\nAction: finish[]"))
    path = tmp_path / "searches.jsonl"
    assert write("searches", [found, found], path) == 2
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
        {"query": "b", "observation": "c\nd"}, {"query": "b", "observation": "e"}]


def test_trajectories_are_as_jsonl_writes_them(tmp_path: Path) -> None:
    write("trajectories", ALL, tmp_path / "sub" / "t.jsonl")
    assert list(read_jsonl(tmp_path / "sub" / "t.jsonl", Trajectory)) == ALL


@given(rounds=st.lists(st.tuples(st.sampled_from(["Thought: a\nb\nAction: search[c\nd]", "Action: x[y]"]),
                                 st.sampled_from(["Observation: e\nf", "Observation: "])), min_size=1, max_size=4))
def test_labels_at_the_beginning_of_lines_part_the_turns(rounds: list[tuple[str, str]]) -> None:
    turns = [turn for pair in rounds for turn in pair]
    assert [turn.text for turn in split_turns("\n".join(turns) + "\n")] == turns
    assert [turn.role for turn in split_turns("\n".join(turns))] == ["assistant", "user"] * len(rounds)


def test_text_of_models_is_never_run_nor_cut(tmp_path: Path) -> None:
    """A lone half of a surrogate pair, which has no UTF-8 form, becomes a question mark; nothing else changes."""
    odd = trajectory(ask("Thought: __import__('os').system('x') {{7*7}} \x00\u2028\ud800\nAction: finish[a]"),
                     answer="a")
    [found] = through("sharegpt", [odd], tmp_path)
    assert found.steps[0].text == odd.steps[0].text.replace("\ud800", "?")
    assert encode(found).encode()
