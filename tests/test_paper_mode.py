"""What the paper's experiments need of a run: several datasets, held-out ones, faulty tools, files of other runs."""

import json
import shutil
from pathlib import Path

import pytest

from fireact import formats
from tests.helpers import real_data

NAMES = ("north", "south", "held")


def rows(name: str, count: int) -> list[dict[str, str]]:
    return [{"id": f"{name}{n}", "question": f"Is place {n} of the {name} a city with a river, yes or no?",
             "answer": "yes"} for n in range(count)]


@pytest.fixture
def options(tiny_options: Path, tmp_path: Path) -> list[str]:
    """A dataset of two parts, and a third that is held out and holds one training question."""
    for name in NAMES:
        table = rows(name, 12) + (rows("north", 1) if name == "held" else [])
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table))
        (tmp_path / f"{name}-test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(f"{name}ern", 4)))
    passages = [{"id": str(n), "title": f"Place {n}", "text": f"Place {n} is a city with a river."} for n in range(12)]
    (tmp_path / "passages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in passages))
    shutil.copytree(tiny_options / "model", tmp_path / "options" / "model")
    folder = tmp_path / "options" / "dataset"
    folder.mkdir()
    parts = "\n".join(f"""  {name}:
    _target_: fireact.dataset.table.Table
    train: {tmp_path}/{name}.jsonl
    test: {tmp_path}/{name}-test.jsonl
    passages: {tmp_path}/passages.jsonl""" for name in NAMES[:2])
    (folder / "two.yaml").write_text(f"parts:\n{parts}\n")
    return ["--config-dir", str(tmp_path / "options"), "model=tiny_a", "dataset=two", "+dataset@held_out.held=table",
            f"held_out.held.test={tmp_path}/held.jsonl", f"held_out.held.passages={tmp_path}/passages.jsonl",
            "model@teacher=scripted", 'teacher.replies=["Thought: I look. Action: search[river]",'
            '"Thought: It has a river. Action: finish[yes]"]', "curate.filters=[finished,correct,not_evaluated]",
            "generate.n=12", "curate.validation=2", "train.batch_size=4"]


def test_several_datasets_a_held_out_one_and_faulty_tools(run_main, options: list[str], tmp_path: Path) -> None:
    done = run_main(*options, "evaluate.n={north: 2, south: 0, held: 3}", "evaluate.faults=[none,distractor]",
                    "report.prices=[gpt-4.1-mini]", "curate.counts={north: {react: 6}, south: {react: 3}}")
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(metrics["generate"]) == {"north/react", "south/react"}
    assert {name: cell["train"] for name, cell in metrics["curate"].items()} == {"north/react": 6, "south/react": 3}
    assert metrics["contamination"] == {"held": {"exact": 1, "near": 0, "questions": ["north0"]}}
    assert set(metrics["evaluate"]) == {"north", "held"}
    faults = metrics["evaluate"]["held"]["faults"]
    assert set(faults) == {"none", "distractor"}
    assert faults["none"]["finetuned"]["n"] == 3
    assert set(faults["none"]["finetuned"]["drop"]) == {"em", "ci95", "p", "n"}
    assert metrics["evaluate"]["held"]["prompted"]["priced"]["gpt-4.1-mini"]["mean"] > 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "results.jsonl").read_text().splitlines()]
    assert {(line["dataset"], line["guise"], line["fault"]) for line in lines} == {
        (dataset, guise, fault) for dataset in ("north", "held") for guise in ("prompted", "finetuned")
        for fault in ("", "none", "distractor")}
    assert (tmp_path / "run" / "episodes-held-finetuned-none.jsonl").exists()
    page = (tmp_path / "run" / "report.html").read_text()
    for words in ("Robustness to faults of the tool", "1 evaluated questions of held", "gpt-4.1-mini"):
        assert words in page


def test_curated_trajectories_go_to_other_trainers_and_come_back(run_main, options: list[str], tmp_path: Path) -> None:
    for stage in ("generate", "curate", "export"):
        done = run_main(*options, f"stage={stage}", "export.formats=[alpaca,openai,sharegpt,conversational,searches]")
        assert done.returncode == 0, done.stdout + done.stderr
    export = tmp_path / "run" / "export"
    assert sorted(path.name for path in export.iterdir()) == ["alpaca", "conversational", "openai", "searches",
                                                              "sharegpt"]
    records = {name: formats.read(export / name / f"train{ending}").trajectories
               for name, ending in (("alpaca", ".json"), ("sharegpt", ".jsonl"), ("conversational", ".jsonl"))}
    assert records["alpaca"] == records["sharegpt"] == records["conversational"]
    assert {record.dataset for record in records["alpaca"]} == {"north", "south"}
    again = run_main(*options, "stage=curate", f"inputs.trajectories=[{export}/sharegpt/train.jsonl]")
    assert again.returncode == 0, again.stdout + again.stderr
    kept = formats.read(tmp_path / "run" / "curated" / "train.jsonl").trajectories
    assert len(kept) + 2 == len(records["alpaca"])


def test_another_runs_choice_is_held_against_this_ones_evaluation(run_main, options: list[str], tmp_path: Path) -> None:
    for stage in ("generate", "curate"):
        done = run_main(*options, f"stage={stage}", "curate.filters=[correct]")
        assert done.returncode == 0, done.stdout + done.stderr
    folder = (tmp_path / "run" / "curated").resolve()
    done = run_main(*options, "stage=train", f"inputs.curated={folder}", "train.max_steps=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 evaluated questions of held are among the training questions" in done.stdout
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["contamination"]["held"]["exact"] == 1


@pytest.mark.parametrize("file", ["alpaca_format/hotpotqa.json", "gpt_format/hotpotqa.jsonl"])
def test_the_released_trajectories_are_one_command_away(run_main, tiny_options: Path, tmp_path: Path,
                                                        file: str) -> None:
    released, dev = real_data("fireact", "finetune", file), real_data("fireact", "hotpotqa_dev.json")
    done = run_main("--config-dir", str(tiny_options), "experiment=released", "model=tiny_a", "stage=curate",
                    f"inputs.trajectories={released}", "dataset.train=null", f"dataset.validation={dev}",
                    "curate.filters=[finished,correct,not_evaluated]")
    assert done.returncode == 0, done.stdout + done.stderr
    (funnel,) = json.loads((tmp_path / "run" / "metrics.json").read_text())["curate"].values()
    assert (funnel["played"], funnel["kept"]) == (500, 500)


def test_the_released_tasks_and_methods_are_told_apart(run_main, tiny_options: Path, tmp_path: Path) -> None:
    """And what is evaluated is found among them: 55 of StrategyQA's 229 questions."""
    file = real_data("fireact", "finetune", "gpt_format", "multitask_multimethod.jsonl")
    sources = {"parts.hotpotqa.validation": real_data("fireact", "hotpotqa_dev.json"),
               "parts.strategyqa.validation": real_data("fireact", "strategyqa_dev.json"),
               "parts.mmlu.test": real_data("mmlu", "test_2000.jsonl")}
    done = run_main("--config-dir", str(tiny_options), "model=tiny_a", "stage=curate", "dataset=fireact",
                    "strategy=react_cot_reflexion", f"inputs.trajectories={file}",
                    *(f"dataset.{name}={path}" for name, path in sources.items()),
                    *(f"dataset.parts.{name}.train=null" for name in ("hotpotqa", "strategyqa", "mmlu")),
                    "curate.filters=[correct,not_evaluated]", "curate.validation=0",
                    "curate.counts={hotpotqa: {react: 500, cot: 186}, strategyqa: {react: 351, cot: 195}}")
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {name: cell["train"] for name, cell in metrics["curate"].items()} == {
        "hotpotqa/react": 500, "hotpotqa/cot": 186, "strategyqa/react": 351, "strategyqa/cot": 195}
    found = metrics["contamination"]["strategyqa"]
    assert (found["exact"], found["near"], len(found["questions"])) == (55, 0, 55)
