"""Your own questions: jsonl and csv read the same, and every mistake is named with its file and line."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.dataset.table import Table
from fireact.errors import ConfigError, DataError
from fireact.plugins import check
from fireact.types import Question, Score


def jsonl(folder: Path, *rows: object) -> str:
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_row_is_a_question(tmp_path):
    path = jsonl(tmp_path, {"id": 7, "question": " Who? ", "answer": ["Ann", "Anna", "Ann"], "kind": "bridge", "x": 1})
    assert Table(test=path).questions("test") == [Question("7", "Who?", ("Ann", "Anna"), "bridge")]


@pytest.mark.parametrize(("answer", "expected"), [
    ("Ann", "Ann"), (42, "42"), (0, "0"), (3.0, "3"), (2.5, "2.5"), (True, "yes"), (False, "no"), ([True, 1], "yes"),
])
def test_answers_may_be_text_numbers_and_truth_values(tmp_path, answer, expected):
    assert Table(test=jsonl(tmp_path, {"question": "q", "answer": answer})).questions("test")[0].answers[0] == expected


def test_csv_reads_like_jsonl(tmp_path):
    path = tmp_path / "questions.csv"
    path.write_bytes('\ufeffq,a,id\r\n"Who, and\nwhen?",Zoë,1\r\n\r\nWhere?,Rome,\r\n'.encode())
    first, second = Table(train=str(path), question="q", answer="a").questions("train")
    assert first == Question("1", "Who, and\nwhen?", ("Zoë",))
    assert second.text == "Where?"
    same = jsonl(tmp_path, {"question": "Where?", "answer": "Rome"})
    assert Table(train=same).questions("train") == [second]


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


@given(texts=st.lists(TEXT, min_size=1, unique_by=str.strip))
def test_any_text_survives_both_formats(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("formats")
    rows = [{"question": text, "answer": "x"} for text in texts]
    with open(folder / "questions.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["question", "answer"])
        writer.writeheader()
        writer.writerows(rows)
    questions = Table(train=jsonl(folder, *rows), test=str(folder / "questions.csv"))
    assert questions.questions("train") == questions.questions("test")
    assert [question.text for question in questions.questions("train")] == [text.strip() for text in texts]


def test_a_question_without_id_has_a_lasting_one(tmp_path):
    path = jsonl(tmp_path, {"question": "Where?", "answer": "Rome"}, {"id": None, "question": "Who?", "answer": "Ann"})
    assert [question.id for question in Table(test=path).questions("test")] == ["91f45115c34f7dcf", "d991a24e8e04231c"]


def test_scoring_takes_the_best_alias(tmp_path):
    table = Table(test=jsonl(tmp_path, {"question": "q", "answer": ["New York", "NYC"]}),
                  passages=str(tmp_path / "p.jsonl"))
    (question,) = table.questions("test")
    assert table.score(question, "the NYC.") == Score(1.0, 1.0)
    assert table.score(question, None) == Score(0.0, 0.0)
    assert table.corpus() == tmp_path / "p.jsonl"


@pytest.mark.parametrize(("row", "settings", "what"), [
    ({"questions": "q", "answer": "a"}, {}, r":2: there is no column 'question' \(did you mean questions\?\)"),
    ({"question": "q"}, {}, r":2: there is no column 'answer'"),
    ({"question": "q", "answer": "a"}, {"id": "qid"}, r":2: there is no column 'qid'.*dataset\.id="),
    ({"question": "q", "answer": "1"}, {"kind": "type"}, r":2: there is no column 'type'"),
    ({"question": "  ", "answer": "a"}, {}, r":2: the question is '  '; expected text"),
    ({"question": "q", "answer": None}, {}, r":2: the answer is 'None'"),
    ({"question": "q", "answer": {"x": 1}}, {}, r":2: the answer is "),
    ({"question": "q", "answer": float("nan")}, {}, r":2: the answer is 'nan'"),
    ({"question": "q", "answer": []}, {}, r":2: the list of answers is empty"),
    ({"question": "q", "answer": "A"}, {}, r":2: the answer 'A' is empty once articles .* write the answer out"),
    (["q", "a"], {}, r":2: the line: .*an object"),
    ({"question": "first", "answer": "1"}, {}, r":2: the id '\w+' was already used at .*:1; give every record an id"),
])
def test_a_bad_row_is_named(tmp_path, row, settings, what):
    first = {"question": "first", "answer": "1", "qid": "1", "type": "x"}
    with pytest.raises(DataError, match=what) as error:
        Table(test=jsonl(tmp_path, first, row), **settings).questions("test")
    assert str(error.value).startswith(str(tmp_path))


@pytest.mark.parametrize(("text", "what"), [
    (b"", "is empty; expected one question a row"),
    (b"question,answer\n", "is empty"),
    (b"question,answer\na,b\nc,d,e\n", r":3: the row has not the 2 cells"),
    (b"question,answer\na\n", r":2: the row has not the 2 cells"),
    (b'question,answer\na,1\n"a"b,c\n', r":3: ',' expected after '\"'; expected comma-separated"),
    (b'question,answer\na,1\n"a,b\nc,d\n', r":3: unexpected end of data"),
    (b"question;answer\na;b\n", r":2: there is no column 'question'"),
    (b"question,answer\n\xe9,b\n", r"0xe9 is not UTF-8; save the file as UTF-8"),
])
def test_a_broken_csv_is_named(tmp_path, text, what):
    path = tmp_path / "questions.csv"
    path.write_bytes(text)
    with pytest.raises(DataError, match=what):
        Table(test=str(path)).questions("test")


def test_files_and_splits_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no file for the split 'validation'; name one, e.g. dataset\.validation="):
        Table().questions("validation")
    assert Table().corpus() is None
    with pytest.raises(ConfigError, match=r"no split 'tests' \(did you mean test\?\)"):
        Table().questions("tests")
    with pytest.raises(DataError, match=r"nowhere\.csv: No such file"):
        Table(test=str(tmp_path / "nowhere.csv")).questions("test")
    with pytest.raises(DataError, match=r"'\.txt' is unknown; expected a \.jsonl, \.json, \.csv or \.parquet file"):
        Table(test=str(tmp_path / "questions.txt")).questions("test")


def test_questions_may_have_a_prefix_and_be_shuffled(tmp_path: Path) -> None:
    path = jsonl(tmp_path, *({"question": f"Q{n}?", "answer": "Ann"} for n in range(30)))
    plain = Table(test=path).questions("test")
    mixed = Table(test=path, shuffle=233, prefix="Yes or no: ").questions("test")
    assert [question.text for question in plain] == [f"Q{n}?" for n in range(30)]
    assert mixed != plain
    assert mixed == Table(test=path, shuffle=233, prefix="Yes or no: ").questions("test")
    assert {question.text for question in mixed} == {f"Yes or no: Q{n}?" for n in range(30)}
    assert {question.id for question in mixed} == {question.id for question in plain}


def test_prompts_and_evaluation_split_are_options() -> None:
    assert (Table().prompt, Table().evaluation_split) == ("hotpotqa", "test")
    check({"_target_": "fireact.dataset.table.Table", "evaluation_split": "validation"}, "dataset")
    with pytest.raises(ConfigError, match=r"dataset\.evaluation_split='dev' does not fit"):
        check({"_target_": "fireact.dataset.table.Table", "evaluation_split": "dev"}, "dataset")
