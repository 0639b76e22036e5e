"""Pairs of a good and a bad trajectory: who is paired, how many, and what is held out."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact import curate
from fireact.curate import HELD_PREFERENCES, PREFERENCES, CurateJob, read_funnel
from fireact.errors import DataError
from fireact.jsonl import encode, read_jsonl
from fireact.preferences import Pairing, Preference, divide, pair_up
from fireact.report import print_funnel
from fireact.types import Score, StopReason, Trajectory
from tests.test_curate import Make, job, record

__all__ = ["job"]
RIGHT, WRONG = Score(1.0, 1.0), Score(0.0, 0.0)


def attempt(name: str, number: int, right: bool, **changes: Any) -> Trajectory:
    """One attempt at a question: each is another conversation, all about the same question."""
    answer = "Paris" if right else "Lyon"
    return record(name, calls=(f"call {number}",), answer=answer, score=RIGHT if right else WRONG, attempt=number,
                  text=f"Question {name}?", **changes)


def attempts(name: str, right: int, wrong: int) -> list[Trajectory]:
    return [attempt(name, number, number < right) for number in range(right + wrong)]


def paired(records: Sequence[Trajectory], most: int = 9, seed: int = 0) -> Pairing:
    return pair_up(records, lambda record: record.stop is StopReason.FINISHED, most, seed)


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 30))
def test_each_pair_comes_once_and_each_attempt_as_seldom_as_can_be(right: int, wrong: int, most: int) -> None:
    pairs = paired(attempts("q", right, wrong), most).pairs
    assert len(pairs) == min(most, right * wrong)
    assert len({(pair.chosen.attempt, pair.rejected.attempt) for pair in pairs}) == len(pairs)
    assert len({pair.id for pair in pairs}) == len(pairs)
    for pair in pairs:
        assert (pair.chosen.score.em, pair.rejected.score.em) == (1, 0)
    for side, count in (("chosen", right), ("rejected", wrong)):
        used = [getattr(pair, side).attempt for pair in pairs]
        uses = [used.count(number) for number in set(used)]
        assert not pairs or len(set(used)) == min(count, len(pairs))
        assert not pairs or max(uses) - min(uses) <= 1


def test_fewer_pairs_are_part_of_more_and_a_seed_chooses_others() -> None:
    records = [one for number in range(20) for one in attempts(f"q{number}", 3, 3)]
    four = paired(records, 4).pairs
    assert [pair for pair in four if pair.number < 2] == paired(records, 2).pairs
    assert paired(records[::-1], 4).pairs[-4:] == four[:4]
    assert {pair.number for pair in four} == {0, 1, 2, 3}
    assert paired(records, 1, seed=1).pairs != paired(records, 1).pairs


def test_who_is_bad_enough() -> None:
    good = attempt("q", 0, True)
    for stop in StopReason:
        ended = attempt("q", 1, False, stop=stop)
        wanted = stop in (StopReason.FINISHED, StopReason.ROUNDS, StopReason.CALLS, StopReason.TOKENS,
                          StopReason.CONTEXT)
        assert len(paired([good, ended]).pairs) == wanted
    silent = replace(attempt("q", 1, False), steps=())
    assert not paired([good, silent]).pairs


def test_a_right_one_that_a_filter_drops_is_on_neither_side() -> None:
    dropped = attempt("q", 0, True, stop=StopReason.ROUNDS)
    assert paired([dropped, attempt("q", 1, False)]).questions == {"both": 0, "only_good": 0, "only_bad": 1,
                                                                   "neither": 0}
    assert paired([dropped]).questions["neither"] == 1


def test_what_is_held_out_anywhere_is_trained_on_nowhere() -> None:
    cells = {("d", method): paired([one for n in range(10) for one in attempts(f"q{n}", 1, 2)]) for method in "ab"}
    held = {("", "q7")}
    divided = divide(cells, {cell: 3 for cell in cells}, held)
    trained, unseen = ({pair.question for halves in divided.values() for pair in halves[half]} for half in (0, 1))
    assert not trained & unseen
    assert held < unseen
    assert len(unseen) == 3


def test_no_more_than_half_of_the_questions_are_held_out() -> None:
    one = {("d", "react"): paired(attempts("q", 1, 1))}
    assert [len(half) for half in divide(one, {("d", "react"): 16}, set())[("d", "react")]] == [1, 0]
    with pytest.raises(DataError, match=r"all 1 questions .* are held out for validation.*lower curate\.validation"):
        divide(one, {("d", "react"): 16}, {("", "q")})


def chosen(made: CurateJob, folder: Path) -> tuple[list[Preference], list[Preference]]:
    folder.mkdir()
    curate.run(json.loads(made.model_dump_json()), folder)
    return (list(read_jsonl(folder / PREFERENCES, Preference)), list(read_jsonl(folder / HELD_PREFERENCES, Preference)))


def test_curation_writes_them_beside_the_trajectories(job: Make, tmp_path: Path, capsys: Any) -> None:
    records = [*(one for n in range(8) for one in attempts(f"q{n}", 2, 2)), *attempts("right", 2, 0),
               *attempts("wrong", 0, 2), *attempts("known", 1, 1)]
    records = [replace(one, question=replace(one.question, text="Who wrote Hamlet?")) if one.id == "known" else one
               for one in records]
    train, held = chosen(job(records, pairs=2, validation=3), tmp_path / "out")
    funnel = read_funnel(tmp_path / "out")
    assert funnel["cells"]["react"]["pairs"] == {"both": 8, "only_good": 1, "only_bad": 2, "neither": 0,
                                                 "train": len(train), "validation": len(held)}
    assert len(train) + len(held) == 16
    assert not {pair.question for pair in train} & {pair.question for pair in held}
    assert not {pair.chosen.id for pair in train} & {
        one.id for one in read_jsonl(tmp_path / "out" / "validation.jsonl", Trajectory)}
    print_funnel(**funnel)
    assert "pairs to train on" in capsys.readouterr().out
    plain = tmp_path / "plain"
    plain.mkdir()
    curate.run(json.loads(job(records, validation=3).model_dump_json()), plain)
    assert not (plain / PREFERENCES).exists()
    for name in ("train.jsonl", "validation.jsonl"):
        assert (plain / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_two_players_of_the_same_questions_are_paired(job: Make, tmp_path: Path) -> None:
    """The first attempts of teacher and student have the same number; the pair is of one of each."""
    files = []
    for name, right in (("teacher", True), ("student", False)):
        files.append(tmp_path / f"{name}.jsonl")
        played = [replace(attempt(f"q{n}", 0, right), provenance={"model": name}) for n in range(3)]
        files[-1].write_text("".join(encode(one) + "\n" for one in played))
    source = {**job().model_dump()["sources"][0], "files": files}
    for number, order in enumerate((files, files[::-1])):
        train, _ = chosen(job(sources=[{**source, "files": order}], pairs=1, filters=["finished"]),
                          tmp_path / f"out{number}")
        assert {(pair.chosen.provenance["model"], pair.rejected.provenance["model"]) for pair in train} == {
            ("teacher", "student")}
        assert len(train) == 3


@pytest.mark.parametrize(("records", "counts"), [
    ([one for n in range(3) for one in attempts(f"q{n}", 2, 0)], "of 3 questions 3 have only good ones"),
    (attempts("q", 0, 4), "0 have only good ones (right, and past curate.filters), 1 only wrong ones, 0 neither"),
])
def test_where_there_are_none_one_sentence_says_why(job: Make, tmp_path: Path, records: list[Trajectory],
                                                    counts: str) -> None:
    with pytest.raises(DataError) as failure:
        chosen(job(records, pairs=1), tmp_path / "out")
    assert "no question has both a good and a bad trajectory" in str(failure.value)
    assert counts in str(failure.value)
    assert "\n" not in str(failure.value)
    assert read_funnel(tmp_path / "out")["cells"]["react"]["pairs"]["both"] == 0


def test_the_key_knows_how_many_pairs(job: Make) -> None:
    assert len({job().key(), job(pairs=1).key(), job(pairs=2).key()}) == 3
