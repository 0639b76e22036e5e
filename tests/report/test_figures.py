"""Drawings: safe, in the page's colours, with words for those who do not see them."""

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.report.figures import best_for_cost, learning_figures, training_figure
from fireact.report.plot import LINES, Line, Scale, draw
from fireact.stats import Estimate
from fireact.study.types import LearningCurve, TrainingCurve

NAME = "$x_{</text><script>alert(1)</script>"
SVG = "{http://www.w3.org/2000/svg}"


def curve(label: str) -> LearningCurve:
    points = [Estimate(0.2, 0.02, 0.16, 0.24, 100), Estimate(0.4, 0.03, 0.34, 0.46, 100)]
    return LearningCurve(label, "factbook", [100, 400], points, [(0.3, "30.0 points of EM: about 200 samples.")])


def test_a_drawing_is_told_to_a_screen_reader_and_has_ids_of_its_own():
    drawn = [draw(name, "A <title>", "What & why", [Line([1, 2], [0.1, 0.2], [0, 0.1], [0.2, 0.3])],
                  Scale("x", "y", log=True)) for name in ("one", "two")]
    trees = [ElementTree.fromstring(str(one).replace("xlink:href", "href")) for one in drawn]
    for tree, name in zip(trees, ("one", "two"), strict=True):
        assert tree.get("role") == "img"
        told = [tree.find(f"{SVG}{tag}") for tag in ("title", "desc")]
        assert [part.text for part in told if part is not None] == ["A <title>", "What & why"]
        assert tree.get("aria-labelledby") == f"{name}-title {name}-description"
    ids = [node.get("id") for tree in trees for node in tree.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    assert "#0101" not in str(drawn[0])
    assert "<style" not in str(drawn[0])


def test_names_of_users_are_not_drawn_but_stand_in_the_legend():
    (figure,) = learning_figures([curve(NAME)])
    assert "<script" not in figure.drawing
    assert "alert" not in figure.drawing
    assert figure.legend == ((1, "●", NAME),)
    assert figure.notes == (f"{NAME}: 30.0 points of EM: about 200 samples.",)


def test_more_curves_than_can_be_told_apart_are_in_the_numbers():
    (figure,) = training_figure([TrainingCurve(str(number), [1, 2], [1.0, None], [(2, 0.5)])
                                 for number in range(LINES + 1)])
    assert len(figure.legend) == LINES
    assert figure.notes == (f"The first {LINES} of {LINES + 1} are drawn; all are among the numbers.",)
    assert len(figure.panel.rows) == 2 * (LINES + 1)


@pytest.mark.parametrize("curves", [[], [TrainingCurve("a", [1], [None])]])
def test_what_was_not_logged_is_not_drawn(curves):
    assert training_figure(curves) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats_on_both(points):
    front = best_for_cost(points)
    for index, (cost, quality) in enumerate(points):
        beaten = any((other[0] <= cost and other[1] > quality) or (other[0] < cost and other[1] >= quality)
                     for other in points)
        assert not (beaten and index in front)
        assert beaten or any(points[one] == (cost, quality) for one in front)
