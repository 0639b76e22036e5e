"""Conversations for other trainers: OpenAI's shape, ShareGPT, and sets that `datasets` loads."""

from pathlib import Path
from typing import Any

import pytest

from fireact.errors import DataError
from fireact.formats import read, write
from fireact.formats.chat import openai_record, sharegpt_record
from tests.formats.samples import ALL, COT, REACT, REFUSED, SILENT, ask, trajectory


def test_openai_takes_messages_and_weights_only() -> None:
    record = openai_record(REACT)
    assert list(record) == ["messages"]
    assert [(message["role"], message.get("weight")) for message in record["messages"]] == [
        ("user", None), ("assistant", None), ("user", None), ("assistant", 0), ("user", None), ("assistant", None)]
    assert record["messages"][-1] == {"role": "assistant", "content": "Thought: I know.\nAction: finish[ngultrum]"}


def test_a_chain_of_thought_is_one_round() -> None:
    assert openai_record(COT)["messages"][1:] == [
        {"role": "assistant", "content": "Thought: Bhutan has it.\nAction: finish[ngultrum]"}]


@pytest.mark.parametrize("record", [REFUSED, SILENT])
def test_what_has_nothing_to_learn_is_refused(record: Any) -> None:
    with pytest.raises(DataError, match=r"'q1' .* holds no reply to learn from .* drop it"):
        openai_record(record)


def test_sharegpt_names_its_speakers() -> None:
    turns = sharegpt_record(REACT)["conversations"]
    assert [turn["from"] for turn in turns] == ["human", "gpt"] * 3
    assert turns[2]["value"].startswith("Observation: Thimphu.")


def loaded(path: Path, folder: Path) -> Any:
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")
    return datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(folder), chunksize=4_000)


@pytest.mark.parametrize("name", ["conversational", "sharegpt", "alpaca"])
def test_datasets_loads_what_is_written(name: Any, tmp_path: Path) -> None:
    """In parts, whose columns must have the same types: so no column may be empty in one of them."""
    bare = trajectory(ask("Thought: x.\nAction: finish[y]"))
    n = write(name, [*[bare] * 40, *ALL], tmp_path / "set.jsonl")
    rows = loaded(tmp_path / "set.jsonl", tmp_path)
    assert len(rows) == n
    rows.to_json(str(tmp_path / "again.jsonl"))
    assert read(tmp_path / "again.jsonl").trajectories == [*[bare] * 40, *ALL]
