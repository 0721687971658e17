"""`mine` takes the learner's own function out of a notebook, and nothing of what stands around it."""

import traceback

import numpy as np
import pytest
from learners import (
    IMPORTING,
    cell_of,
    handed_out,
    insert_behind,
    new_cell,
    place_of,
    right_answers,
    save,
    with_answers,
)

from ssdseg_course import CheckFailed, mine
from ssdseg_course.manifest import find_lesson
from ssdseg_course.work.workspace import NotebookError
from ssdseg_ref import anchors


@pytest.fixture
def hand_in(tmp_path, monkeypatch):
    """Saves lesson 1's notebook, with the working directory in another lesson's folder."""
    other = find_lesson("03").notebook(tmp_path).parent
    other.mkdir(parents=True)
    monkeypatch.chdir(other)
    return lambda notebook: save(notebook, tmp_path)


def solved(**other_answers) -> dict:
    return with_answers(handed_out(), **{**right_answers(), **other_answers})


def test_the_learners_function_comes_with_the_functions_that_it_calls(hand_in):
    hand_in(solved())
    map_anchors = mine("01.map_anchors")
    arguments = (2, 3, 0.2, 0.4, (1.0, 2.0), (160, 224))
    np.testing.assert_allclose(map_anchors(*arguments), anchors.map_anchors(*arguments), rtol=1e-5)


def test_nothing_else_of_the_notebook_is_run(hand_in, monkeypatch, capsys):
    notebook = solved()
    insert_behind(notebook, IMPORTING, new_cell("raise SystemExit('run')"), new_cell("grid = 1 / 0\nprint('run')"))
    hand_in(notebook)
    monkeypatch.setattr("ssdseg_course.explorers.figures.png", None)  # a figure that is drawn would stumble here
    function = mine("01.grid_centers")
    assert {name for name in function.__globals__ if not name.startswith("__")} == {"np", "grid_centers"}
    assert "run" not in capsys.readouterr().out


def test_constants_helpers_and_star_imports_come_along(hand_in):
    notebook = solved(
        coverage=(
            "from numpy import *\n"
            "try:\n    import no_such_module\nexcept ImportError:\n    HALF = 0.25\n"
            "HALF += 0.25\n"
            "best_of = lambda overlaps: overlaps.max(axis=1)\n\n"
            "def share(flags, default=2 * HALF):\n    return float(mean(flags)) if len(flags) else default\n\n"
            "def coverage(anchors, boxes, threshold):\n"
            "    if not len(boxes):\n        return share([])\n"
            "    return share(best_of(pairwise_iou(boxes, anchors)) >= threshold)"
        )
    )
    hand_in(notebook)
    assert mine("01.coverage")(np.zeros((1, 4)), np.zeros((0, 4)), 0.5) == 1.0


def test_of_two_definitions_the_one_counts_that_the_check_sees(hand_in):
    notebook = solved()
    insert_behind(notebook, "check_grid_centers", new_cell("def grid_centers(rows, cols):\n    return 'an experiment'"))
    hand_in(notebook)
    assert len(mine("01.grid_centers")(2, 3)) == 6


USING = """\
def grid_centers(rows, cols):
    y, x = np.mgrid[:rows, :cols] + half(1)
    return np.stack([x / cols, y / rows], axis=-1).reshape(-1, 2)
"""


def test_a_helper_that_stands_below_the_check_comes_along(hand_in):
    notebook = solved(grid_centers=USING)
    insert_behind(notebook, "check_coverage", new_cell("def half(x):\n    return x / 2"))
    hand_in(notebook)
    assert mine("01.grid_centers")(1, 1).tolist() == [[0.5, 0.5]]


def test_modules_and_files_beside_the_notebook_are_found(hand_in):
    notebook = solved(grid_centers=USING)
    insert_behind(
        notebook, IMPORTING, new_cell("from beside_the_lesson import one\n\nHALF = np.loadtxt('half.txt')"),
        new_cell("def half(x):\n    return one * HALF"),
    )  # fmt: skip
    folder = hand_in(notebook).parent
    (folder / "beside_the_lesson.py").write_text("one = 1\n")
    (folder / "half.txt").write_text("0.5")
    assert mine("01.grid_centers")(1, 1).tolist() == [[0.5, 0.5]]


def test_magics_and_broken_cells_do_not_matter(hand_in):
    notebook = solved()
    insert_behind(notebook, IMPORTING, new_cell("%matplotlib inline\n!ls"), new_cell("def ("))
    hand_in(notebook)
    assert len(mine("01.grid_centers")(2, 3)) == 6


def test_an_answer_that_is_not_right_yet_is_told_with_its_notebook(hand_in):
    path = hand_in(solved(grid_centers="def grid_centers(rows, cols):\n    return 0"))
    with pytest.raises(CheckFailed) as caught:
        mine("01.grid_centers")
    lines = str(caught.value).splitlines()
    assert lines[1].strip() == f"your `grid_centers`, taken from {path}, is not right yet:"
    assert "should be an array of shape (6, 2)" in lines[3]


def test_an_answer_that_is_not_written_yet_is_told_so(hand_in):
    hand_in(handed_out())
    with pytest.raises(CheckFailed, match="not written yet"):
        mine("01.grid_centers")


def test_a_traceback_shows_the_line_of_the_cell(hand_in):
    body = "def grid_centers(rows, cols):\n    if rows > 100:\n        return 1 / 0  # here\n"
    notebook = solved(grid_centers=right_answers()["grid_centers"].replace("def grid_centers(rows, cols):\n", body))
    hand_in(notebook)
    function = mine("01.grid_centers")
    with pytest.raises(ZeroDivisionError) as caught:
        function(101, 1)
    text = "".join(traceback.format_exception(caught.value))
    assert "return 1 / 0  # here" in text
    assert f"01_anchors.ipynb, cell {place_of(notebook, 'grid_centers') + 1}" in text


def test_a_notebook_that_is_not_there_is_named(hand_in):
    with pytest.raises(NotebookError, match=r"01_anchors\.ipynb: there is no such notebook"):
        mine("01.grid_centers")


def test_a_function_that_is_not_there_is_named(hand_in):
    notebook = solved()
    notebook["cells"].remove(cell_of(notebook, "grid_centers"))
    hand_in(notebook)
    with pytest.raises(NotebookError, match=r"there is no function `grid_centers` in it.*`ssdseg check 1`"):
        mine("01.grid_centers")


def test_a_definition_that_fails_is_told_with_its_error(hand_in):
    hand_in(solved(grid_centers="grid_centers = 1 / 0"))
    with pytest.raises(NotebookError, match="defining `grid_centers` stopped with ZeroDivisionError"):
        mine("01.grid_centers")


def test_an_unknown_exercise_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean 01\.grid_centers"):
        mine("01.grid_center")
