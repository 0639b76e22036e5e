"""Runs beside the paper's tables: which cell, which verdict, and why not."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from fireact.errors import ConfigError, DataError
from fireact.launch import run as launch
from fireact.paper import Compared, Comparison, compare, match
from fireact.paper.__main__ import main
from fireact.paper.text import parts, to_csv, to_markdown
from fireact.schema import Config
from fireact.types import StopReason
from tests.helpers import composed
from tests.paper.made import Cell, episode, episodes, run, taught

REACT, FIREACT = Cell("hotpotqa", "prompted"), Cell("hotpotqa", "finetuned")
GPT = {"_target_": "fireact.model.api.Api", "model": "gpt-3.5-turbo-0613"}
LLAMA = {"_target_": "fireact.model.local.Local", "name": "Llama-2-7B", "source": "meta-llama/Llama-2-7b-chat-hf"}
GOOGLE = {"_target_": "fireact.tool.serpapi.Serpapi"}
HOSTED = {"_target_": "fireact.train.hosted.Hosted", "epochs": 3}
LORA = {"_target_": "fireact.train.Train", "method": "lora", "rank": 8, "learning_rate": 3e-4, "epochs": 30,
        "loss": "all_output", "max_length": 512}


@pytest.fixture(scope="module")
def plain() -> Config:
    """The default run."""
    return composed()


@pytest.fixture
def made(plain: Config) -> Config:
    """A run as the paper's GPT-3.5 had it."""
    hotpotqa = {"_target_": "fireact.dataset.hotpotqa.HotpotQA", "scoring": "faithful"}
    teacher = {"_target_": "fireact.model.api.Api", "model": "gpt-4"}
    return plain.model_copy(update={"model": GPT, "tool": GOOGLE, "train": HOSTED, "dataset": hotpotqa,
                                    "teacher": teacher})


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The questions of these tests are the paper's."""
    marks = [match.mark(f"What is {i}?") for i in range(500)]
    path = tmp_path / "questions.json"
    path.write_text(json.dumps({"hotpotqa": marks, "bamboogle": marks[:125]}), encoding="utf-8")
    monkeypatch.setattr(match, "QUESTIONS", path)
    match._known_questions.cache_clear()
    yield
    match._known_questions.cache_clear()


def mixed(config: Config, *learnt: str) -> Config:
    """The same, with a strategy whose student learns by some of the methods and is asked by ReAct."""
    nodes = {name: {"_target_": f"fireact.strategy.{name}.{name.capitalize()}"}
             for name in ("react", "cot", "direct", "reflexion")}
    counts = {name: int(name in learnt) for name in nodes}
    return config.model_copy(update={"strategy": {"parts": nodes, "counts": counts, "play": "react"}})


def asked(config: Config, method: str) -> Config:
    """The same, asked by a method."""
    return config.model_copy(update={"strategy": {"_target_": f"fireact.strategy.{method}.{method.capitalize()}"}})


def row(comparison: Comparison, label: str, metric: str = "em") -> Compared:
    """One line of a comparison."""
    return next(found for found in comparison.rows if (found.cell.label, found.cell.metric) == (label, metric))


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
    turns = row(compare([tmp_path], "table10"), "oracle choice, turns", "turns")
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


def test_what_has_no_place_is_told(plain: Config, tmp_path: Path) -> None:
    folder = run(tmp_path / "0", plain, {Cell("factbook", "prompted"): episodes(1, 4)})
    shown = [part for part in parts(compare([folder], "table1")) if isinstance(part, str)]
    assert "Run experiment=paper/table1." in shown[0]
    assert shown[1] == "What was measured on factbook has no place in this table, which is about hotpotqa."


@pytest.mark.usefixtures("known")
def test_the_csv_holds_every_cell(made: Config, tmp_path: Path) -> None:
    folder = run(tmp_path / "0", made, {REACT: episodes(160, 500)})
    lines = list(csv.DictReader(io.StringIO(to_csv(compare([folder], "table1")))))
    assert len(lines) == 6
    first = lines[0]
    assert (first["cell"], first["paper"], first["ours"], first["verdict"]) == (
        "GPT-3.5 · ReAct", "0.314", "0.32", "within error")
    assert {line["verdict"] for line in lines[1:]} == {"not run"}


@pytest.mark.usefixtures("known")
def test_the_command(made: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "sweep" / "0", made, {REACT: episodes(160, 500)})
    assert main(["table1", str(tmp_path / "sweep")]) == 0
    said = capsys.readouterr().out
    assert "Table 1 (and 6): prompting on HotpotQA" in said
    assert "within error" in said
    assert (tmp_path / "sweep" / "table1.csv").exists()
    assert (tmp_path / "sweep" / "table1.md").read_text(encoding="utf-8").startswith("# Table 1")
    assert main(["table1", str(tmp_path / "nothing")]) == 2
    failed = capsys.readouterr()
    assert failed.err.startswith("error: ")
    assert failed.err.count("\n") == 1


def test_bad_input_gets_a_sentence(made: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no run directory and holds none"):
        compare([tmp_path], "table1")
    folder = run(tmp_path / "0", made, {REACT: episodes(1, 2)})
    with pytest.raises(ConfigError, match="'tabel1' is no table"):
        compare([folder], "tabel1")
    config = folder / "config.yaml"
    whole = config.read_text(encoding="utf-8")
    for text, sentence in (("a: [", "is no YAML"), ("7", "holds no configuration")):
        config.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=sentence):
            compare([folder], "table1")
    config.write_text("sed: 3\n" + whole, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config.yaml: sed is not an option .*of another version"):
        compare([folder], "table1")
    config.write_text(whole, encoding="utf-8")
    (folder / "metrics.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"metrics.json: Expecting property name"):
        compare([folder], "table1")


def test_a_cell_that_failed_is_passed_over(made: Config, tmp_path: Path) -> None:
    run(tmp_path / "0", made, {REACT: episodes(1, 2)})
    run(tmp_path / "1", made, {})
    (tmp_path / "1" / "results.jsonl").unlink()
    assert len(compare([tmp_path], "table1").rows) == 1


def test_a_real_run_is_read(tmp_path: Path) -> None:
    """Of the program itself: a scripted model on two questions in the original form."""
    rows = [{"_id": f"h{i}", "question": f"Is {i} a number?", "answer": "yes", "type": "comparison", "level": "easy",
             "supporting_facts": [["Numbers", 0]], "context": [["Numbers", [f"{i} is a number."]]]} for i in range(2)]
    source = tmp_path / "dev.json"
    source.write_text(json.dumps(rows), encoding="utf-8")
    config = composed("dataset=hotpotqa", "dataset.train=null", f"dataset.validation={source}", "model=scripted",
                      "stage=evaluate", "evaluate.n=2", "evaluate.finetuned=false", f"store={tmp_path / 'store'}",
                      "wandb.mode=disabled", "model.replies=['Action: finish[yes]']")
    dump = json.dumps(config.model_dump(mode="json"))
    launch(config, tmp_path / "run", dump)
    one = row(compare([tmp_path / "run"], "table1"), "GPT-4 · ReAct")
    assert (one.ours.value, one.ours.n, one.verdict) == (1.0, 2, "not comparable")
    assert "the model is scripted, the paper's gpt-4" in one.why
