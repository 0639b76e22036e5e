"""The library of skills."""

from pathlib import Path

import pytest

from fireact.errors import DataError
from fireact.jsonl import read_finished
from fireact.order import upstream
from fireact.skills import SHOWN, Library
from fireact.types import Question, Trajectory
from tests.helpers import composed

FIND = "skill find_by_capital[x]\nE1 = search[capital {x}] -> The capital of * is {x}\nreturn[{E1}]"
CURRENCY = "skill currency_of[x]\nE1 = search[currency of {x}] -> The currency of {x} is the *\nreturn[{E1}]"
ABOUT_MONEY = Question("m", "With which currency does one pay in the country whose capital is Thimphu?", ("ngultrum",))
ABOUT_HILLS = Question("h", "What is the highest point of France?", ("Mont Blanc",))


def filled() -> Library:
    library = Library()
    library.learn(FIND, ABOUT_HILLS)
    library.learn(CURRENCY, ABOUT_MONEY)
    return library


def test_what_is_nearest_is_recalled_first() -> None:
    assert filled().recall("Which currency is used in Chad?") == CURRENCY
    assert filled().recall("Which is the capital of the highest point?").startswith(FIND)
    assert filled().recall("") == ""
    assert filled().recall("xyzzy") == ""
    assert Library().recall("Which currency is used in Chad?") == ""


def test_no_more_than_a_few_are_shown() -> None:
    library = Library()
    for number in range(20):
        library.learn(CURRENCY.replace("currency_of", f"currency_{number}"), ABOUT_MONEY)
    assert library.recall("currency").count("skill ") == SHOWN


def test_a_name_keeps_its_first_program() -> None:
    library = filled()
    assert "stays" in library.learn(CURRENCY.replace("the *", "*"), ABOUT_MONEY)
    assert library.entries["currency_of"].program == CURRENCY
    assert library.learn(CURRENCY, ABOUT_HILLS) == "currency_of is known."
    assert library.entries["currency_of"].questions == (ABOUT_MONEY.text, ABOUT_HILLS.text)


def test_what_is_no_skill_is_not_kept() -> None:
    library = Library()
    assert "return" in library.learn("skill a[x]\nE1 = search[{x}]", ABOUT_MONEY)
    assert not library.entries


def test_a_library_on_disk_is_the_same_and_does_not_grow(tmp_path: Path) -> None:
    filled().save(tmp_path / "skills.jsonl")
    library = Library.open(tmp_path / "skills.jsonl")
    assert library.entries == filled().entries
    library.learn(CURRENCY.replace("currency_of", "money_of"), ABOUT_MONEY)
    assert library.entries == filled().entries


def played(path: Path) -> list[Trajectory]:
    return list(read_finished(path, Trajectory))


def recalled(record: Trajectory) -> str:
    return next(step.text for step in record.steps if step.kind == "recall")


def test_a_job_goes_on_with_what_its_episodes_have_learnt(run_main, store: Path) -> None:
    for n in (20, 24):
        assert run_main("stage=generate", "strategy=skills", f"generate.n={n}", "concurrency=1").returncode == 0
    records = played(next((store / "generate").glob("*/trajectories.jsonl")))
    assert recalled(records[0]) == ""
    assert all(recalled(record) for record in records[20:])


def test_a_student_plays_with_the_curated_library(run_main, tmp_path: Path, tiny_options: Path) -> None:
    done = run_main("--config-dir", str(tiny_options), "model=tiny_a", "strategy=skills", "generate.n=16", "curate.n=6",
                    "curate.validation=2", "evaluate.n=3", "train.max_steps=1", "evaluate.prompted=false",
                    "evaluate.parity.check=false")
    assert done.returncode == 0, done.stdout + done.stderr
    library = Library.open(tmp_path / "run" / "curated" / "skills.jsonl")
    assert library.entries
    for record in played(tmp_path / "run" / "episodes-factbook-finetuned.jsonl"):
        assert recalled(record) == library.recall(record.question.text)
        assert not any(step.kind == "learn" for step in record.steps)


def test_a_skill_comes_with_those_that_it_calls() -> None:
    library = filled()
    library.learn("skill money_by_city[x]\nE1 = find_by_capital[{x}]\nE2 = currency_of[{E1}]\nreturn[{E2}]",
                  Question("z", "Which notes and coins pass from hand to hand in Thimphu?", ("ngultrum",)))
    shown = library.recall("Which notes and coins are there?")
    assert shown.startswith("skill money_by_city[x]")
    assert FIND in shown
    assert CURRENCY in shown


@pytest.mark.parametrize(("entry", "told"), [
    ('{"id": "a", "program": "nonsense", "questions": []}', "skills.jsonl:1: "),
    ('{"id": "a", "program": "skill b[x]\\nreturn[{x}]", "questions": []}', "'a' holds the skill 'b'")])
def test_a_library_that_was_tampered_with_is_told_with_its_line(entry: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "skills.jsonl").write_text(entry + "\n")
    with pytest.raises(DataError, match=told):
        Library.open(tmp_path / "skills.jsonl")


def test_what_is_prompted_goes_on_from_the_library_that_is_curated(run_main) -> None:
    told = run_main("strategy=skills", "stage=evaluate", "evaluate.finetuned=false")
    assert told.returncode == 2
    assert "stage=evaluate goes on from stage=generate, which is not done" in told.stderr
    config = composed("strategy=skills", "stage=evaluate", "evaluate.finetuned=false")
    assert upstream("evaluate", config) == ["generate", "curate"]
    assert upstream("evaluate", composed("stage=evaluate", "evaluate.finetuned=false")) == []
