"""Run directories are read, or refused with a sentence; comparisons are written and printed."""

import csv
import io
import json
from pathlib import Path

import pytest

from fireact.errors import ConfigError, DataError
from fireact.launch import run as launch
from fireact.paper import compare
from fireact.paper.__main__ import main
from fireact.paper.text import parts, to_csv
from fireact.schema import Config
from tests.helpers import composed
from tests.paper.made import REACT, Cell, episodes, row, run


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
