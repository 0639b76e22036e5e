"""The page's tables: their scales, their folds, and their data as CSV."""

import base64
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.report.panel import OPEN, Head, Mark, Panel, balanced_axis, csv_link, share_axis


def read_back(link: str) -> list[list[str]]:
    start = "data:text/csv;base64,"
    assert link.startswith(start)
    return list(csv.reader(io.StringIO(base64.b64decode(link.removeprefix(start)).decode(), newline="")))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_a_csv_holds_the_texts_and_none_is_a_formula(texts):
    (_, row) = read_back(csv_link([f"column {number}" for number in range(len(texts))], [texts]))
    for text, found in zip(texts, row, strict=True):
        assert found in (text, f"'{text}")
        assert not found.startswith(("=", "@", "\t", "\r"))


@pytest.mark.parametrize(("value", "written"), [
    ("=1+1", "'=1+1"), ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"), ("-2.5", "-2.5"), (-2.5, "-2.5"), (None, ""),
    ("-5.0 to +3.0", "'-5.0 to +3.0"), ("react, \"fast\"", "react, \"fast\"")])
def test_numbers_stay_numbers_and_formulas_become_text(value, written):
    assert read_back(csv_link(["a"], [[value, "x"]]))[1] == [written, "x"]


def test_a_scale_holds_what_is_drawn_on_it():
    assert share_axis(0.634).labels == ("0", "35", "70")
    assert share_axis(0.3).high == 0.3
    assert share_axis(0.0).high == 0.1
    assert balanced_axis(0.226).labels == ("−30", "0", "+30")  # noqa: RUF001
    assert balanced_axis(0.02).labels == ("−5", "0", "+5")  # noqa: RUF001
    assert balanced_axis(0.226).place(0) == 0.5
    assert share_axis(0.5).place(0.6) == 1.0


def test_a_long_panel_is_folded_but_not_for_one_row():
    def panel(count: int) -> Panel:
        return Panel("p", "", (Head("a"),), tuple((Mark(str(number)),) for number in range(count)), "")

    assert (len(panel(OPEN + 1).first), len(panel(OPEN + 1).rest)) == (OPEN + 1, 0)
    assert (len(panel(OPEN + 2).first), len(panel(OPEN + 2).rest)) == (OPEN, 2)
