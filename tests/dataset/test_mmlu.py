"""MMLU: the original csv folders, the hub's columns and jsonl; options are texts, whatever they say."""

import json
from pathlib import Path

import pytest

from fireact.dataset.mmlu import MMLU
from fireact.errors import ConfigError, DataError
from fireact.types import Question, Score

ROW = {"question": "How many?", "subject": "anatomy", "choices": ["None", "NA", "1", "All of the above"], "answer": 1}


def dataset(folder: Path, *rows: dict, **options) -> MMLU:
    path = folder / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return MMLU(**{"test": str(path), "shuffle": None, **options})


def test_a_question_lists_its_options(tmp_path: Path) -> None:
    (question,) = dataset(tmp_path, ROW, prefix="Single choice: ").questions("test")
    assert question == Question(
        "mmlu-test-0", "Single choice: How many?\nA. None\nB. NA\nC. 1\nD. All of the above", ("B",), "anatomy",
        choices=("None", "NA", "1", "All of the above"))


@pytest.mark.parametrize(("answer", "letter"), [(0, "A"), (3, "D"), ("C", "C"), (" b", "B")])
def test_an_answer_is_a_letter_or_a_number(tmp_path: Path, answer: object, letter: str) -> None:
    assert dataset(tmp_path, {**ROW, "answer": answer}).questions("test")[0].answers == (letter,)


def test_the_original_folders_read_the_same_everywhere(tmp_path: Path) -> None:
    folder = tmp_path / "test"
    folder.mkdir()
    (folder / "virology_test.csv").write_text('"Which, of these?",1.0,2,NA,None,D\n')
    (folder / "anatomy_test.csv").write_text("How many?,None,NA,1,All of the above,B\nWhat?,a,b,c,d,A\n")
    first, second, third = MMLU(test=str(folder), shuffle=None).questions("test")
    assert first == dataset(tmp_path, ROW).questions("test")[0]
    assert (second.id, second.kind) == ("mmlu-test-1", "anatomy")
    assert third == Question("mmlu-test-2", "Which, of these?\nA. 1.0\nB. 2\nC. NA\nD. None", ("D",), "virology",
                             choices=("1.0", "2", "NA", "None"))
    shuffled = MMLU(test=str(folder)).questions("test")
    assert sorted(question.id for question in shuffled) == ["mmlu-test-0", "mmlu-test-1", "mmlu-test-2"]


@pytest.mark.parametrize(("row", "error", "what"), [
    ({"answer": "E"}, DataError, "the answer is 'E'; expected one of A, B, C, D, or 0 to 3"),
    ({"answer": 4}, DataError, "the answer is '4'"),
    ({"answer": True}, DataError, "the answer is 'True'"),
    ({"choices": ["x"]}, DataError, "expected a list of 2 texts or more"),
    ({"answer": None}, ConfigError, "the question has no answer"),
    ({"choices": ["a", None, "b", "c"]}, DataError, 'option B is missing; if it was the text "None" or "NA"'),
    ({"choices": "abcd"}, DataError, "the choices are 'abcd'"),
])
def test_a_bad_row_is_named(tmp_path: Path, row: dict, error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=f":1: .*{what}"):
        dataset(tmp_path, {**ROW, **row}).questions("test")


def test_a_row_without_options_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":1: there is no column 'A'"):
        dataset(tmp_path, {"question": "How many?", "answer": "A"}).questions("test")


@pytest.mark.parametrize("row", ["How many?,1,2,3,A\n", "How many?,1,2,3,4,A,B\n"])
def test_a_csv_of_another_width_is_named(tmp_path: Path, row: str) -> None:
    (tmp_path / "virology_test.csv").write_text(f"How many?,1,2,3,4,A\n{row}")
    with pytest.raises(DataError, match=r":2: the row has not the 6 cells question, A, B, C, D, answer; put a cell"):
        MMLU(test=str(tmp_path)).questions("test")


def test_a_broken_csv_is_not_asked_for_a_header(tmp_path: Path) -> None:
    (tmp_path / "virology_test.csv").write_text('"How many?,1,2,3,4,A\n')
    with pytest.raises(DataError, match="expected comma-separated values without a header"):
        MMLU(test=str(tmp_path)).questions("test")


def test_scoring_is_faithful_or_strict(tmp_path: Path) -> None:
    question = dataset(tmp_path, {**ROW, "answer": "D"}).questions("test")[0]
    assert dataset(tmp_path, scoring="faithful").score(question, "All of the above") == Score(0.0, 0.0)
    assert dataset(tmp_path).score(question, "All of the above") == Score(1.0, 1.0)
