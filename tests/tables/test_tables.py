"""The tables of a study for papers say the same in every format, whatever is in their names."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.sweep import make
from fireact.stats import contrast, estimate
from fireact.study.sheet import Column, Sheet, shown
from fireact.tables.__main__ import TABLES, main
from fireact.tables.latex import escape, latex
from fireact.tables.markdown import markdown
from fireact.tables.plain import csv_text, to_csv

HALF = estimate({str(number): [float(number < 50)] for number in range(100)})
COLUMNS = (Column("condition", ""), Column("n", "n", "count"), Column("em", "EM %", "estimate"))


def by_size(choices: Any, guise: str, number: int) -> bool:
    """Fine-tuned is right on as many of 60 questions as tens of trajectories, prompted on one."""
    return number < (int(choices["curate.n"]) // 10 if guise == "finetuned" else 1)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    axes = {"curate.n": ("100", "300", "500"), "strategy": ("re_act", "50%|&")}
    return make(tmp_path_factory.mktemp("made") / "s", axes, 60, by_size)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_written_in_every_format(sweep: Path, table: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.reader(io.StringIO(printed(capsys, str(sweep), "--table", table, "--format", "csv"))))
    assert len({len(row) for row in rows}) == 1
    lines = [line for line in printed(capsys, str(sweep), "--table", table).splitlines() if line.startswith("|")]
    assert len(lines) == len(rows) + 1
    assert len({len(re.split(r"(?<!\\)\|", line)) for line in lines}) == 1
    text = printed(capsys, str(sweep), "--table", table, "--format", "latex")
    body = text[text.index(r"\midrule"):text.index(r"\bottomrule")]
    assert body.count(r"\\") == len(rows) - 1
    assert r"\toprule" in text


def test_a_csv_holds_plain_fractions_with_errors_and_intervals(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, str(sweep), "--format", "csv")
    first = next(iter(csv.DictReader(io.StringIO(text))))
    assert first["condition"] == "n=500, re_act, fine-tuned"
    assert float(first["em"]) == pytest.approx(50 / 60)
    assert float(first["em_se"]) == pytest.approx((50 * 10 / 60**2 / 59) ** 0.5)
    assert float(first["em_low"]) < float(first["em"]) < float(first["em_high"])
    assert first["n"] == "60"


def test_the_best_is_bold_only_where_it_is_distinguishable_from_the_second(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, levels in (("far", {"a": 50, "b": 20}), ("near", {"a": 21, "b": 20})):
        folder = make(tmp_path / name, {"strategy": tuple(levels)}, 60,
                      lambda choices, guise, number, levels=levels: number < levels[choices["strategy"]],
                      guises=["finetuned"])
        assert ("**83.3 ± 4.9**" in printed(capsys, str(folder))) == (name == "far")
        assert ("textbf{83.3" in printed(capsys, str(folder), "--format", "latex")) == (name == "far")
        assert printed(capsys, str(folder)).count("**") == (4 if name == "far" else 2)
        assert "Bold: the best EM, only where it is distinguishable" in printed(capsys, str(folder))


def test_an_interval_can_stand_in_the_place_of_the_standard_error() -> None:
    assert shown(HALF, "estimate") == "50.0 ± 5.0"
    assert shown(HALF, "estimate", "interval") == f"50.0 ({100 * (HALF.low or 0):.1f} to {100 * (HALF.high or 0):.1f})"
    same = contrast({"a": [1.0], "b": [0.0]}, {"a": [1.0], "b": [0.0]})
    assert shown(same, "contrast").startswith("0.0 (")


@given(st.text(st.characters(exclude_characters="\0")))
def test_no_text_breaks_a_table(text: str) -> None:
    sheet = Sheet("x", text, COLUMNS, ((text, 100, HALF),), (text,))
    lines = [line for line in markdown(sheet).split("\n") if line.startswith("|")]
    assert len(lines) == 3
    assert re.sub(r"\\.", "", lines[-1]).count("|") == 4
    [_, row] = csv.reader(io.StringIO(to_csv(sheet), newline=""))
    assert row[0].lstrip("'") == text.replace("\r", " ").lstrip("'")


@given(st.text(alphabet="ab \\{}$&#%_~^<>|\"\n\t±"))
def test_latex_sees_no_character_that_has_a_meaning_to_it(text: str) -> None:
    left = re.sub(r"\\text[a-z]+\{\}|\$\\pm\$|\\[{}$&#%_]|\{''\}", "", escape(text))
    assert not set(left) & set("\\{}$&#%_~^\n")


def test_a_text_that_a_spreadsheet_would_compute_is_made_harmless() -> None:
    assert csv_text(["a", "b"], [["=1+1", -1.5], ["@x", "y"]]) == "a,b\n'=1+1,-1.5\n'@x,y\n"


def test_a_row_that_begins_with_a_bracket_is_no_option_of_the_line_before() -> None:
    assert "{}[x] & 100" in latex(Sheet("x", "", COLUMNS, (("[x]", 100, HALF),)))


def test_the_first_rows_alone_go_to_a_file(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table.csv"
    assert printed(capsys, str(sweep), "--format", "csv", "--top", "2", "--out", str(out)) == f"written: {out}\n"
    assert len(out.read_text().splitlines()) == 3


def test_a_table_that_a_run_has_nothing_for_says_what_it_needs(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep / "0"), "--table", "curves"]) == 2
    assert "needs a sweep over curate.n or generate.n" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("table", TABLES)
def test_latex_compiles_what_was_written(sweep: Path, table: str, tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, str(sweep), "--table", table, "--format", "latex")
    hostile = latex(Sheet("x", "\\{}$&#%_~^<>|\"±→·é", COLUMNS, (("\\{}$&#%_~^<>|\"±→·é", 100, HALF),)))
    document = "\\documentclass{article}\n\\usepackage{booktabs}\n" \
               f"\\begin{{document}}\n{text}\n{hostile}\n\\end{{document}}\n"
    (tmp_path / "page.tex").write_text(document, encoding="utf-8")
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"], cwd=tmp_path,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
