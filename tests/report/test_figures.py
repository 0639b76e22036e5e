"""Drawings: safe, in the page's colours, with words for those who do not see them."""

import xml.etree.ElementTree as ElementTree
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.report.figures import best_for_cost, learning_figures, training_figure
from fireact.report.labels import labels
from fireact.report.plot import LINES, Line, Scale, draw
from fireact.stats import Estimate
from fireact.study.types import LearningCurve, TrainingCurve

NAME = "$x_{</text><script>alert(1)</script>"
SVG = "{http://www.w3.org/2000/svg}"


def curve(label: str, last: float = 0.4) -> LearningCurve:
    points = [Estimate(0.2, 0.02, 0.16, 0.24, 100), Estimate(last, 0.03, last - 0.06, last + 0.06, 100)]
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


def test_of_many_learning_curves_the_best_by_final_em_are_drawn():
    (figure,) = learning_figures([curve(f"curve {number}", 0.3 + 0.01 * (number % 7)) for number in range(LINES + 3)])
    assert [label for _, _, label in figure.legend] == [f"curve {number}" for number in range(LINES + 3)
                                                        if number not in (0, 7, 8)]
    assert figure.notes[0] == f"The best {LINES} of {LINES + 3} by final EM are drawn; all are among the numbers."
    assert len(figure.panel.rows) == 2 * (LINES + 3)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 200)), max_size=30))
def test_numbers_beside_points_never_overlap_and_none_is_lost(places):
    found = labels([(x, y, number) for number, (x, y) in enumerate(places, 1)], 250)
    assert sorted(number for label in found for number in label.numbers) == list(range(1, len(places) + 1))
    for one, other in combinations([label.box for label in found], 2):
        assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]
    for label in found:
        assert (label.x, label.y) == places[label.numbers[0] - 1]


def test_points_that_lie_close_together_share_a_label():
    near = labels([(100, 100, 1), (101, 98, 2), (102, 99, 3), (99, 100, 7), (300, 20, 4)], 200)
    assert [(label.text, label.left) for label in near] == [("1–3, 7", False), ("4", True)]  # noqa: RUF001


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
