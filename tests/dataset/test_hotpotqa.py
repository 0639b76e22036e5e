"""HotpotQA: every format reads the same, its paragraphs become a corpus, and plans follow the gold ones."""

import asyncio
import json
from pathlib import Path

import pytest

from fireact.dataset.hotpotqa import HotpotQA
from fireact.episode import Player
from fireact.errors import ConfigError, DataError
from fireact.model.oracle import Oracle
from fireact.strategy.react import React
from fireact.tool.corpus import Corpus
from fireact.types import Question, Score, StopReason

FILM = ("Kiss and Tell (1945 film)", ["Kiss and Tell is a 1945 American comedy film.",
                                      " Shirley Temple stars as Corliss Archer."])
ACTRESS = ("Shirley Temple", ["Shirley Temple Black was an American actress, singer, dancer and diplomat.",
                              " As an adult she was Chief of Protocol of the United States."])
OTHER = ("Rock &amp; Roll", ["Rock &amp; Roll is music."])
BRIDGE = {"_id": "b", "question": "What post was held by the woman who was Corliss Archer in Kiss and Tell?",
          "answer": "Chief of Protocol", "type": "bridge", "level": "hard",
          "supporting_facts": [[ACTRESS[0], 1], [FILM[0], 1]], "context": [list(OTHER), list(ACTRESS), list(FILM)]}
CLOSED = {"_id": "c", "question": "Are Rock & Roll and Shirley Temple both music?", "answer": "no",
          "type": "comparison", "supporting_facts": [[OTHER[0], 0], [ACTRESS[0], 0]],
          "context": [list(OTHER), list(ACTRESS)]}


def on_hub(row: dict) -> dict:
    """The same row in the columns of the hub's dataset."""
    return {**{name: value for name, value in row.items() if name != "_id"}, "id": row["_id"],
            "supporting_facts": {"title": [title for title, _ in row["supporting_facts"]],
                                 "sent_id": [number for _, number in row["supporting_facts"]]},
            "context": {"title": [title for title, _ in row["context"]],
                        "sentences": [sentences for _, sentences in row["context"]]}}


def dataset(folder: Path, *rows: dict, **options) -> HotpotQA:
    path = folder / "dev.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return HotpotQA(home=folder / "home", **{"train": None, "validation": str(path), "shuffle": None, **options})


def corpus_lines(data: HotpotQA) -> list[dict]:
    path = data.corpus()
    assert path is not None
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_question_has_its_gold_passages(tmp_path: Path) -> None:
    data = dataset(tmp_path, BRIDGE, CLOSED)
    bridge, closed = data.questions("validation")
    titles = {line["id"]: line["title"] for line in corpus_lines(data)}
    assert sorted(titles.values()) == [FILM[0], "Rock & Roll", ACTRESS[0]]
    assert (bridge.id, bridge.kind, bridge.answers) == ("b", "bridge", ("Chief of Protocol",))
    assert [titles[id] for id in bridge.gold] == [ACTRESS[0], FILM[0]]
    assert [titles[id] for id in closed.gold] == ["Rock & Roll", ACTRESS[0]]
    assert dataset(tmp_path, BRIDGE, prefix="Q: ").questions("validation")[0].text == f"Q: {BRIDGE['question']}"


def test_the_hubs_columns_read_the_same(tmp_path: Path) -> None:
    rows = (BRIDGE, CLOSED)
    assert dataset(tmp_path, *map(on_hub, rows)).questions("validation") == \
        dataset(tmp_path, *rows).questions("validation")


def test_a_bridge_is_crossed_in_the_right_direction(tmp_path: Path) -> None:
    (question,) = dataset(tmp_path, BRIDGE).questions("validation")
    assert question.plan is not None
    assert [hop.query for hop in question.plan.hops] == [FILM[0], ACTRESS[0]]
    assert (question.plan.rule, question.plan.answer) == ("given", "Chief of Protocol")


@pytest.mark.parametrize("show", ["snippet", "passages"])
def test_the_expert_answers_from_the_contexts(tmp_path: Path, show: str) -> None:
    data = dataset(tmp_path, BRIDGE, CLOSED)
    records = {question.id: play(data, question, tmp_path, show=show) for question in data.questions("validation")}
    assert all(record.score == Score(1.0, 1.0) for record in records.values())
    asked = [step.text for step in records["b"].steps if step.kind == "ask"]
    assert "Shirley Temple" not in asked[0]
    assert "Chief of Protocol" not in "".join(asked[:-1])
    assert asked[-1].endswith("Action: finish[Chief of Protocol]")
    assert records["c"].steps[0].text == ("Thought: I need to read about Rock & Roll, then about Shirley Temple.\n"
                                          "Action: search[Rock & Roll]")


def test_without_a_gold_passage_there_is_no_answer(tmp_path: Path) -> None:
    (question,) = dataset(tmp_path, BRIDGE).questions("validation")
    data = dataset(tmp_path, {**BRIDGE, "context": [list(OTHER), list(FILM)]})
    record = play(data, question, tmp_path)
    assert (record.stop, record.answer) == (StopReason.FINISHED, "unknown")
    assert data.questions("validation")[0].plan is None


def play(data: HotpotQA, question: Question, folder: Path, **options):
    tool = Corpus(corpus=data.corpus(), home=folder / "index", **{"show": "passages", **options})
    player = Player(method="react", task="hotpotqa", strategy=React(), few_shot=False, tool=tool, dataset=data,
                    model=Oracle(tool=tool, mistakes=0, lost=0))
    return asyncio.run(player.play(question))


def test_passages_may_come_from_a_file(tmp_path: Path) -> None:
    """As with the rows of the released jsonl, which have no contexts."""
    passages = tmp_path / "corpus.jsonl"
    passages.write_text("".join(json.dumps({"id": f"p{i}", "title": title, "text": "".join(sentences)}) + "\n"
                                for i, (title, sentences) in enumerate((FILM, ACTRESS))))
    bare = {name: value for name, value in BRIDGE.items() if name != "context"}
    data = dataset(tmp_path, bare, CLOSED, passages=str(passages))
    bridge, closed = data.questions("validation")
    assert data.corpus() == passages
    assert bridge.gold == ("p1", "p0")
    assert bridge.plan == dataset(tmp_path, BRIDGE).questions("validation")[0].plan
    assert closed.gold == ("p1",)


def test_fullwiki_and_bare_rows_bring_no_corpus(tmp_path: Path) -> None:
    data = dataset(tmp_path, BRIDGE, setting="fullwiki")
    assert data.corpus() is None
    assert data.questions("validation")[0].gold == ()
    released = dataset(tmp_path, {"question": "Who?", "answer": "Ann", "type": "bridge"})
    assert released.corpus() is None
    assert released.questions("validation") == [Question("validation-0", "Who?", ("Ann",), "bridge")]


def test_all_splits_share_one_corpus(tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    train.write_text(json.dumps(CLOSED) + "\n")
    data = dataset(tmp_path, {**BRIDGE, "context": [list(ACTRESS), list(FILM)]}, train=str(train))
    assert len(corpus_lines(data)) == 3


@pytest.mark.parametrize(("row", "error", "what"), [
    ({"answer": None}, ConfigError, "the question has no answer; HotpotQA's test split is without labels"),
    ({"question": ""}, DataError, "record 1: the question is ''; expected text"),
    ({"question": 3}, DataError, "the question is '3'"),
    ({"supporting_facts": [["Title", "0"]]}, DataError, r"supporting_facts are not of the form \[\[title, number\]"),
    ({"supporting_facts": "x"}, DataError, "expected pairs of a title and sent_id, got 'x'"),
    ({"context": [["Title", "text"]]}, DataError, "context is not of the form"),
    ({"supporting_facts": [["Title", -1]]}, DataError, r"supporting_facts are not of the form"),
    ({"supporting_facts": 3}, DataError, "expected pairs of a title and sent_id, got '3'"),
    ({"context": {"title": None, "sentences": None}}, DataError, "expected pairs of a title and sentences, got"),
    ({"answer": {"a": 1}}, DataError, r"the answer is .*; expected text, a number, true or false"),
    ({"context": [["Title"]]}, DataError, "expected pairs of a title and sentences"),
])
def test_a_bad_row_is_named(tmp_path: Path, row: dict, error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        dataset(tmp_path, {**BRIDGE, **row}).questions("validation")


@pytest.mark.parametrize(("answer", "read"), [(1945, "1945"), (3.0, "3"), (True, "yes"), (" no ", "no")])
def test_an_answer_may_be_a_number(tmp_path: Path, answer: object, read: str) -> None:
    assert dataset(tmp_path, {**BRIDGE, "answer": answer}).questions("validation")[0].answers == (read,)


def test_a_sentence_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    """HotpotQA's facts name some sentences beyond the end of their paragraph."""
    (question,) = dataset(tmp_path, {**BRIDGE, "supporting_facts": [[FILM[0], 9], [ACTRESS[0], 1]]}
                          ).questions("validation")
    assert question.plan is not None
    assert "Kiss" in question.plan.hops[0].read


def test_scoring_is_faithful_or_strict(tmp_path: Path) -> None:
    question = Question("q", "Who?", ("Zoë Smith", "Zoe"))
    assert dataset(tmp_path, scoring="faithful").score(question, "Zoe Smith").em == 0
    assert dataset(tmp_path, scoring="strict").score(question, "Zoe Smith").em == 1
    assert dataset(tmp_path).score(question, "the Zoe") == Score(1.0, 1.0)
