"""What was played of a job: a lazy sequence of the records that count, judged by the present rules."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fireact.errors import DataError
from fireact.play.played import digest, finished, plan, require
from fireact.play.records import TRAJECTORIES, Records
from fireact.sections import Sampling
from fireact.types import Question, Score, StopReason, Trajectory
from tests.episodes import record

QUESTIONS = [record(f"q{number}").question for number in range(4)]


@dataclass(frozen=True)
class Judging:
    """A dataset by whose rules one answer is right."""

    right: str = "Paris"
    prompt: str = "factbook"
    evaluation_split: str = "test"

    def questions(self, split: str) -> list[Question]:
        return QUESTIONS

    def corpus(self) -> None:
        return None

    def score(self, question: Question, answer: str | None) -> Score:
        return Score(float(answer == self.right), 0.0)


def write(folder: Path, *records: Trajectory) -> None:
    file = Records(folder)
    for each in records:
        file.append(each)
    file.close()


def names(folder: Path, n: int = 4, dataset: Judging = Judging(), **sampling) -> list[tuple[str, int]]:
    played = require(folder, dataset, QUESTIONS[:n], Sampling(**sampling), "generate")
    return [(each.id, each.attempt) for each in played]


def test_the_records_come_in_the_order_of_the_questions(tmp_path: Path) -> None:
    write(tmp_path, *(record(f"q{number}") for number in (2, 0, 3, 1)))
    played = require(tmp_path, Judging(), QUESTIONS, Sampling(), "generate")
    assert [each.id for each in played] == ["q0", "q1", "q2", "q3"]
    assert len(played) == 4
    assert played[-1].id == "q3"
    assert [each.id for each in played[1:3]] == ["q1", "q2"]
    assert [each.id for each in reversed(played)] == ["q3", "q2", "q1", "q0"]
    with pytest.raises(IndexError):
        played[4]


def test_more_may_be_there_than_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, *(record(f"q{number}", attempt) for number in range(4) for attempt in range(3)))
    assert names(tmp_path, n=2) == [("q0", 0), ("q1", 0)]
    assert names(tmp_path, n=1, attempts=2) == [("q0", 0), ("q0", 1)]


def test_a_record_is_read_when_it_is_used(tmp_path: Path) -> None:
    write(tmp_path, *(record(f"q{number}", method=f"method {number}") for number in range(4)))
    file = tmp_path / TRAJECTORIES
    file.write_bytes(file.read_bytes().replace(b'"method":"method 2"', b'"method":           2'))
    played = require(tmp_path, Judging(), QUESTIONS, Sampling(), "generate")
    assert [played[at].id for at in (0, 1, 3)] == ["q0", "q1", "q3"]
    with pytest.raises(DataError, match="method: "):
        played[2]


def test_what_was_played_is_judged_by_the_present_rules(tmp_path: Path) -> None:
    write(tmp_path, record("q0", em=1.0), record("q1", em=0.0))
    for right, scores in (("Paris", [1.0, 0.0]), ("Rome", [0.0, 1.0])):
        played = require(tmp_path, Judging(right), QUESTIONS[:2], Sampling(), "generate")
        assert [each.score.em for each in played] == scores
        assert played[0] == replace(record("q0"), score=Score(scores[0], 0.0))


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    assert not finished(tmp_path, QUESTIONS, Sampling(), Judging())
    with pytest.raises(DataError, match=r"has 0 of the 4 that are wanted; run stage=generate first, or stage=pipeline"):
        names(tmp_path)
    write(tmp_path, record("q0"), record("q1", stop=StopReason.MODEL), record("q3"))
    assert not finished(tmp_path, QUESTIONS, Sampling(), Judging())
    with pytest.raises(DataError, match="has 2 of the 4"):
        names(tmp_path)
    with pytest.raises(DataError, match="has 2 of the 8"):
        names(tmp_path, attempts=2)
    write(tmp_path, record("q1"), record("q2"))
    assert finished(tmp_path, QUESTIONS, Sampling(), Judging())


def test_of_attempts_that_end_with_a_right_one_those_up_to_it_count(tmp_path: Path) -> None:
    """So that a folder which holds more, from a job that asked for all, gives the same."""
    write(tmp_path, *(record("q0", attempt, em) for attempt, em in enumerate([0.0, 1.0, 0.0, 1.0])))
    assert names(tmp_path, 1, attempts=4, until_correct=True) == [("q0", 0), ("q0", 1)]
    assert names(tmp_path, 1, attempts=4) == [("q0", attempt) for attempt in range(4)]
    assert names(tmp_path, 1, attempts=1, until_correct=True) == [("q0", 0)]


def test_only_as_many_count_as_are_to_be_kept(tmp_path: Path) -> None:
    write(tmp_path, *(record(f"q{number}", em=em) for number, em in enumerate([1.0, 0.0, 1.0, 1.0])))
    assert [id for id, _ in names(tmp_path, kept=2, filters=["correct"])] == ["q0", "q1", "q2"]
    assert [id for id, _ in names(tmp_path, kept=9, filters=["correct"])] == ["q0", "q1", "q2", "q3"]
    assert [id for id, _ in names(tmp_path, kept=1, filters=["correct", "fits", "not_evaluated"])] == ["q0"]
    assert [id for id, _ in names(tmp_path, dataset=Judging("Rome"), kept=1, filters=["correct"])] == ["q0", "q1"]
    assert [id for id, _ in names(tmp_path, kept=2)] == ["q0", "q1"]


def test_a_plan_keeps_what_passes_the_filters_of_an_episode() -> None:
    keeps = plan(QUESTIONS, Sampling(filters=["finished", "correct", "fits", "not_evaluated"]), Judging()).keeps
    assert keeps(record())
    assert not keeps(record(em=0.0))
    assert not keeps(record(stop=StopReason.ROUNDS))


def test_a_digest_is_of_what_was_played_and_not_of_when() -> None:
    first = [record("q0"), record("q1")]
    assert digest(first) == digest([replace(each, seconds=9.0, provenance={**each.provenance, "commit": "c"})
                                    for each in first])
    assert digest(first) != digest(first[::-1])
    assert digest(first) != digest([record("q0"), record("q1", em=0.0)])
