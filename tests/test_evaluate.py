"""Counting episodes: quality, effort, cost, and the paired difference. And what a run says it was made with."""

import json
import platform
from dataclasses import replace
from typing import Any

import pytest

from fireact.evaluate import compare, priced, rows, summarize
from fireact.manifest import environment
from fireact.stats import standard_error
from fireact.types import Completion, Question, Score, Step, StopReason, Trajectory


def record(id: str, em: float, f1: float | None = None, *, rounds: int = 2, kind: str = "bridge",
           cost: float | None = 0.5, stop: StopReason = StopReason.FINISHED) -> Trajectory:
    completion = Completion("x", prompt_tokens=100, completion_tokens=10, cached_tokens=50, seconds=0.25, cost=cost)
    ask = Step("ask", "Action: search[x]", form="react", completion=completion, seconds=9.0)
    act = Step("act", "seen", tool="search", argument="x", seconds=9.0)
    steps = (ask, act) * (rounds - 1) + (ask,) * (rounds > 0)
    answer = "Paris" if stop is StopReason.FINISHED else None
    return Trajectory(id, Question(id, f"{id}?", ("Paris", "paris"), kind), "react", steps, answer, stop,
                      Score(em, em if f1 is None else f1), provenance={"model": "m"})


FOUR = [record("a", 1.0), record("b", 1.0, kind="comparison", rounds=4), record("c", 0.0, 0.5),
        record("d", 0.0, kind="comparison", stop=StopReason.ROUNDS)]


def test_a_summary() -> None:
    assert summarize(FOUR) == {
        "n": 4, "em": 0.5, "em_se": standard_error([1, 1, 0, 0]), "f1": 0.625, "f1_se": standard_error([1, 1, 0.5, 0]),
        "finished": 0.75, "rounds": 2.5, "tool_calls": 1.5,
        "prompt_tokens": 250.0, "completion_tokens": 25.0, "cached_tokens": 125.0, "cost": 1.25,
        "latency_seconds": 0.625,
        "stops": {"finished": 3, "rounds": 1},
        "failures": {"no_finish": 1, "retrieval": 1},
        "em_by_kind": {"bridge": {"n": 2, "em": 0.5}, "comparison": {"n": 2, "em": 0.5}}, "em_by_hops": {}}


def test_a_price_that_cannot_be_counted_costs_no_run_its_results(capsys: pytest.CaptureFixture[str]) -> None:
    """One reply came without usage: all was played and is kept, only the prices are left out."""
    unknown = Step("ask", "Action: finish[x]", form="react", completion=Completion("x"))
    assert set(priced(FOUR, ["gpt-4.1-mini"])) == {"gpt-4.1-mini"}
    assert priced([*FOUR, replace(record("e", 1.0), steps=(unknown,))], ["gpt-4.1-mini"]) == {}
    assert "report.prices: of 11 model calls 10 have their tokens recorded" in capsys.readouterr().err
    assert priced([replace(record("f", 1.0), steps=(unknown,))], ["gpt-4.1-mini"]) == {}


def test_a_cost_that_is_not_known_for_all_is_not_known() -> None:
    assert summarize([record("a", 1.0), record("b", 1.0, cost=None)])["cost"] is None
    assert summarize([record("a", 1.0, cost=0.0)])["cost"] == 0


def test_episodes_without_a_reply_have_no_cost() -> None:
    summary = summarize([record("a", 0.0, rounds=0, stop=StopReason.MODEL)])
    assert (summary["cost"], summary["rounds"], summary["em_se"]) == (None, 0, None)


@pytest.mark.parametrize("records", [[], FOUR[:1], FOUR])
def test_a_summary_is_json(records: list[Trajectory]) -> None:
    summary: dict[str, Any] = summarize(records)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["n"] == len(records)


def test_questions_without_a_kind_are_one_kind() -> None:
    summary = summarize([record("a", 1.0, kind=""), record("b", 0.0, kind="")])
    assert summary["em_by_kind"] == {"all": {"n": 2, "em": 0.5}}


def test_a_comparison_is_paired() -> None:
    prompted = [record(str(number), 0.0) for number in range(8)]
    finetuned = [record(str(number), float(number < 6)) for number in range(8)]
    result = compare(prompted, finetuned)
    assert (result["em"], result["n"]) == (0.75, 8)
    assert result["p"] == pytest.approx(2 / 2**6)
    assert result["ci95"][0] < 0.75 < result["ci95"][1]
    assert json.loads(json.dumps(result)) == result


def test_one_row_a_question() -> None:
    row = list(rows("finetuned", "factbook", FOUR))[1]
    assert row == {"dataset": "factbook", "guise": "finetuned", "fault": "", "model": "m", "method": "react", "id": "b",
                   "attempt": 0, "kind": "comparison", "hops": None, "question": "b?", "gold": "Paris",
                   "answer": "Paris", "em": 1.0, "f1": 1.0, "stop": "finished", "failure": None, "seen": False,
                   "rounds": 4, "tool_calls": 3, "prompt_tokens": 400, "completion_tokens": 40, "cached_tokens": 200,
                   "seconds": 1.0, "cost": 2.0}
    last = list(rows("finetuned", "factbook", FOUR))[3]
    assert (last["answer"], last["failure"]) == (None, "no_finish")


def test_a_run_says_what_it_was_made_with() -> None:
    made = environment()
    assert made["python"] == platform.python_version()
    assert made["packages"]["hydra-core"].startswith("1.3")
    assert made["commit"] is None or len(made["commit"].removesuffix("+")) == 40
    assert json.loads(json.dumps(made)) == made
