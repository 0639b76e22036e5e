"""FireAct's released files: who made which record, what was wrong with it, and what the released runs score.

Of the chains of thought in multitask_multimethod 186 are HotpotQA's and 215 StrategyQA's: the questions of the 215 are
all in StrategyQA's own files, those of the 186 all in hotpotqa_multimethod, which has one more in its alpaca form.
"""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from fireact.examples import conversation
from fireact.formats import Imported, read
from fireact.formats.released import reflects
from fireact.formats.released_cot import is_released_cot
from fireact.types import Score, Trajectory
from tests.helpers import real_data

REACT = {("hotpotqa", "react"): 500}
METHODS = REACT | {("hotpotqa", "cot"): 187, ("hotpotqa", "reflexion"): 47}
TASKS = REACT | {("strategyqa", "react"): 388, ("mmlu", "react"): 456}
ALL = TASKS | {("hotpotqa", "cot"): 186, ("strategyqa", "cot"): 215, ("mmlu", "cot"): 247,
               ("hotpotqa", "reflexion"): 47, ("strategyqa", "reflexion"): 15, ("mmlu", "reflexion"): 9}
FILES = {
    "alpaca_format/hotpotqa.json": REACT, "gpt_format/hotpotqa.jsonl": REACT,
    "alpaca_format/hotpotqa_multimethod.json": METHODS,
    "gpt_format/hotpotqa_multimethod.jsonl": METHODS | {("hotpotqa", "cot"): 186},
    "alpaca_format/multitask.json": TASKS, "gpt_format/multitask.jsonl": TASKS,
    "alpaca_format/multitask_multimethod.json": ALL, "gpt_format/multitask_multimethod.jsonl": ALL,
}
BIG = "multitask_multimethod"


@cache
def load(path: Path) -> Imported:
    return read(path)


def finetune(name: str) -> Imported:
    return load(real_data("fireact", "finetune", *name.split("/")))


def squeeze(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", FILES)
def test_the_counts_of_datasets_and_methods(name: str) -> None:
    records = finetune(name).trajectories
    assert Counter((record.dataset, record.method) for record in records) == FILES[name]
    assert len({(record.dataset, record.method, record.id) for record in records}) == len(records)


@pytest.mark.parametrize("name", FILES)
def test_only_failed_reflexion_is_wrong(name: str) -> None:
    wrong = [record for record in finetune(name).trajectories if record.score != Score(1.0, 1.0)]
    assert all(record.method == "reflexion" and record.score == Score(0.0, 0.0) for record in wrong)
    assert all(not record.question.answers for record in wrong)
    assert Counter(record.dataset for record in wrong) == {
        "hotpotqa": 0, "hotpotqa_multimethod": Counter(hotpotqa=40), "multitask": 0,
        BIG: Counter(hotpotqa=40, strategyqa=5, mmlu=4)}[Path(name).stem] or not wrong


def test_the_defects_of_both_forms_of_the_largest_file() -> None:
    common = {"second_label": 71, "failed": 49, "second_action": 15, "two_rewards": 5, "no_action": 5, "answer": 2,
              "repeated": 2, "made_up": 1}
    for name, own in ((f"alpaca_format/{BIG}.json", {"options": 712, "question": 1}),
                      (f"gpt_format/{BIG}.jsonl", {"question": 3})):
        defects = finetune(name).defects
        assert Counter(defect.kind for defect in defects) == common | own
        assert all(name.split("/")[1] in defect.where and defect.text for defect in defects)


def key(record: Trajectory) -> str:
    steps = [(step.kind, squeeze(step.text), squeeze(step.argument or "")) for step in record.steps]
    return repr((record.dataset, record.method, record.question.id.split('-')[0], steps, record.question.choices,
                 record.question.answers, squeeze(record.answer or ""), record.score))


@pytest.mark.parametrize("stem", ["hotpotqa", "hotpotqa_multimethod", "multitask", BIG])
def test_both_forms_hold_the_same_trajectories(stem: str) -> None:
    alpaca, chat = (Counter(map(key, finetune(name).trajectories))
                    for name in (f"alpaca_format/{stem}.json", f"gpt_format/{stem}.jsonl"))
    [*more] = alpaca - chat
    assert not chat - alpaca
    assert [text for text in more if "NATO phonetic alphabet" not in text] == []


def test_the_one_without_a_thought_is_kept_and_noted() -> None:
    found = finetune("alpaca_format/hotpotqa_multimethod.json")
    [defect] = [defect for defect in found.defects if defect.kind == "no_thought"]
    record = found.trajectories[int(defect.where.rpartition(" ")[2]) - 1]
    assert conversation(record)[0][1].content == "Action: finish[the NATO phonetic alphabet.]"


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("gpt")])
def test_conversations_are_the_released_text(name: str) -> None:
    """But for white space and for what the defects say."""
    found = finetune(name)
    touched = {defect.where for defect in found.defects
               if defect.kind in ("question", "two_rewards", "answer", "second_action", "made_up")}
    path = real_data("fireact", "finetune", *name.split("/"))
    for number, (line, record) in enumerate(zip(path.open(encoding="utf-8"), found.trajectories, strict=True), 1):
        if f"{path}:{number}" not in touched:
            released = [squeeze(turn["content"]) for turn in json.loads(line)["messages"][:-1]]
            mine = [squeeze(message.content) for message in conversation(record)[0]]
            assert [text.replace(". Thought:", ".") for text in released] == mine, f"{path}:{number}"


def test_chains_of_thought_are_those_without_a_line_break_at_the_end() -> None:
    path = real_data("fireact", "finetune", "alpaca_format", f"{BIG}.json")
    raw = json.loads(path.read_text(encoding="utf-8"))
    for record, released in zip(finetune(f"alpaca_format/{BIG}.json").trajectories, raw, strict=True):
        assert (record.method == "cot") == (not released["output"].endswith("\n"))
        if record.dataset != "hotpotqa":
            assert is_released_cot(record.steps[0].text) == (record.method == "cot")


def test_options_are_back_in_the_question() -> None:
    records = [record for record in finetune(f"alpaca_format/{BIG}.json").trajectories if record.dataset == "mmlu"]
    assert all(len(record.question.choices) == 4 for record in records)
    first = next(record for record in records if record.question.choices[0] == "ice splashes water in my glass")
    assert first.question.text == (
        "Question: condensation is a stage in the water cycle process when\nA. ice splashes water in my glass\n"
        "B. a raindrop lands in my eye\nC. a moist film is on my spectacles\nD. sweat falls into my eyes")
    assert first.question.answers == ("C",)


def test_strategyqa_answers_are_yes_or_no() -> None:
    records = [record for record in finetune(f"gpt_format/{BIG}.jsonl").trajectories if record.dataset == "strategyqa"]
    assert {record.question.answers for record in records if record.score.em} == {("yes",), ("no",)}
    split = Counter(record.question.answers[0] for record in records if record.method == "react")
    assert split == {"no": 239, "yes": 149}


def test_the_real_reward_counts_not_the_one_a_model_wrote() -> None:
    found = finetune(f"gpt_format/{BIG}.jsonl")
    places = [int(defect.where.rpartition(":")[2]) for defect in found.defects if defect.kind == "two_rewards"]
    assert Counter(found.trajectories[place - 1].score.em for place in places) == {0.0: 3, 1.0: 2}
    assert all(found.trajectories[place - 1].method == "reflexion" for place in places)


RUNS = {  # n, EM, F1, episodes with a sentence of reflection; turns, from 1
    "gpt-3.5": (465, 40.0, 54.2, None, [150, 81, 139, 45, 17, 12, 6, 5, 8, 1, 1]),
    "llama-2-13b": (499, 34.4, 47.9, 64, None),
    "llama-2-7b": (500, 26.2, 38.0, 90, None),
}


@pytest.mark.parametrize("run", RUNS)
def test_the_released_runs_score_as_in_the_paper(run: str) -> None:
    """Over all 500 questions; those without a record count as wrong."""
    path = next(path for path in real_data("fireact", "trajs").iterdir() if run in path.name)
    records = load(path).trajectories
    n, em, f1, reflections, turns = RUNS[run]
    assert len(records) == n
    assert {defect.kind for defect in load(path).defects}.isdisjoint({"failed", "unscored", "repeated"})
    assert round(sum(record.score.em for record in records) / 5, 1) == em
    assert round(sum(record.score.f1 for record in records) / 5, 1) == f1
    assert {(record.dataset, record.method) for record in records} == {("hotpotqa", "react")}
    histogram = Counter(record.rounds for record in records)
    mean = sum(record.rounds for record in records) / n
    assert round(mean, 2) == {"gpt-3.5": 2.67, "llama-2-13b": 3.29, "llama-2-7b": 3.56}[run]
    if turns:
        assert [histogram[number] for number in range(1, 12)] == turns
    if reflections is not None:
        assert sum(map(reflects, records)) == reflections
        assert sum(record.score.em for record in records if reflects(record)) == 5


def test_the_tools_that_a_model_made_up_were_refused() -> None:
    path = next(path for path in real_data("fireact", "trajs").iterdir() if "llama-2-7b" in path.name)
    found = load(path)
    assert Counter(defect.kind for defect in found.defects)["unknown_tool"] == 26
    refused = [step for record in found.trajectories for step in record.steps if step.kind == "refuse"]
    assert sum("Unknown tool name" in step.text for step in refused) == 26


def test_strategyqa_questions_are_strategyqas() -> None:
    lines = [line for split in ("train", "dev")
             for line in real_data("strategyqa", f"{split}.jsonl").open(encoding="utf-8")]
    own = {squeeze(json.loads(line)["question"]) for line in lines}
    for record in finetune(f"alpaca_format/{BIG}.json").trajectories:
        if record.method == "cot":
            assert (squeeze(record.question.text) in own) == (record.dataset == "strategyqa")
