"""The leaderboard's figures are those that are counted by hand, and those that the run itself has."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.sweep import cell, make, row
from fireact.schema import Config
from fireact.study.leaderboard import leaderboard
from fireact.study.read import read
from tests.paper import made as paper


def right(choices: Any, guise: str, number: int) -> bool:
    """Of 4 questions the react student is right on 3 with seed 0 and on 1 with seed 1; cot on none."""
    return choices["strategy"] == "react" and number < (3 if choices["seed"] == "0" else 1)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return make(tmp_path / "s", {"strategy": ("cot", "react"), "seed": ("0", "1")}, 4, right, guises=["finetuned"])


def test_em_is_the_mean_over_questions_of_their_means_over_seeds(sweep: Path) -> None:
    best, last = leaderboard(read(sweep))
    assert (best.condition.label, last.condition.label) == ("react", "cot")
    # Question means 1, 0.5, 0.5, 0: mean 0.5, standard deviation sqrt(1/6), over 4 questions.
    assert best.em.value == 0.5
    assert best.em.se == pytest.approx((1 / 6 / 4) ** 0.5)
    assert best.em.n == 4
    # The seeds have 0.75 and 0.25 right.
    assert best.seed_spread == pytest.approx(0.125 ** 0.5)
    assert last.em.value == 0


def test_effort_failures_kinds_and_hops_are_counted(sweep: Path) -> None:
    best, last = leaderboard(read(sweep))
    # rounds are 2, 3, 4, 2 by question; cost 1 to 4 thousandths.
    assert best.effort["rounds"] == 2.75
    assert best.effort["cost"] == pytest.approx(0.0025)
    assert best.effort["finished"] == 1
    # The wrong ones: question 3 with seed 0; 1, 2 and 3 with seed 1, in the order of the kinds.
    assert best.failures == {"format": 1, "loop": 1, "no_finish": 2}
    assert sum(last.failures.values()) == 8
    assert best.kinds == {"bridge": (2, 0.5), "comparison": (1, 0.5), "yes/no": (1, 0.5)}
    assert best.hops == {"1": (2, 0.5), "2": (1, 0.5), "3": (1, 0.5)}
    assert best.passes == {}


def test_a_cost_that_is_not_known_of_all_is_not_known(tmp_path: Path) -> None:
    folder = cell(tmp_path / "run", {"strategy": "react", "seed": "0"}, 4, right, guises=["finetuned"])
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    rows[2]["cost"] = None
    (folder / "results.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    [leader] = leaderboard(read(folder))
    assert leader.effort["cost"] is None
    assert leader.effort["rounds"] == 2.75


def test_the_first_of_several_attempts_counts_and_all_make_pass_at_k(tmp_path: Path) -> None:
    folder = cell(tmp_path / "run", {}, 0, right, guises=["finetuned"])
    outcomes = [[1, 0], [0, 1], [0, 0]]
    rows = [{**row({}, "finetuned", number, bool(em)), "attempt": attempt}
            for number, attempts in enumerate(outcomes) for attempt, em in enumerate(attempts)]
    (folder / "results.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    [leader] = leaderboard(read(folder))
    assert leader.em.value == pytest.approx(1 / 3)
    assert {k: found.value for k, found in leader.passes.items()} == {1: pytest.approx(1 / 3), 2: pytest.approx(2 / 3)}


def test_the_figures_are_those_of_the_runs_own_metrics(tmp_path: Path) -> None:
    from tests.helpers import composed

    played = {paper.Cell("hotpotqa", "prompted"): paper.episodes(2, 9, rounds=3),
              paper.Cell("hotpotqa", "finetuned"): paper.episodes(5, 9)}
    run = paper.run(tmp_path / "run", composed(), played)
    summaries = json.loads((run / "metrics.json").read_text())["evaluate"]["hotpotqa"]
    for leader in leaderboard(read(run)):
        summary = summaries[leader.condition.guise]
        assert leader.em.value == pytest.approx(summary["em"])
        assert leader.em.se == pytest.approx(summary["em_se"])
        assert leader.f1.value == pytest.approx(summary["f1"])
        assert leader.failures == summary["failures"]
        assert leader.effort["rounds"] == pytest.approx(summary["rounds"])
        assert leader.effort["seconds"] == pytest.approx(summary["latency_seconds"])
        assert leader.effort["finished"] == summary["finished"]
        assert leader.effort["cost"] == summary["cost"]


def test_the_papers_numbers_stand_beside_a_part_of_its_tables(tmp_path: Path) -> None:
    from tests.helpers import composed

    config = composed("paper=faithful").model_dump(mode="json")
    config["paper"]["table"] = "table2"
    played = {paper.Cell("hotpotqa", "prompted"): paper.episodes(2, 9)}
    run = paper.run(tmp_path / "run", Config.model_validate(config), played)
    [leader] = leaderboard(read(run))
    assert leader.paper.endswith("not comparable")
    assert leader.paper[0].isdigit()


def test_faults_stand_behind_the_sound_tool(tmp_path: Path) -> None:
    folder = cell(tmp_path / "run", {}, 0, right, guises=[])
    rows = [{**row({}, "finetuned", number, bool(fault)), "fault": fault} for fault in ("none", "")
            for number in range(3)]
    (folder / "results.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    assert [(each.condition.fault, each.condition.label, each.em.value) for each in leaderboard(read(folder))] == [
        ("", "fine-tuned", 0), ("none", "fault none", 1)]
