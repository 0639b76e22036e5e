"""Runs beside the paper's tables: which cell, which verdict, and why not."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from fireact.paper import compare, match
from fireact.paper.cells import results
from fireact.paper.text import parts, to_markdown
from fireact.schema import Config
from fireact.types import StopReason
from tests.helpers import real_data
from tests.paper.made import (
    FIREACT,
    GOOGLE,
    GPT,
    HOSTED,
    LLAMA,
    LORA,
    REACT,
    Cell,
    asked,
    episode,
    episodes,
    mixed,
    row,
    run,
    taught,
)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(("right", "verdict"), [(160, "within error"), (200, "above"), (120, "below")])
def test_a_run_as_the_papers_gets_a_verdict(made: Config, tmp_path: Path, right: int, verdict: str) -> None:
    """Of 500: the paper has 157 right."""
    found = compare([run(tmp_path / "0", made, {REACT: episodes(right, 500)})], "table1")
    one = row(found, "GPT-3.5 · ReAct")
    assert (one.verdict, one.why) == (verdict, ())
    assert (one.paper.value, one.paper.n, one.ours.value, one.ours.n) == (0.314, 500, right / 500, 500)
    assert len(found.missing) == 5


@pytest.mark.usefixtures("known")
def test_fewer_questions_make_a_wider_interval(made: Config, tmp_path: Path) -> None:
    few = compare([run(tmp_path / "0", made, {REACT: episodes(10, 20)})], "table1")
    assert row(few, "GPT-3.5 · ReAct").verdict == "within error"
    low, high = row(few, "GPT-3.5 · ReAct").difference or (0, 0)
    assert high - low > 0.3


def test_what_was_run_otherwise_is_told_and_both_numbers_are_printed(plain: Config, tmp_path: Path) -> None:
    """The paper's recipe, small and offline: no cell is its own, so that it stands beside all that are like it."""
    hotpotqa = {"_target_": "fireact.dataset.hotpotqa.HotpotQA"}
    config = plain.model_copy(update={"dataset": hotpotqa})
    folder = run(tmp_path / "0", config, {REACT: episodes(2, 20), FIREACT: episodes(5, 20)}, taught("react", train=24))
    found = compare([folder], "table2")
    one = row(found, "Llama-2-7B · FireAct")
    assert one.verdict == "not comparable"
    assert (one.paper.value, one.ours.value) == (0.262, 0.25)
    for said in ("the model is SmolLM2-135M-Instruct, the paper's Llama-2-7B",
                 "20 of 20 questions are not among the paper's 500 of hotpotqa",
                 "it searched with corpus, the paper with Google (tool=serpapi)",
                 "the paper's student was asked with reflections at rounds 6 and 10 (paper=faithful)",
                 "it learnt from 24 trajectories, the paper's from 1000", "the teacher is oracle, the paper's gpt-4",
                 "train.loss is assistant, the paper's all_output", "train.epochs is 1, the paper's 30",
                 "train.rank is 16, the paper's 8"):
        assert said in one.why
    assert "26.2" in to_markdown(found)
    assert "25.0" in to_markdown(found)
    assert row(found, "Llama-2-7B · FireAct", "gain").ours.value == pytest.approx(0.15)


@pytest.mark.usefixtures("known")
def test_a_llama_run_stands_beside_the_value_of_its_own_number_of_trajectories(made: Config, tmp_path: Path) -> None:
    """Table 2's Llama rows are the runs of 1,000, whatever the paper says."""
    config = mixed(made, "react").model_copy(update={"model": LLAMA, "train": LORA})
    few = run(tmp_path / "0", config, {FIREACT: episodes(104, 500)}, taught("react", train=495))
    found = compare([few], "table2")
    assert [one.cell.label for one in found.rows] == ["Llama-2-7B · FireAct, 500 trajectories"]
    assert (found.rows[0].verdict, found.rows[0].paper.value) == ("within error", 0.208)
    asked_so = {**mixed(made, "react").strategy, "play": "reflexion"}
    many = run(tmp_path / "1", config.model_copy(update={"strategy": asked_so}), {FIREACT: episodes(131, 500)},
               taught("react", train=1000))
    found = compare([few, many], "table2")
    assert row(found, "Llama-2-7B · FireAct").verdict == "within error"
    assert row(found, "Llama-2-7B · FireAct").measure.run == many


@pytest.mark.usefixtures("known")
def test_the_points_of_a_figure_are_told_apart(made: Config, tmp_path: Path) -> None:
    for i, n in enumerate((100, 200, 500, 1000)):
        run(tmp_path / "sweep" / str(i), made, {FIREACT: episodes(190 + i, 500)}, taught("react", train=n))
    found = compare([tmp_path / "sweep"], "figure3")
    assert [one.cell.label for one in found.rows] == [f"{n} trajectories · GPT-3.5" for n in (100, 200, 500, 1000)]
    assert [round(one.ours.value * 500) for one in found.rows] == [190, 191, 192, 193]
    for i, epochs in enumerate((1, 30)):
        trained = made.model_copy(update={"train": {**HOSTED, "epochs": epochs}})
        run(tmp_path / "epochs" / str(i), trained, {FIREACT: episodes(190, 500)}, taught("react", train=500))
    found = compare([tmp_path / "epochs"], "figure7")
    assert [(one.cell.label, one.cell.metric) for one in found.rows] == [
        ("1 epoch", "em"), ("1 epoch", "f1"), ("30 epochs", "em"), ("30 epochs", "f1")]
    assert all(not one.why for one in found.rows)


@pytest.mark.usefixtures("known")
def test_faults_of_the_tool(made: Config, tmp_path: Path) -> None:
    played = {Cell("hotpotqa", guise, fault): episodes(right, 500) for guise, fault, right in (
        ("prompted", "", 157), ("finetuned", "", 196), ("prompted", "none", 104), ("finetuned", "none", 168))}
    half = made.model_copy(update={"noise": {"_target_": "fireact.tool.noise.Noise", "probability": 0.5}})
    found = compare([run(tmp_path / "0", half, played, taught("react", train=500))], "table3")
    assert row(found, "FireAct · Obs None").ours.value == 0.336
    assert row(found, "ReAct · Obs None").verdict == "within error"
    assert row(found, "FireAct · s/trial", "seconds").ours.value == 1.0
    assert row(found, "FireAct · s/trial", "seconds").why == ("the paper tells no spread of its seconds",)
    assert {cell.label for cell in found.missing} >= {"FireAct · Obs Random", "FireAct · $/trial"}
    always = made.model_copy(update={"noise": {"_target_": "fireact.tool.noise.Noise", "probability": 1.0}})
    found = compare([run(tmp_path / "1", always, played, taught("react", train=500))], "table3")
    assert "the tool failed with probability 1.0, the paper's with 0.5" in row(found, "ReAct · Obs None").why
    assert not row(found, "ReAct · Normal").why


@pytest.mark.usefixtures("known")
def test_random_and_oracle_choice_come_from_runs_of_each_method(made: Config, tmp_path: Path) -> None:
    """IO is right on 0-99, CoT on 0-149, ReAct on 100-299, Reflexion on 100-319, of 500."""
    right = {"direct": range(100), "cot": range(150), "react": range(100, 300), "reflexion": range(100, 320)}
    for i, (method, hits) in enumerate(right.items()):
        records = [episode(k, k in hits, rounds=1 if i < 2 else 3) for k in range(500)]
        if i < 2:
            run(tmp_path / str(i), asked(made, method), {REACT: records})
        else:
            run(tmp_path / str(i), mixed(made, method), {FIREACT: records}, taught(method, train=500))
    found = compare([tmp_path], "table4")
    assert row(found, "random choice").ours.value == pytest.approx((100 + 150 + 200 + 220) / 2000)
    assert row(found, "oracle choice").ours.value == pytest.approx(320 / 500)
    assert row(found, "oracle choice").verdict == "above"
    assert row(found, "random choice").why == ()
    turns = row(compare([tmp_path], "table10"), "oracle choice", "turns")
    assert turns.verdict == "not comparable"
    assert turns.ours.value == pytest.approx((50 * 1 + 170 * 3) / 500)


@pytest.mark.usefixtures("known")
def test_a_choice_needs_all_four_methods(made: Config, tmp_path: Path) -> None:
    folder = run(tmp_path / "0", made, {REACT: episodes(1, 500), FIREACT: episodes(2, 500)}, taught("react", train=500))
    missing = {cell.label for cell in compare([folder], "table4").missing}
    assert {"random choice", "oracle choice"} <= missing


@pytest.mark.usefixtures("known")
def test_turns_are_those_of_finished_episodes(made: Config, tmp_path: Path) -> None:
    records = [episode(i, True, rounds=2 + i % 2) for i in range(400)]
    records += [episode(i, False, rounds=11, stop=StopReason.ROUNDS) for i in range(400, 500)]
    folder = run(tmp_path / "0", mixed(made, "react"), {FIREACT: records}, taught("react", train=500))
    found = compare([folder], "figure6")
    one = row(found, "ReAct", "turns")
    assert (one.ours.value, one.ours.n, one.paper.n, one.verdict) == (2.5, 400, 469, "below")
    shown = [part for part in parts(found) if not isinstance(part, str)]
    assert shown[-1].caption == "Finished episodes by turns: ReAct"
    assert shown[-1].rows[1][:5] == ("ours", "0", "0", "200", "200")


@pytest.mark.usefixtures("known")
def test_single_faults_of_a_setting(made: Config, tmp_path: Path) -> None:
    """Each alone is enough to make a cell not comparable, and is all that is told."""
    changes: list[tuple[dict[str, Any], str]] = [
        ({"model": {**GPT, "model": "gpt-3.5-turbo-0125"}},
         "the model is gpt-3.5-turbo-0125, the paper's gpt-3.5-turbo-0613"),
        ({"tool": {**GOOGLE, "fields": "rich"}},
         "it was shown tool.fields=rich of Google's answers, the paper's only the first field found"),
        ({"inputs": made.inputs.model_copy(update={"trajectories": [Path("mine/all.jsonl")]})},
         "it learnt from mine/all.jsonl, whose teacher is not known to this run"),
        ({"inputs": made.inputs.model_copy(update={"trajectories": [Path("alpaca_format/hotpotqa.json")]})}, ""),
        ({"train": {**HOSTED, "epochs": 4}}, "train.epochs is 4, the paper's 3"),
        ({"train": LORA}, "it was trained by lora, the paper's by hosted"),
    ]
    for i, (update, sentence) in enumerate(changes):
        folder = run(tmp_path / str(i), made.model_copy(update=update), {FIREACT: episodes(197, 500)},
                     taught("react", train=500))
        assert row(compare([folder], "table4"), "ReAct").why == ((sentence,) if sentence else ())


@pytest.mark.usefixtures("known")
def test_other_questions_and_a_prefix(made: Config, tmp_path: Path) -> None:
    records = [episode(i, True, text=f"Q: What is {i}?" if i else "Who?") for i in range(10)]
    prefixed = made.model_copy(update={"dataset": {**made.dataset, "prefix": "Q: "}})
    found = compare([run(tmp_path / "0", prefixed, {REACT: records})], "table1")
    assert row(found, "GPT-3.5 · ReAct").why == ("1 of 10 questions are not among the paper's 500 of hotpotqa",)


@pytest.mark.usefixtures("known")
def test_the_run_that_is_most_like_the_papers_counts(made: Config, tmp_path: Path) -> None:
    corpus = made.model_copy(update={"tool": {"_target_": "fireact.tool.corpus.Corpus"}})
    for i, (config, right) in enumerate([(made, 100), (made, 110), (corpus, 120)]):
        run(tmp_path / str(i), config, {REACT: episodes(right, 500)})
    assert row(compare([tmp_path], "table1"), "GPT-3.5 · ReAct").ours.value == 0.22


def test_a_fine_tuned_student_asked_with_examples_has_rows_of_its_own(made: Config, tmp_path: Path) -> None:
    """Table 14: the model's node names the adapter."""
    strategyqa = {"_target_": "fireact.dataset.strategyqa.StrategyQA", "scoring": "strict"}
    config = asked(made, "cot").model_copy(update={"dataset": strategyqa, "model": {**LLAMA, "adapter": "somewhere"}})
    found = compare([run(tmp_path / "0", config, {Cell("strategyqa", "prompted"): episodes(60, 229)})], "table14")
    assert [one.cell.label for one in found.rows] == ["Llama-2-7B fine-tuned, CoT · StrategyQA"]
    assert found.rows[0].why[0] == ("answers to strategyqa are judged by strict rules (scoring=faithful are the "
                                    "paper's)")


def test_the_marks_are_those_of_the_papers_questions() -> None:
    """500 of HotpotQA's dev set by the paper's shuffle, and all of two other sets."""
    rows = json.loads(real_data("fireact", "hotpotqa_dev.json").read_text(encoding="utf-8"))
    order = list(range(len(rows)))
    random.Random(233).shuffle(order)
    texts = {"hotpotqa": [rows[i]["question"] for i in order[:500]]}
    for name, file in (("strategyqa", "dev.jsonl"), ("bamboogle", "test.jsonl")):
        lines = real_data(name, file).read_text(encoding="utf-8").splitlines()
        texts[name] = [json.loads(line)["question"] for line in lines]
    assert {name: len(found) for name, found in texts.items()} == {
        name: results()["questions"][name] for name in texts}
    written = json.loads(match.QUESTIONS.read_text(encoding="utf-8"))
    assert {name: sorted(map(match.mark, found)) for name, found in texts.items()} == written


@pytest.mark.usefixtures("known")
def test_a_later_run_that_did_not_measure_a_number_does_not_hide_it(made: Config, tmp_path: Path) -> None:
    """Asked for the fine-tuned guise alone, a run knows no gain; the one before it does."""
    both = run(tmp_path / "0", mixed(made, "react"), {REACT: episodes(150, 500), FIREACT: episodes(190, 500)},
               taught("react", train=495))
    later = run(tmp_path / "1", mixed(made, "react"), {FIREACT: episodes(190, 500)}, taught("react", train=495))
    label = next(found.cell.label for found in compare([both], "table2").rows if found.cell.metric == "gain")
    assert row(compare([both, later], "table2"), label, "gain").measure.run == both
