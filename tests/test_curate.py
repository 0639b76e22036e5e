"""Curation: each filter by itself, the funnel, and the choice."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fireact import curate
from fireact.curate import CONTAMINATION, DEFECTS, CurateJob, read_funnel
from fireact.errors import ConfigError, DataError
from fireact.examples import example
from fireact.filters import Judge
from fireact.generate import PlayJob
from fireact.jsonl import encode, read_jsonl
from fireact.play.records import TRAJECTORIES
from fireact.report import print_funnel
from fireact.sections import FilterName
from fireact.types import Question, Score, Step, StopReason, Trajectory
from tests.model.tiny import tiny_tokenizer

ALL: list[FilterName] = ["finished", "correct", "no_repeat", "no_format_error", "supported", "not_evaluated", "fits"]


@dataclass(kw_only=True)
class Student:
    """What curation asks of a local model."""

    window: int = 4096

    def tokenizer(self) -> Any:
        return tiny_tokenizer()

    def context_window(self) -> int:
        return self.window


def asked(text: str) -> Step:
    return Step("ask", text, form="react")


def record(id: str = "q1", *, answer: str = "Paris", calls: Sequence[str] = ("capital of France",),
           seen: str = "The capital of France is Paris.", text: str | None = None, **changes: Any) -> Trajectory:
    steps: list[Step] = []
    for call in calls:
        steps += [asked(f"Thought: look.\nAction: search[{call}]"), Step("act", seen, tool="search", argument=call)]
    steps.append(asked(f"Thought: seen.\nAction: finish[{answer}]"))
    question = Question(id, text or f"Question {id}: what is the capital of France?", (answer,))
    whole = Trajectory(id, question, "react", tuple(steps), answer, StopReason.FINISHED, Score(1.0, 1.0))
    return replace(whole, **changes)


Make = Callable[..., CurateJob]


@pytest.fixture
def job(tmp_path: Path) -> Make:
    """Make a job over the records of each method, of files of another run."""
    (tmp_path / "test.jsonl").write_text('{"id": "h", "question": "Who wrote Hamlet?", "answer": "Shakespeare"}\n')
    dataset = {"_target_": "fireact.dataset.table.Table", "test": str(tmp_path / "test.jsonl")}

    def make(records: dict[str, list[Trajectory]] | list[Trajectory] | None = None,
             shares: dict[str, float] | None = None, **changes: Any) -> CurateJob:
        by_method = records if isinstance(records, dict) else {"react": records or []}
        sources = []
        for method, its in by_method.items():
            file = tmp_path / f"{method}.jsonl"
            file.write_text("".join(encode(one) + "\n" for one in its))
            sources.append({"task": "table", "method": method, "share": (shares or {}).get(method, 1.0),
                            "files": [file], "key": method, "dataset": dataset, "split": "train", "questions": 1})
        values = {"sources": sources, "evaluated": [{"task": "table", "dataset": dataset, "split": "test"}],
                  "filters": ALL, "window": None, "n": None, "validation": 0, "seed": 0, "home": tmp_path / "home",
                  "model": {"_target_": f"{__name__}.Student"}}
        return CurateJob.model_validate({**values, **changes})

    return make


def run(job: CurateJob, folder: Path) -> tuple[list[Trajectory], list[Trajectory], list[dict[str, Any]]]:
    folder.mkdir(exist_ok=True)
    curate.run(json.loads(job.model_dump_json()), folder)
    return (list(read_jsonl(folder / "train.jsonl", Trajectory)),
            list(read_jsonl(folder / "validation.jsonl", Trajectory)), list(read_funnel(folder)["cells"].values()))


def judge(window: int | None = None, student: dict[str, Any] | None = None) -> Judge:
    student = student or {"_target_": f"{__name__}.Student"}
    return Judge(student, Path("home"), window, [("table", Question("h", "Who wrote Hamlet?", ("Shakespeare",)))])


def ids(records: Sequence[Trajectory]) -> list[str]:
    return [one.id for one in records]


def many(count: int, method: str = "react") -> list[Trajectory]:
    return [record(f"{method}{number}", method=method) for number in range(count)]


REFUSED = (asked("hm"), Step("refuse", "no action"), *record().steps)
COT = (Step("ask", "Thought: I know.\nAnswer: Paris", form="cot"),)

JUDGED: list[tuple[FilterName, Trajectory, bool]] = [
    ("correct", record(), True),
    ("correct", record(score=Score(0.0, 0.9)), False),
    ("finished", record(), True),
    *(("finished", record(stop=stop), False) for stop in StopReason if stop is not StopReason.FINISHED),
    ("no_repeat", record(calls=("a", "b", "c")), True),
    ("no_repeat", record(calls=()), True),
    ("no_repeat", record(calls=("The capital.", "b", "capital")), False),
    ("no_repeat", record(steps=tuple(Step("act", text, tool="lookup", argument="capital")
                                     for text in ("(Result 1 / 2) A.", "(Result 2 / 2) B."))), True),
    ("no_repeat", record(steps=tuple(Step("act", text, tool="calculator", argument=sum)
                                     for sum, text in (("3 + 4", "7"), ("3 * 4", "12")))), True),
    ("no_repeat", record(steps=(Step("act", "7", tool="calculator", argument="3 + 4"),) * 2), False),
    ("no_format_error", record(), True),
    ("no_format_error", record(steps=REFUSED), False),
    ("supported", record(), True),
    ("supported", record(answer="the paris!"), True),
    ("supported", record(seen="Nothing was found."), False),
    ("supported", record(seen="no", answer="yes"), True),
    ("supported", record(seen="?", answer="France"), True),
    ("supported", record(steps=COT), True),
    ("supported", record(seen="Nigeria is a country.", answer="Niger"), False),
    ("supported", record(seen="1350 people", answer="3"), False),
    ("supported", record(seen="Chad's capital", answer="Chad"), True),
    ("supported", record(seen="the U.S. dollar", answer="US"), True),
    ("supported", record(seen="It has 31,122,387 inhabitants.", answer="31122387"), True),
    ("supported", replace(record(), answer=None), False),
    ("not_evaluated", record(), True),
    ("not_evaluated", record(text="who wrote HAMLET"), False),
    ("not_evaluated", record(text="Who wrote Hamlet and Lear?"), True),
]


@pytest.mark.parametrize(("name", "judged", "kept"), JUDGED)
def test_each_filter_by_itself(name: FilterName, judged: Trajectory, kept: bool) -> None:
    assert judge().keeps(name, judged) is kept


def test_fits_counts_in_the_students_own_tokens() -> None:
    length = len(example(tiny_tokenizer(), record()).ids)
    for window, kept in ((length, True), (length - 1, False)):
        assert judge(window=window).fits(record()) is kept
        assert judge(student={"_target_": f"{__name__}.Student", "window": window}).fits(record()) is kept


def test_the_funnel_blames_the_first_filter_that_fails(job: Make, tmp_path: Path) -> None:
    wrong = record("wrong", score=Score(0.0, 0.0))
    both = record("both", score=Score(0.0, 0.0), stop=StopReason.ROUNDS)
    records = [record("a"), record("b"), wrong, both, record("again", calls=("x", "x"))]
    train, _, (funnel,) = run(job(records, filters=["correct", "finished", "no_repeat"]), tmp_path / "one")
    assert sorted(ids(train)) == ["a", "b"]
    assert funnel == {"task": "table", "method": "react", "played": 5, "kept": 2, "train": 2, "validation": 0,
                      "dropped": {"correct": 2, "finished": 0, "no_repeat": 1, "duplicate": 0}}
    _, _, (funnel,) = run(job(records, filters=["finished", "correct", "no_repeat"]), tmp_path / "two")
    assert funnel["dropped"] == {"finished": 1, "correct": 1, "no_repeat": 1, "duplicate": 0}


def test_without_filters_only_duplicates_are_dropped(job: Make, tmp_path: Path) -> None:
    same = record("b", text=record("a").question.text)
    train, _, (funnel,) = run(job([record("a"), same, record("c")], filters=[]), tmp_path / "out")
    assert len(train) == 2
    assert funnel["dropped"] == {"duplicate": 1}


def test_a_smaller_choice_is_part_of_a_larger_one(job: Make, tmp_path: Path) -> None:
    records = many(420)

    def choose(n: int, seed: int) -> tuple[list[str], list[str]]:
        train, held, _ = run(job(records, n=n, validation=16, seed=seed, filters=[]), tmp_path / f"{n}-{seed}")
        return ids(train), ids(held)

    chosen = {n: choose(n, 0) for n in (100, 200, 400)}
    assert [len(train) for train, _ in chosen.values()] == [100, 200, 400]
    assert chosen[400][0][:200] == chosen[200][0]
    assert chosen[200][0][:100] == chosen[100][0]
    assert len({tuple(held) for _, held in chosen.values()}) == 1
    other = choose(100, 1)[0]
    assert len(set(other) & set(chosen[100][0])) < 60


def test_the_choice_does_not_depend_on_the_order_of_the_file(job: Make, tmp_path: Path) -> None:
    records = many(30)
    there, _, _ = run(job(records, n=10, filters=[]), tmp_path / "there")
    back, _, _ = run(job(records[::-1], n=10, filters=[]), tmp_path / "back")
    assert there == back


def test_what_is_held_out_is_not_trained_on(job: Make, tmp_path: Path) -> None:
    train, held, (funnel,) = run(job(many(40), validation=16, filters=[]), tmp_path / "out")
    assert (len(train), len(held)) == (24, 16)
    assert not set(ids(train)) & set(ids(held))
    assert (funnel["train"], funnel["validation"]) == (24, 16)


def test_no_more_than_half_is_held_out(job: Make, tmp_path: Path) -> None:
    train, held, _ = run(job(many(5), validation=16, filters=[]), tmp_path / "out")
    assert (len(train), len(held)) == (3, 2)


def counted(job: CurateJob, folder: Path) -> dict[str, tuple[int, int]]:
    train, held, funnels = run(job, folder)
    assert len(train) == sum(funnel["train"] for funnel in funnels)
    assert len(held) == sum(funnel["validation"] for funnel in funnels)
    for funnel in funnels:
        assert funnel["train"] == sum(one.method == funnel["method"] for one in train)
    return {funnel["method"]: (funnel["train"], funnel["validation"]) for funnel in funnels}


def test_counts_are_shares_with_their_sum_as_n(job: Make, tmp_path: Path) -> None:
    mixed = job({"react": many(20), "cot": many(20, "cot")}, {"react": 12, "cot": 3}, n=15, filters=[], validation=5)
    assert counted(mixed, tmp_path / "out") == {"react": (12, 4), "cot": (3, 1)}


def test_shares_are_ratios_of_what_can_be_had(job: Make, tmp_path: Path) -> None:
    mixed = job({"react": many(20), "cot": many(20, "cot")}, {"react": 0.8, "cot": 0.2}, filters=[])
    assert counted(mixed, tmp_path / "out") == {"react": (20, 0), "cot": (5, 0)}


def test_a_question_held_out_for_one_method_is_trained_on_by_none(job: Make, tmp_path: Path) -> None:
    train, held, _ = run(job({"react": many(20), "cot": many(20, "cot")}, {"react": 0.8, "cot": 0.2}, filters=[],
                             validation=5), tmp_path / "out")
    assert len(held) == 5
    assert not {record.id for record in held} & {record.id for record in train}


@pytest.mark.parametrize("n", [1, 7, 10, 11, 25])
def test_shares_are_ratios_of_n_and_add_up_to_it(job: Make, tmp_path: Path, n: int) -> None:
    shares = {"react": 0.681, "cot": 0.255, "reflexion": 0.064}
    mixed = job({method: many(50, method) for method in shares}, shares, n=n, validation=n, filters=[])
    parts = counted(mixed, tmp_path / "out")
    assert sum(train for train, _ in parts.values()) == n
    assert all(abs(parts[method][0] - share * n) <= 1 for method, share in shares.items())


def test_too_few_for_n_is_told(job: Make, tmp_path: Path) -> None:
    with pytest.raises(DataError) as failure:
        run(job(many(5), n=9, filters=[]), tmp_path / "out")
    assert str(failure.value) == (
        "9 trajectories in all want 9 of react on table, and 5 are left after the filters and what is held out for "
        "validation; raise generate.n, loosen curate.filters, or lower curate.validation, curate.n, curate.counts or "
        "strategy.counts")


def test_too_few_for_a_share_is_told(job: Make, tmp_path: Path) -> None:
    mixed = job({"react": many(5), "cot": many(5, "cot")}, {"react": 2, "cot": 9}, n=11, filters=[])
    with pytest.raises(DataError) as failure:
        run(mixed, tmp_path / "out")
    assert str(failure.value) == (
        "11 trajectories in all want 9 of cot on table, and 5 are left after the filters and what is held out for "
        "validation; raise generate.n, loosen curate.filters, or lower curate.validation, curate.n, curate.counts or "
        "strategy.counts")


def test_where_nothing_is_kept_the_funnel_is_there_and_nothing_else(job: Make, tmp_path: Path) -> None:
    records = [record(score=Score(0.0, 0.0))]
    with pytest.raises(DataError, match=r"no trajectory was kept.*raise generate\.n or loosen curate\.filters"):
        run(job(records), tmp_path / "out")
    funnel = read_funnel(tmp_path / "out")["cells"]["react"]
    assert (funnel["played"], funnel["kept"]) == (1, 0)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"funnel.json", CONTAMINATION, DEFECTS}


def test_a_file_may_hold_another_method_than_its_source_is_called(job: Make, tmp_path: Path) -> None:
    train, held, (funnel,) = run(job({"mine": many(10)}, validation=4, filters=[]), tmp_path / "out")
    assert (len(train), len(held)) == (6, 4)
    assert (funnel["method"], funnel["train"], funnel["validation"]) == ("mine", 6, 4)


def test_a_generation_folder_must_be_complete(job: Make, tmp_path: Path) -> None:
    rows = [{"id": f"q{number}", "question": f"Q{number}?", "answer": "Paris"} for number in range(3)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    played = tmp_path / "played"
    played.mkdir()
    (played / TRAJECTORIES).write_text("".join(encode(record(f"q{number}")) + "\n" for number in range(2)))
    dataset = {"_target_": "fireact.dataset.table.Table", "train": str(tmp_path / "questions.jsonl")}
    source = {"task": "table", "method": "react", "share": 1, "folder": str(played), "files": [], "key": "k",
              "dataset": dataset, "split": "train"}

    def make(questions: int) -> CurateJob:
        return job(sources=[{**source, "questions": questions}], filters=["correct"])

    assert len(run(make(2), tmp_path / "out")[0]) == 2
    with pytest.raises(DataError, match=r"has 2 of the 3 that are wanted; run stage=generate first"):
        run(make(3), tmp_path / "out")
    with pytest.raises(ConfigError, match=r"generate\.n=4 is more than the 3 questions of the split 'train'"):
        run(make(4), tmp_path / "out")


def test_other_rules_judge_what_was_played_and_play_nothing_again(job: Make, tmp_path: Path) -> None:
    (tmp_path / "dev.json").write_text('[{"qid": "q1", "question": "Is water wet?", "answer": true}]')
    dataset = {"_target_": "fireact.dataset.strategyqa.StrategyQA", "train": str(tmp_path / "dev.json")}
    common = {"task": "strategyqa", "method": "react", "split": "train"}
    play = {**common, "label": "strategyqa/react", "few_shot": False,
            "model": {"_target_": "fireact.model.scripted.Scripted", "replies": ["x"]},
            "strategy": {"_target_": "fireact.strategy.react.React"}, "seed": 0, "limits": {}, "n": 1,
            "tool": {"_target_": "fireact.tool.corpus.Corpus", "corpus": None}, "home": tmp_path}
    keys, kept = set(), []
    for number, scoring in enumerate(("faithful", "strict")):
        node = {**dataset, "scoring": scoring}
        keys.add(PlayJob.model_validate({**play, "dataset": node}).key())
        (tmp_path / TRAJECTORIES).write_text(encode(record("q1", answer="Yes/no", text="Is water wet?")) + "\n")
        source = {**common, "share": 1, "folder": tmp_path, "files": [], "key": "k", "dataset": node, "questions": 1}
        made = job(sources=[source], filters=["correct"])
        keys.add(made.key())
        try:
            kept.append(len(run(made, tmp_path / f"out{number}")[0]))
        except DataError:
            kept.append(0)
    assert len(keys) == 3
    assert kept == [1, 0]


def test_the_key_knows_what_changes_the_choice(job: Make, tmp_path: Path) -> None:
    keys = [job().key(), job(n=5).key(), job(seed=1).key(), job(filters=["correct"]).key(), job(validation=3).key(),
            job(window=9).key(), job(evaluated=[]).key(), job(shares={"react": 2.0}).key(),
            job(model={"_target_": f"{__name__}.Student", "window": 3}).key()]
    assert len(set(keys)) == len(keys)
    assert job(home=tmp_path / "elsewhere").key() == keys[0]
    other = {"_target_": f"{__name__}.Student", "window": 3}
    assert job(filters=[]).key() == job(filters=[], model=other).key()


def test_there_is_no_funnel_before_curation(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run stage=curate first"):
        read_funnel(tmp_path)


def test_evaluated_questions_are_reported_and_dropped(job: Make, tmp_path: Path) -> None:
    records = [record("a", text="Who wrote HAMLET?"), record("b"), record("c")]
    train, _, (funnel,) = run(job(records), tmp_path / "out")
    assert sorted(ids(train)) == ["b", "c"]
    assert funnel["dropped"]["not_evaluated"] == 1
    assert read_funnel(tmp_path / "out")["contamination"]["table"]["exact"] == 1
    (line,) = (tmp_path / "out" / CONTAMINATION).read_text().splitlines()
    assert json.loads(line)["id"] == "h"


def test_methods_on_several_datasets_are_cells_of_their_own(job: Make, tmp_path: Path) -> None:
    records = [record(f"{task}{n}", method=method, dataset=task, text=f"{task} {method} {n}?")
               for task in ("a", "b") for method in ("react", "cot") for n in range(9)]
    file = tmp_path / "all.jsonl"
    file.write_text("".join(encode(one) + "\n" for one in records))
    sources = [{**job().model_dump()["sources"][0], "task": task, "method": method, "share": share, "files": [file]}
               for task, method, share in (("a", "react", 4), ("a", "cot", 2), ("b", "react", 3), ("b", "cot", 1))]
    train, _, _ = run(job(sources=sources, n=10, filters=[]), tmp_path / "out")
    assert {cell: part["train"] for cell, part in read_funnel(tmp_path / "out")["cells"].items()} == {
        "a/react": 4, "a/cot": 2, "b/react": 3, "b/cot": 1}
    assert len(train) == 10


def test_evaluated_questions_are_reported_where_they_are_not_dropped(job: Make, tmp_path: Path, capsys) -> None:
    records = [record("a", text="Who wrote HAMLET?"), record("b")]
    train, _, _ = run(job(records, filters=["correct"]), tmp_path / "out")
    assert len(train) == 2
    funnel = read_funnel(tmp_path / "out")
    assert funnel["contamination"]["table"]["exact"] == 1
    print_funnel(**funnel)
    assert "right ones ARE trained on" in " ".join(capsys.readouterr().out.split())


def test_where_nothing_can_be_looked_up_only_the_filter_fails(job: Make, tmp_path: Path, capsys) -> None:
    absent = [{"task": "gone", "split": "test",
               "dataset": {"_target_": "fireact.dataset.table.Table", "test": str(tmp_path / "gone.jsonl")}}]
    train, _, _ = run(job([record("a")], filters=["correct"], evaluated=absent), tmp_path / "out")
    assert len(train) == 1
    assert "was not looked up" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"gone\.jsonl"):
        run(job([record("a")], evaluated=absent), tmp_path / "filtered")


TEACHER, STUDENT = ({"model": name, "key": f"key of {name}"} for name in ("teacher", "student"))


@pytest.mark.parametrize(("first", "second", "count"), [
    ({"provenance": TEACHER}, {"provenance": STUDENT}, 2),
    ({"provenance": TEACHER}, {"provenance": TEACHER}, 1),
    ({"provenance": TEACHER}, {"provenance": TEACHER, "answer": "Rome"}, 1),
    ({"provenance": TEACHER}, {"provenance": TEACHER, "attempt": 1}, 2),
    ({}, {}, 1),
    ({}, {"answer": "Rome"}, 2),
], ids=["two players write the same", "twice in the files", "played again", "the next attempt", "twice, imported",
        "two answers, imported"])
def test_an_attempt_counts_once_for_each_player(job: Make, tmp_path: Path, first: dict, second: dict,
                                                count: int) -> None:
    """As the last file has it; the others are told as duplicates."""
    wrong, right = (Score(value, value) for value in (0.0, 1.0))
    records = [replace(record("a"), score=wrong, **first), replace(record("a"), score=right, **second)]
    train, _, (funnel,) = run(job(records, filters=["correct"]), tmp_path / "out")
    assert (funnel["played"], funnel["dropped"]["duplicate"]) == (2, 2 - count)
    assert ids(train) == ["a"]
