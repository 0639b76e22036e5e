"""StrategyQA: originals, released files and the hub's columns; its evidence, and its paragraphs as a corpus."""

import json
from pathlib import Path

import pytest

from fireact.dataset.strategyqa import StrategyQA
from fireact.errors import ConfigError, DataError
from fireact.types import Question, Score

ORIGINAL = {"qid": "e0", "term": "Albany", "description": "City", "question": "Will Albany grow first?",
            "answer": False, "facts": ["x"], "decomposition": ["y"],
            "evidence": [[[["Albany, Georgia-1"]], [["Albany, New York-2", "no_evidence"]], ["operation"]],
                         [[["Albany, Georgia-1"]], ["operation"]]]}
PARAGRAPHS = {"Albany, Georgia-1": {"title": "Albany, Georgia", "section": "", "content": "Albany is a city."},
              "Albany, New York-9": {"title": "Albany, New York", "section": "", "content": "Albany is a capital."}}


def dataset(folder: Path, *rows: dict, **options) -> StrategyQA:
    path = folder / "dev.json"
    path.write_text(json.dumps(rows))
    return StrategyQA(home=folder / "home", validation=str(path), shuffle=None, **options)


@pytest.mark.parametrize(("answer", "expected"), [(True, "yes"), (False, "no"), ("yes", "yes"), (" No", "no"),
                                                  ("True", "yes"), ("FALSE", "no")])
def test_answers_are_yes_and_no(tmp_path: Path, answer: object, expected: str) -> None:
    (question,) = dataset(tmp_path, {**ORIGINAL, "answer": answer}, prefix="Yes or no: ").questions("validation")
    assert question == Question("e0", "Yes or no: Will Albany grow first?", (expected,), "yes_no")


def test_the_original_paragraphs_are_a_corpus(tmp_path: Path) -> None:
    paragraphs = tmp_path / "strategyqa_train_paragraphs.json"
    paragraphs.write_text(json.dumps(PARAGRAPHS))
    data = dataset(tmp_path, ORIGINAL, passages=str(paragraphs))
    corpus = data.corpus()
    assert corpus is not None
    assert json.loads(corpus.read_text().splitlines()[0]) == {
        "id": "Albany, Georgia-1", "title": "Albany, Georgia", "text": "Albany is a city."}
    assert data.questions("validation")[0].gold == ("Albany, Georgia-1",)


def test_evidence_by_annotator_is_gold_where_the_corpus_holds_it(tmp_path: Path) -> None:
    passages = tmp_path / "corpus.jsonl"
    passages.write_text("".join(json.dumps({"id": id, "title": "t", "text": "x"}) + "\n" for id in ("a-1", "c-3")))
    row = {"id": "q", "question": "Is it?", "answer": "yes", "evidence_by_annotator": [["a-1", "b-2"], ["c-3", "a-1"]]}
    assert dataset(tmp_path, row, passages=str(passages)).questions("validation")[0].gold == ("a-1", "c-3")
    assert dataset(tmp_path, row).questions("validation")[0].gold == ()


@pytest.mark.parametrize(("row", "error", "what"), [
    ({"qid": "t", "question": "Is it?"}, ConfigError, "StrategyQA's test split is without labels"),
    ({"question": "Is it?", "answer": "maybe"}, DataError, "the answer is 'maybe'; expected true, false, yes or no"),
    ({"answer": True}, DataError, "no column 'question'"),
])
def test_a_bad_row_is_named(tmp_path: Path, row: dict, error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=f"record 1: .*{what}"):
        dataset(tmp_path, row).questions("validation")


@pytest.mark.parametrize(("content", "what"), [([], "expected an object of paragraphs by id, got list"),
                                               ({"a": 1}, "a: expected an object with title and content"),
                                               ({"a": {"title": "t"}}, "a: there is no column 'content'")])
def test_bad_paragraphs_are_named(tmp_path: Path, content: object, what: str) -> None:
    path = tmp_path / "paragraphs.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=what):
        dataset(tmp_path, ORIGINAL, passages=str(path)).corpus()


def test_scoring_is_faithful_or_strict(tmp_path: Path) -> None:
    question = Question("q", "Is it?", ("no",))
    assert dataset(tmp_path, scoring="faithful").score(question, "not sure") == Score(1.0, 1.0)
    assert dataset(tmp_path).score(question, "not sure") == Score(0.0, 0.0)
