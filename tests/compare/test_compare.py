"""Any two runs are compared on the questions that both have, and nothing is compared in silence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fireact.compare import Side, compare
from fireact.compare.__main__ import main
from fireact.compare.page import compare_page
from fireact.compare.text import parts
from fireact.errors import ConfigError
from fireact.jsonl import encode
from fireact.report.text import Table, minus
from fireact.types import Trajectory
from tests.helpers import composed
from tests.paper.made import Cell, episode, run
from tests.report.made import Elements, chunks, shown

HOSTILE = "<script>alert(1)</script>"


def written(folder: Path, rights: Mapping[str, Sequence[int]], n: int = 10, *overrides: str) -> Path:
    """A run of which each guise is right on these questions, with its episodes."""
    played = {Cell("factbook", guise): [episode(number, number in right) for number in range(n)]
              for guise, right in rights.items()}
    run(folder, composed(*overrides), played)
    for cell, records in played.items():
        (folder / f"episodes-factbook-{cell.guise}.jsonl").write_text("".join(f"{encode(one)}\n" for one in records))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """A is right on 0 to 4; B on 3 to 8."""
    first = written(tmp_path / "first", {"prompted": [0], "finetuned": range(5)})
    return first, written(tmp_path / "second", {"finetuned": range(3, 9)}, 10, "train.rank=4", "+curate.counts=null")


def test_the_paired_result_and_flips_are_those_that_are_counted_by_hand(runs: tuple[Path, Path]) -> None:
    found = compare(*map(Side, runs))
    [result] = found.results
    assert result.guises == ("finetuned", "finetuned")
    questions = found.study.questions["factbook"]
    assert [questions[number].id for number in result.better] == ["q5", "q6", "q7", "q8"]
    assert [questions[number].id for number in result.worse] == ["q0", "q1", "q2"]
    assert (result.right, result.wrong) == (2, 1)
    assert result.contrast.value == pytest.approx(0.1)
    assert (result.contrast.better, result.contrast.worse, result.contrast.n) == (4, 3, 10)
    assert result.verdict.startswith("B and A are not distinguishable: +10.0 points of EM")


def test_only_values_in_which_the_configurations_differ_are_told(runs: tuple[Path, Path]) -> None:
    found = compare(*map(Side, runs))
    assert [(each.key, each.values) for each in found.differences] == [("train.rank", ("16", "4"))]


def test_the_two_students_of_a_run_are_compared_with_each_other(runs: tuple[Path, Path]) -> None:
    for sides in ((Side(runs[0]), Side(runs[0])), (Side(runs[0], "prompted"), Side(runs[0], "finetuned"))):
        [result] = compare(*sides).results
        assert result.guises == ("prompted", "finetuned")
        assert (len(result.better), len(result.worse), result.right) == (4, 0, 1)


def test_runs_with_other_questions_are_refused_unless_told(tmp_path: Path, runs: tuple[Path, Path]) -> None:
    longer = written(tmp_path / "longer", {"finetuned": range(5)}, 12)
    with pytest.raises(ConfigError, match=r"share 10 of their 10 and 12 questions of factbook; add --shared"):
        compare(Side(runs[0]), Side(longer))
    [result] = compare(Side(runs[0]), Side(longer), shared=True).results
    assert (result.contrast.n, result.contrast.only_first, result.contrast.only_second) == (10, 0, 2)
    path = longer / "results.jsonl"
    path.write_text(path.read_text().replace("What is", "Who was"))
    with pytest.raises(ConfigError, match=r"share 0 of their 10 and 12 .*nothing to compare"):
        compare(Side(runs[0]), Side(longer), shared=True)


@pytest.mark.parametrize(("arguments", "said"), [
    (["{0}:finetund", "{1}"], "'finetund' is no student (did you mean finetuned?)"),
    (["{0}", "{1}/nowhere"], "is no run directory"),
    (["{0}", "{1}:prompted"], "there is nothing that both were evaluated on"),
    (["{0}", "{1}", "--dataset", "factbok"], "both sides were not evaluated on it (did you mean factbook?)"),
    (["{0}", "{0}/../empty"], "has no episodes of an evaluation"),
])
def test_what_cannot_be_compared_is_said_in_a_sentence(arguments: list[str], said: str, runs: tuple[Path, Path],
                                                       tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "metrics.json").write_text("{}")
    assert main([text.format(*runs) for text in arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_path_with_a_colon_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "a:prompted").mkdir()
    assert Side.of(str(tmp_path / "a:prompted")) == Side(tmp_path / "a:prompted")
    assert Side.of(str(tmp_path / "a:prompted:finetuned")) == Side(tmp_path / "a:prompted", "finetuned")


def test_the_terminal_shows_flips_and_episodes_side_by_side(runs: tuple[Path, Path],
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*map(str, runs), "--episodes", "2"]) == 0
    out = capsys.readouterr().out
    assert "train.rank" in out
    assert "✗✓ A wrong, B right: 4" in out
    assert "✓✗ A right, B wrong: 3" in out
    assert "q5: What is 5? (gold: yes) A ✗ B ✓" in out
    assert "q0: What is 0? (gold: yes) A ✓ B ✗" in out
    assert out.count("Reply: reply 1") == 4


def change(path: Path, number: int, **values: Any) -> None:
    lines = path.read_text().splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **values}, separators=(",", ":"))
    path.write_text("".join(f"{line}\n" for line in lines))


def test_a_record_that_is_gone_damaged_or_newer_is_said_in_its_place(runs: tuple[Path, Path]) -> None:
    first, second = (folder / "episodes-factbook-finetuned.jsonl" for folder in runs)
    change(first, 5, version=99)
    change(first, 0, steps="none")
    second.unlink()
    said = [part for part in parts(compare(*map(Side, runs)), 2) if isinstance(part, Table)][-2:]
    assert "a newer FireAct wrote this record (version 99" in said[0].rows[0][1]
    assert f"{first}:1: steps" in said[1].rows[0][1]
    assert said[0].rows[0][2] == f"its record is not in {second}"


def test_hostile_texts_stay_texts_on_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def hostile(record: Trajectory) -> Trajectory:
        question = replace(record.question, text=HOSTILE, answers=(HOSTILE,), kind=HOSTILE)
        return replace(record, question=question, answer=HOSTILE, steps=(replace(record.steps[0], text=HOSTILE),))

    folders = []
    for name, right in (("a", False), ("b", True)):
        records = [hostile(episode(0, right))]
        folders.append(run(tmp_path / name, composed(f"name={name}"), {Cell("factbook", "finetuned"): records}))
        (tmp_path / name / "episodes-factbook-finetuned.jsonl").write_text(f"{encode(records[0])}\n")
    page = tmp_path / "page.html"
    assert main([*map(str, folders), "--html", str(page)]) == 0
    text = page.read_text()
    assert "<script>alert" not in text
    [asked] = shown(text)["sets"][0]["questions"]
    assert asked[1:4] == [HOSTILE, HOSTILE, HOSTILE]
    assert "default-src 'none'" in text
    assert not [given for _, given in Elements(text).tags if "src" in given]
    assert f"written: {page}" in capsys.readouterr().out


def test_the_page_has_the_flips_with_their_steps(runs: tuple[Path, Path]) -> None:
    found = compare(*map(Side, runs))
    text = compare_page(found)
    [only], parts = shown(text)["sets"], chunks(text)
    a, b = only["sides"]
    assert [only["series"][side][1] for side in (a, b)] == ["A, fine-tuned", "B, fine-tuned"]
    sides = [parts[f"s0-{side}"]["o"] for side in (a, b)]
    flips = [number for number in range(10) if (sides[0][number] == "+") != (sides[1][number] == "+")]
    assert flips == sorted([*found.results[0].better, *found.results[0].worse])
    for number in flips:
        assert [entry[1][-1] for entry in parts[f"q0-{number}"] if entry[0][0] in (a, b)] == [["Reply", "reply 1"]] * 2
    words = Elements(text).text
    assert "train.rank 16 4" in words
    assert minus(found.results[0].verdict) in words
