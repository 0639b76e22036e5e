"""stage=plan, from the command line: what a run will take, before anything is sent."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fireact.forecast import expected
from fireact.forecast.sample import _episode, opening
from fireact.generate import PlayJob
from fireact.loopback import serve
from fireact.stages import Stages
from fireact.strategy.calling import FINISH
from fireact.toolspec import SEARCH
from fireact.types import Completion
from tests.formats.test_calls import PLAIN
from tests.helpers import composed
from tests.play.helper import write_questions

TEACHER = ("model@teacher=api", "teacher.model=scripted", "teacher.price_in=2", "teacher.price_out=8")
PLAN = ("stage=plan", "evaluate.prompted=false", "evaluate.finetuned=true", "generate.n=40")


def planned(tmp_path: Path) -> dict:
    """The forecast of the teacher's job."""
    return json.loads((tmp_path / "run" / "plan.json").read_text())[0]


def test_without_a_sample_it_is_the_most_there_can_be(run_main, tmp_path: Path) -> None:
    done = run_main(*PLAN, *TEACHER, "teacher.base_url=http://127.0.0.1:9/v1", "strategy.max_rounds=5")
    assert done.returncode == 0, done.stderr
    found = planned(tmp_path)
    assert (found["episodes"], found["calls"], found["sample"]) == (40, 200, 0)
    assert found["completion_tokens"] == 40 * 5 * 512
    assert found["usd"] == pytest.approx((found["prompt_tokens"] * 2 + found["completion_tokens"] * 8) / 1e6)
    assert "no sample: about the most" in done.stdout
    assert "In all US$" in done.stdout


def test_another_models_episodes_are_a_sample_and_its_own_a_better_one(run_main, tmp_path: Path) -> None:
    assert run_main("stage=generate", "generate.n=20").returncode == 0
    with serve() as server:
        address = f"teacher.base_url={server.url}"
        assert run_main(*PLAN, *TEACHER, address, "budget.run.calls=50").returncode == 0
        found = planned(tmp_path)
        assert found["sample"] == 20
        assert "another model" in found["source"]
        assert 80 < found["calls"] < 280
        assert found["prompt_tokens"] > 40 * 2 * 300
        assert server.stats.requests == 0
        assert run_main(*PLAN, *TEACHER, address, "generate.kept=10").returncode == 0
        assert 10 <= planned(tmp_path)["episodes"] <= 14
        assert run_main("stage=generate", *TEACHER, address, "generate.n=10").returncode == 0
        done = run_main(*PLAN, *TEACHER, address, "budget.run.calls=50")
        assert done.returncode == 0
        found = planned(tmp_path)
        assert (found["sample"], found["episodes"], found["source"]) == (10, 30, "this job's")
        assert found["calls"] == pytest.approx(90)
        assert found["usd_error"] is not None
        assert found["seconds"] is not None
        assert "budget.run.calls=50 would end it before: 90.00 are expected" in done.stdout
        done = run_main(*PLAN, *TEACHER, address, "budget.day.calls=100")
        assert "would end it before: 90.00 are expected, and 30.00 of it are taken today" in done.stdout


@pytest.mark.parametrize(("attempts", "right", "made"),
                         [(0, 0.5, 0), (1, 0.5, 1), (3, 0.5, 1.75), (3, 0, 3), (9, 1, 1)])
def test_attempts_that_end_with_the_first_right_one(attempts: int, right: float, made: float) -> None:
    assert expected(attempts, right) == made


def test_what_is_not_paid_for_is_said(run_main, tmp_path: Path) -> None:
    done = run_main(*PLAN)
    assert done.returncode == 0, done.stderr
    assert "Nothing of it is paid for." in done.stdout
    assert planned(tmp_path)["usd"] is None


def test_searches_are_paid_for_too(run_main, tmp_path: Path) -> None:
    """By a model that costs nothing."""
    search = ("tool=serpapi", "strategy.max_rounds=5")
    done = run_main(*PLAN, *search, "tool.price_search=0.01", "budget.run.calls=100")
    assert done.returncode == 0, done.stderr
    found = planned(tmp_path)
    assert (found["paid_calls"], found["paid_tokens"], found["usd"]) == (200, 0, pytest.approx(2))
    assert "budget.run.calls=100 would end it before: 700.00 are expected" in done.stdout
    assert "No price is known for factbook/react" in run_main(*PLAN, *search).stdout


def test_an_unknown_price_is_a_question_mark_and_with_a_budget_refused(run_main, tmp_path: Path) -> None:
    teacher = ("model@teacher=api", "teacher.model=m", "teacher.base_url=http://127.0.0.1:9/v1")
    done = run_main(*PLAN, *teacher)
    assert done.returncode == 0, done.stderr
    assert "No price is known for factbook/react" in done.stdout
    refused = run_main(*PLAN, *teacher, "budget.sweep.usd=3")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: budget.sweep.usd=3 needs the prices of all that is paid for: no price is")


def test_a_sweep_has_one_budget_for_all_its_cells(run_main, tmp_path: Path) -> None:
    write_questions(tmp_path / "train.jsonl", 20)
    with serve() as server:
        done = run_main("-m", "stage=generate", "dataset=table", f"dataset.train={tmp_path}/train.jsonl",
                        "generate.n=10", *TEACHER, f"teacher.base_url={server.url}", "teacher.temperature=0.5",
                        "seed=0,1,2", f"tool.corpus={passages(tmp_path)}", "budget.sweep.calls=40")
        assert done.returncode == 2, done.stdout + done.stderr
        assert "budget.sweep.calls=40 is reached" in done.stderr
        assert server.stats.answered == 40
    made = [(tmp_path / "sweep" / str(number) / "manifest.json").exists() for number in range(3)]
    assert made == [True, True, True]


def passages(folder: Path) -> Path:
    """A corpus of one passage."""
    path = folder / "passages.jsonl"
    path.write_text(json.dumps({"id": "p", "title": "Words", "text": "There are many words."}) + "\n")
    return path


def test_workers_of_a_sweep_play_one_job_together(run_main, tmp_path: Path) -> None:
    """By a Hydra launcher that starts processes; each question is played by one of them."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="hydra-joblib-launcher is not installed")
    write_questions(tmp_path / "train.jsonl", 60)
    with serve() as server:
        server.faults.delay = 0.05
        done = run_main("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=3", "worker=0,1,2", "stage=generate",
                        "dataset=table", f"dataset.train={tmp_path}/train.jsonl", "generate.n=60", *TEACHER,
                        f"teacher.base_url={server.url}", f"tool.corpus={passages(tmp_path)}", "concurrency=4")
        assert done.returncode == 0, done.stdout + done.stderr
        assert server.stats.answered == 180
        assert server.stats.repeated == 0
    for number in range(3):
        records = (tmp_path / "sweep" / str(number) / "trajectories.jsonl").read_text().splitlines()
        assert len(records) == 60


def test_functions_that_are_offered_count_in_the_first_prompt(tmp_path: Path) -> None:
    """And an episode whose tokens nobody counted is estimated with its calls."""
    def job(*options: str) -> PlayJob:
        return next(iter(Stages(composed(f"store={tmp_path}", *options)).plays.values()))

    words, called = opening(job("strategy=react")), opening(job("strategy=react", "strategy.wire=tools"))
    offered = sum(len(json.dumps(spec.as_function())) for spec in (SEARCH, FINISH))
    assert called > words * 0.5 + offered
    bare = _episode(replace(PLAIN, steps=tuple(replace(step, completion=Completion(step.text)) if step.completion
                                               else step for step in PLAIN.steps)), 0, False, lambda record: True)
    told = _episode(PLAIN, 0, False, lambda record: True)
    assert told.completion_tokens - bare.completion_tokens == pytest.approx(
        sum(len(str(call)) for step in PLAIN.steps if step.completion for call in step.completion.calls) / 4)
