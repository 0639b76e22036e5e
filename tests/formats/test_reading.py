"""Foreign and broken files: what is understood, and the sentence where it is not. And the command."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import DataError
from fireact.examples import conversation
from fireact.formats import read, write
from fireact.formats.__main__ import main
from tests.formats.samples import ALL, REACT
from tests.helpers import ROOT

END = "Observation: Episode finished, reward = 1"


def saved(folder: Path, *records: Any, name: str = "file.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def chat(*texts: str) -> dict[str, Any]:
    return {"messages": [{"role": "assistant" if number % 2 else "user", "content": text}
                         for number, text in enumerate(texts)]}


def alpaca(output: str, instruction: str = "Who?") -> dict[str, Any]:
    return {"instruction": instruction, "input": "", "output": output}


def test_a_foreign_chat_file_is_read_and_counts_as_unjudged(tmp_path: Path) -> None:
    record = chat("Who?", "Thought: I look.\nAction: search[x]", "Observation: y", "Action: finish[y]")
    record["messages"].insert(0, {"role": "system", "content": "Be brief."})
    found = read(saved(tmp_path, record))
    [one] = found.trajectories
    assert (one.answer, one.score.em, one.question.answers, one.method, one.dataset) == ("y", 0.0, (), "react", "")
    assert [defect.kind for defect in found.defects] == ["system", "no_thought", "unscored"]


def test_a_foreign_alpaca_list_with_an_input(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps([alpaca(f"Thought: a\nb.\nAction: finish[[x] y]\n{END}") | {"input": "In 1999."}]),
                    encoding="utf-8")
    [one] = read(path).trajectories
    assert one.question.text == "Who?\nIn 1999."
    assert (one.answer, one.steps[0].text) == ("[x] y", "Thought: a\nb.\nAction: finish[[x] y]")
    assert conversation(one)[0][1].content == "Thought: a b.\nAction: finish[[x] y]"


def test_a_reply_without_an_action_is_shown_and_not_learnt(tmp_path: Path) -> None:
    [one] = read(saved(tmp_path, chat("Q?", "Thought: hm.", "Observation: x", "Action: finish[a]", END))).trajectories
    assert [step.kind for step in one.steps] == ["ask", "refuse", "ask"]
    assert conversation(one)[1] == [3]


def test_the_same_question_by_the_same_method_gets_a_number(tmp_path: Path) -> None:
    found = read(saved(tmp_path, *[chat("Q?", f"Thought: {word}.\nAction: finish[a]", END) for word in "xyz"]))
    ids = [one.id for one in found.trajectories]
    assert ids == [ids[0], f"{ids[0]}-2", f"{ids[0]}-3"]
    assert [one.question.id for one in found.trajectories] == ids


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "the file is empty; expected records with 'messages'"),
    ("[]", "the file has no records"),
    ("id,question\n1,Who?\n", "expected JSON"),
    ('{"messages": [\n', "expected JSON"),
    ("[1, 2]", "record 1: a record is '1'"),
    ('{"query": "a", "observation": "b"}\n' * 2, r":1: the record has 'query', 'observation'; expected records with"),
    ('{"messages": "hello"}\n' * 2, r":1: messages: .*list, got 'hello'; expected one ChatRecord"),
    ('{"messages": [{"role": "bot", "content": "x"}]}', r":1: messages.0.role: .*'bot'"),
    ('{"messages": [{"role": "user", "content": null}]}', r":1: messages.0.content: .*'None'"),
    ('{"conversations": [{"from": "human"}]}', r"conversations.0.value: Field required"),
    ('[{"instruction": "Say hello.", "output": "Hello."}]', "record 1: no reply has an action, the first is 'Hello.'"),
    (json.dumps(chat("Q?")), r"the roles are \[\]; expected assistant and user by turns"),
    (json.dumps(chat("", "Thought: x.\nAction: finish[a]")), "there is no question"),
    ('{"7": {"traj": "none", "gt": "x"}}', "record 7: traj is 'none'; expected a list of messages"),
    ('{"7": {"traj": []}}', "record 7: gt: Field required"),
    ("[" * 100_000, "expected JSON"),
])
def test_what_makes_no_sense_is_said_in_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "broken"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=sentence) as failure:
        read(path)
    assert str(failure.value).startswith(str(path))
    assert "\n" not in str(failure.value)


def test_the_line_of_a_broken_record_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, chat("Q?", "Thought: x.\nAction: finish[a]"), {"messages": 3})
    with pytest.raises(DataError, match=r"file.jsonl:2: messages"):
        read(path)
    path.write_text(json.dumps(chat("Q?", "Action: finish[a]")) + '\n{"mess', encoding="utf-8")
    with pytest.raises(DataError, match=r"file.jsonl:2: .*expected JSON"):
        read(path)


@pytest.mark.parametrize("steps", [[], [{"kind": "act", "text": "x"}], [{"kind": "ask", "text": "x"}] +
                                   [{"kind": "refuse", "text": "y"}] * 2])
def test_a_forged_trajectory_is_refused(steps: list[Any], tmp_path: Path) -> None:
    write("conversational", [REACT], tmp_path / "one")
    record = json.loads((tmp_path / "one").read_text(encoding="utf-8"))
    record["trajectory"] = json.dumps(json.loads(record["trajectory"]) | {"steps": steps})
    with pytest.raises(DataError, match=r"file.jsonl:1: the steps of the trajectory are"):
        read(saved(tmp_path, record))


def test_the_command_converts_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("alpaca", ALL, tmp_path / "a.json")
    assert main([str(tmp_path / "a.json"), "--to", "sharegpt", "--out", str(tmp_path / "b.jsonl")]) == 0
    assert read(tmp_path / "b.jsonl").trajectories == ALL
    out = capsys.readouterr().out
    assert out.startswith("6 trajectories\n  hotpotqa     cot             1   1 right\n")
    assert out.endswith(f"wrote 6 records to {tmp_path / 'b.jsonl'}\n")


def test_the_command_prints_defects_by_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(saved(tmp_path, *[chat(f"Q{n}?", "Action: finish[a]", END[:-1] + "0") for n in range(3)]))]) == 0
    out = capsys.readouterr().out
    assert "3 x failed: the answer was judged wrong; it scores 0" in out
    assert "file.jsonl:3)" in out


def test_the_command_does_not_overwrite_what_it_reads_by_the_file_beside(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "b.trajectories.jsonl"
    write("trajectories", ALL, source)
    before = source.read_bytes()
    assert main([str(source), "--to", "openai", "--out", str(tmp_path / "b.jsonl")]) == 2
    assert f"would overwrite {source}, the file that is read" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert main([str(source), "--to", "openai", "--out", str(tmp_path / "c.jsonl")]) == 0
    assert f"to {tmp_path / 'c.jsonl'} and {tmp_path / 'c.trajectories.jsonl'}\n" in capsys.readouterr().out


def test_a_reader_that_leaves_early_loses_nothing(tmp_path: Path) -> None:
    path, out = saved(tmp_path, chat("Q?", "Action: finish[a]", END)), tmp_path / "out.jsonl"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "fireact.formats", path, "--to", "sharegpt", "--out", out], cwd=ROOT,
                          stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(read(out).trajectories) == 1


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["absent.json"], "No such file"),
    (["--to", "sharegpt"], "give both"),
    (["--out", "x"], "give both"),
    (["--to", "sharegpt", "--out", "SELF"], "choose another"),
    (["--to", "sharegpt", "--out", "BELOW"], "cannot be written: "),
    (["--to", "openai", "--out", "PIPE"], "is no ordinary file"),
    (["--to", "sharegpt", "--out", "x" * 3000], "cannot be written: File name too long; choose another place"),
    (["y" * 3000], "File name too long"),
    (["--to", "sharegpt", "--out", "FOLDER"], "is a folder"),
])
def test_the_command_refuses_in_one_sentence(arguments: list[str], sentence: str, tmp_path: Path,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, chat("Q?", "Thought: x.\nAction: finish[a]", END))
    os.mkfifo(tmp_path / "pipe")
    names = {"PIPE": str(tmp_path / "pipe"), "SELF": str(path), "FOLDER": str(tmp_path), "BELOW": str(path / "below")}
    rest = [names.get(argument, argument) for argument in arguments]
    assert main([str(path), *rest] if arguments[0].startswith("--") else rest) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert sentence in error
    assert error.count("\n") == 1
