"""The paper's numbers are what the paper says, and fit together as far as the paper's do."""

import re
from collections.abc import Callable
from itertools import product

import pytest

from fireact.errors import ConfigError
from fireact.paper import printed
from fireact.paper.cells import Cell, names, results, table
from tests.helpers import DATA

ALL = [(name, cell) for name in names() for cell in table(name).cells]
STUDENTS = ["GPT-3.5", "Llama-2-7B", "Llama-2-13B", "CodeLlama-7B", "CodeLlama-13B", "CodeLlama-34B"]


def cell(name: str, label: str, metric: str = "em") -> Cell:
    """One number."""
    return next(found for found in table(name).cells if (found.label, found.metric) == (label, metric))


def em(name: str, label: str) -> float:
    """Exact match in percent, as printed."""
    return round(100 * cell(name, label).value, 1)


def test_every_experiment_of_the_paper_is_there() -> None:
    assert names() == [*(f"table{i}" for i in (1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14)),
                       *(f"figure{i}" for i in (3, 4, 6, 7))]
    assert len(ALL) > 230


@pytest.mark.parametrize("name", names())
def test_the_cells_of_a_table_differ(name: str) -> None:
    """In label or metric, and in setting or metric: else no run could tell them apart."""
    cells = table(name).cells
    assert len({(found.label, found.metric) for found in cells}) == len(cells)
    comparable = [found for found in cells if not found.unlike]
    assert len({(found.setting, found.metric) for found in comparable}) == len(comparable)


def test_an_unknown_table_gets_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"'tabel2' is no table or figure .* \(did you mean table2\?\)"):
        table("tabel2")


def test_the_printed_errors_are_those_of_500_questions() -> None:
    """But for Table 8's of sets that have fewer, whose true errors are larger."""
    found = [cell for _, cell in ALL if "se" in cell.printed and cell.metric == "em"]
    assert len(found) >= 17
    for one in found:
        p = one.value
        assert 100 * (p * (1 - p) / 500) ** 0.5 == pytest.approx(one.printed["se"], abs=0.011)


def test_the_errors_here_are_those_of_the_true_number_of_questions() -> None:
    assert printed(cell("table5", "CoT prompt · Bamboogle")).se == pytest.approx(0.0441, abs=1e-4)
    assert printed(cell("table5", "fine-tuned on all tasks, + CoT · StrategyQA")).se == pytest.approx(0.0294, abs=1e-4)
    assert printed(cell("table5", "IO prompt · StrategyQA")).se == pytest.approx(0.0500, abs=1e-4)
    assert printed(cell("table1", "GPT-4 · CoT")).se == pytest.approx(0.0222, abs=1e-4)
    assert printed(cell("table3", "FireAct · Bamboogle")).n == 125


def test_values_are_shares_of_their_questions() -> None:
    """One that is no k of n says that n is wrong; of one the reason is not known."""
    odd = [(name, found.label) for name, found in ALL if found.metric == "em" and not found.setting.choice
           and not any(abs(100 * k / found.n - 100 * found.value) < 0.0501 for k in range(found.n + 1))]
    assert odd == [("table14", "Llama-2-7B fine-tuned, CoT · StrategyQA")]


@pytest.mark.parametrize("student", STUDENTS)
def test_gains_follow_from_the_values(student: str) -> None:
    """Within the rounding; Llama-2-13B's is printed as 13.1 and is 13.2."""
    before, after = em("table2", f"{student} · ReAct"), em("table2", f"{student} · FireAct")
    gain = cell("table2", f"{student} · FireAct", "gain")
    assert 100 * gain.value == pytest.approx(after - before, abs=0.11)
    assert gain.printed["relative"] == pytest.approx(100 * (after - before) / before, abs=0.6)


def test_drops_follow_from_the_values() -> None:
    for row, column in product(("FireAct", "ReAct"), ("None", "Random")):
        faulty, sound = cell("table3", f"{row} · Obs {column}"), cell("table3", f"{row} · Normal")
        assert faulty.printed["drop"] == pytest.approx(100 * (faulty.value / sound.value - 1), abs=0.1)


def test_the_random_choice_is_the_mean_of_table_10s_four() -> None:
    four = [em("table10", label) for label in ("IO prompt", "CoT prompt", "ReAct", "Reflexion")]
    assert sum(four) / 4 == pytest.approx(32.4)
    assert em("table4", "random choice") == 32.4


def test_the_same_experiment_has_the_same_value_everywhere_but_where_a_note_says_so() -> None:
    values: dict[object, set[float]] = {}
    noted = set()
    for _, found in ALL:
        if found.metric == "em" and found.setting.trajectories and not found.unlike:
            key = found.setting
            values.setdefault(key, set()).add(round(100 * found.value, 1))
            noted |= {key} if found.note else set()
    assert {key for key, several in values.items() if len(several) > 1} <= noted


def test_histograms_are_of_the_finished_episodes() -> None:
    sums = {found.label: found.n for found in table("figure6").cells}
    assert sums["ReAct + CoT"] == 477
    assert all(total <= 500 for total in sums.values())
    for label in ("ReAct + CoT", "ReAct + IO + CoT", "ReAct + IO", "ReAct + IO + Reflexion"):
        told, drawn = cell("table10" if "IO" in label else "table4", label, "turns"), cell("figure6", label, "turns")
        assert told.n == drawn.n
        assert told.value == pytest.approx(drawn.value, abs=0.051)
        assert told.printed["sd"] == pytest.approx(drawn.printed["sd"], abs=0.12)


def test_table_8_is_table_5() -> None:
    assert table("table8").cells == table("table5").cells


def notes(section: str) -> list[list[str]]:
    """The rows of the Markdown tables in a section of the notes on the paper; skips where these are absent."""
    path = DATA.parent / "docs" / "PAPER.md"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    text = path.read_text(encoding="utf-8")
    part = text[text.index(f"### {section} "):].split("\n### ")[0]
    return [[part.strip(" *") for part in line.strip().strip("|").split("|")]
            for line in part.splitlines() if line.startswith("|") and "---" not in line]


def first(text: str) -> float:
    """The first number of a cell, without what emphasizes it."""
    found = re.search(r"-?\d+(\.\d+)?(e-\d+)?", text.replace("*", ""))
    assert found, text
    return float(found[0])


@pytest.mark.parametrize(("section", "name", "labels"), [
    ("1.1", "table1", lambda row, column: f"{row} · {column}"),
    ("1.5", "table5", lambda row, column: f"{PROSE.get(row, row)} · {column}"),
    ("1.6", "figure3", lambda row, column: f"{row} trajectories · {SHORT.get(column, column)}"),
    ("1.4", "figure4", lambda row, column: f"{row.replace('+', ' + ').strip()} · {SHORT.get(column, column)}"),
])
def test_tables_agree_with_the_notes_on_the_paper(section: str, name: str, labels: Callable[[str, str], str]) -> None:
    head, *rows = notes(section)
    checked = 0
    for row in rows:
        for column, written in zip(head[1:], row[1:], strict=False):
            if written != "-":
                assert em(name, labels(row[0], column)) == first(written), (row[0], column)
                checked += 1
    assert checked >= 6


PROSE = {"FT HotpotQA": "fine-tuned on HotpotQA", "FT multi-task (ReAct)": "fine-tuned on all tasks",
         "FT multi-task + CoT": "fine-tuned on all tasks, + CoT"}
SHORT = {"L2-7B": "Llama-2-7B", "L2-13B": "Llama-2-13B", "CL-7B": "CodeLlama-7B", "CL-13B": "CodeLlama-13B",
         "CL-34B": "CodeLlama-34B"}


def test_table_2_and_3_agree_with_the_notes_on_the_paper() -> None:
    for model, react, fireact, gain in notes("1.2")[1:]:
        student = model.replace("-0613", "")
        assert em("table2", f"{student} · ReAct") == first(react)
        assert em("table2", f"{student} · FireAct") == first(fireact)
        assert round(100 * cell("table2", f"{student} · FireAct", "gain").value, 1) == first(gain)
    for row in notes("1.3")[1:]:
        columns = ("$/trial", "s/trial", "Normal", "Obs None", "Obs Random", "Bamboogle")
        metrics = ("dollars", "seconds", "em", "em", "em", "em")
        for column, metric, written in zip(columns, metrics, row[1:], strict=True):
            value = cell("table3", f"{row[0]} · {column}", metric).value
            assert (round(100 * value, 1) if metric == "em" else value) == first(written)


def test_histograms_agree_with_the_notes_on_the_paper() -> None:
    notes("1.4")
    text = (DATA.parent / "docs" / "PAPER.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("Fig 6"))
    for found in table("figure6").cells:
        written = "/".join(map(str, found.counts)) if "prompt" in found.label else ",".join(map(str, found.counts))
        assert written in line.replace("500/0", "500"), found.label


def test_the_numbers_of_questions_are_the_sets() -> None:
    assert results()["questions"] == {"hotpotqa": 500, "bamboogle": 125, "strategyqa": 229, "mmlu": 500}
