"""Bamboogle: the released csv, the hub's columns and jsonl with aliases."""

import json
from pathlib import Path

import pytest

from fireact.dataset.bamboogle import Bamboogle
from fireact.errors import ConfigError, DataError
from fireact.types import Question, Score


def test_csv_and_jsonl_read_the_same(tmp_path: Path) -> None:
    released, lines = tmp_path / "test.csv", tmp_path / "test.jsonl"
    released.write_text('Question,Answer\n"Who, then?",james madison\nWhen?,29-May-32\n')
    rows = [{"question": "Who, then?", "answer": "james madison", "answers": ["james madison"]},
            {"id": "x", "question": "When?", "answer": "29-May-32", "answers": ["29-May-32", "May 29, 1932"]}]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = Bamboogle(test=str(released), shuffle=None, prefix="Q: ").questions("test")
    assert first == Question("test-0", "Q: Who, then?", ("james madison",))
    assert second == Question("test-1", "Q: When?", ("29-May-32",))
    _, aliased = Bamboogle(test=str(lines), shuffle=None).questions("test")
    assert aliased == Question("x", "When?", ("29-May-32", "May 29, 1932"))
    assert Bamboogle(test=str(lines)).score(aliased, "may 29 1932") == Score(1.0, 1.0)
    assert Bamboogle(test=str(lines), scoring="faithful").score(aliased, "may 29 1932").em == 0


@pytest.mark.parametrize(("answer", "read"), [(1932, ("1932",)), (2.0, ("2",)), (True, ("yes",)),
                                              ([1932, None, " ", "in 1932", 1932], ("1932", "in 1932"))])
def test_answers_may_be_numbers(tmp_path: Path, answer: object, read: tuple[str, ...]) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(json.dumps({"question": "When?", "answer": answer}) + "\n")
    assert Bamboogle(test=str(path)).questions("test")[0].answers == read


@pytest.mark.parametrize(("row", "what"), [({"Question": "q"}, "no column 'answers' or 'Answer' or 'answer'"),
                                           ({"Question": "q", "Answer": ""}, "the answer is ''"),
                                           ({"Question": "q", "Answer": [None]}, "expected text, or a list of texts"),
                                           ({"Question": "q", "Answer": {"a": 1}}, "expected text, a number, true or"),
                                           ({"answer": "a"}, "no column 'Question' or 'question'")])
def test_a_bad_row_is_named(tmp_path: Path, row: dict, what: str) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=f":1: .*{what}"):
        Bamboogle(test=str(path)).questions("test")


def test_it_has_one_split(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file for the split 'train'"):
        Bamboogle().questions("train")
    assert Bamboogle().corpus() is None
    assert Bamboogle(passages="p.jsonl").corpus() == Path("p.jsonl")
