"""A learner's work is carried into the notebook of another version of the course, and none of it is lost."""

import copy

import nbformat
import pytest
from learners import EXPERIMENT, cell_of, handed_out, insert_behind, new_cell, place_of, right_answers, with_answers
from nbgrader.utils import compute_checksum

from ssdseg_course.work.carrying import carry_over
from ssdseg_course.work.workspace import grade_id, is_own

ANSWER = right_answers()["grid_centers"]
BEFORE_THE_FIRST_ANSWER = handed_out()["cells"][place_of(handed_out(), "grid_centers") - 1]["id"]


def next_version() -> dict:
    """Lesson 1 with a cell more near the top, another one rewritten, an exercise gone, and all places counted anew."""
    notebook = handed_out()
    cells = notebook["cells"]
    cell_of(notebook, EXPERIMENT)["source"] = "print('another experiment')"
    for name in ("linear_scales", "check_linear_scales"):
        cells.remove(cell_of(notebook, name))
    insert_behind(notebook, notebook["cells"][0]["id"], new_cell("A new introduction.", cell_type="markdown"))
    for place, cell in enumerate(cells):
        if not grade_id(cell):
            cell["id"] = f"cell-{place:03d}"
    stub = cell_of(notebook, "grid_centers")
    stub["source"] = stub["source"].replace("Middles of the cells", "The middles of all cells")
    stub["metadata"]["nbgrader"]["checksum"] = compute_checksum(nbformat.from_dict(stub))
    return notebook


def worked_in() -> dict:
    """Lesson 1 with two answers and two cells of the learner's own."""
    notebook = with_answers(handed_out(), grid_centers=ANSWER, anchor_sizes="anchor_sizes = None  # tomorrow")
    insert_behind(notebook, "grid_centers", new_cell("grid_centers(2, 3)", "aaaa0001"))
    insert_behind(notebook, BEFORE_THE_FIRST_ANSWER, new_cell("Columns become x.", "aaaa0002", "markdown"))
    return notebook


def sources(notebook: dict) -> list[str]:
    return [cell["source"] for cell in notebook["cells"]]


def test_without_any_work_the_new_notebook_is_as_it_is():
    new = next_version()
    carried = carry_over(handed_out(), new, handed_out())
    assert carried.notebook == new
    assert carried.is_empty
    assert str(carried) == ""


@pytest.mark.parametrize("base", [None, handed_out()], ids=["without base", "with base"])
def test_answers_go_into_their_places(base):
    carried = carry_over(worked_in(), next_version(), base)
    assert cell_of(carried.notebook, "grid_centers")["source"] == ANSWER
    assert cell_of(carried.notebook, "anchor_sizes")["source"] == "anchor_sizes = None  # tomorrow"
    assert carried.answers == ("grid_centers", "anchor_sizes")
    assert str(carried) == "2 answers, 2 cells of your own"


def test_everything_else_is_the_new_versions():
    new = next_version()
    carried = carry_over(worked_in(), new, handed_out())
    others = [cell for cell in carried.notebook["cells"] if not is_own(cell)]
    assert [cell["id"] for cell in others] == [cell["id"] for cell in new["cells"]]
    for cell, wanted in zip(others, new["cells"], strict=True):
        if grade_id(cell) not in ("grid_centers", "anchor_sizes"):
            assert cell == wanted


@pytest.mark.parametrize("base", [None, handed_out()], ids=["without base", "with base"])
def test_cells_of_ones_own_stand_behind_the_cell_that_they_stood_behind(base):
    carried = carry_over(worked_in(), next_version(), base).notebook
    place = place_of(carried, "grid_centers")
    assert carried["cells"][place + 1]["source"] == "grid_centers(2, 3)"
    assert carried["cells"][place + 2]["metadata"]["nbgrader"]["grade_id"] == "check_grid_centers"
    assert carried["cells"][place - 1]["source"] == "Columns become x."


def test_a_cell_behind_one_that_is_gone_goes_behind_the_last_that_is_still_there():
    old = handed_out()
    insert_behind(old, "check_linear_scales", new_cell("linear_scales(0.1, 0.5, 3)"))
    carried = carry_over(old, next_version(), handed_out()).notebook
    place = sources(carried).index("linear_scales(0.1, 0.5, 3)")
    before_the_gone = handed_out()["cells"][place_of(handed_out(), "linear_scales") - 1]
    assert carried["cells"][place - 1]["source"] == before_the_gone["source"]


def test_a_cell_above_all_stays_above_all():
    old = handed_out()
    old["cells"].insert(0, new_cell("import os"))
    assert sources(carry_over(old, next_version()).notebook)[0] == "import os"


def test_an_answer_whose_exercise_is_gone_stands_marked_at_the_end():
    answer = right_answers()["linear_scales"]
    carried = carry_over(with_answers(handed_out(), linear_scales=answer), next_version(), handed_out())
    last = carried.notebook["cells"][-1]
    mark = "# Your answer to `linear_scales`, an exercise that this version of the lesson no longer has.\n"
    assert last["source"] == mark + answer
    assert "nbgrader" not in last["metadata"]
    assert carried.gone == ("linear_scales",)


def test_a_cell_of_the_course_that_the_learner_has_changed_stays_changed():
    old = handed_out()
    changed = next(cell for cell in old["cells"] if cell["source"].startswith("explore_anchors("))
    changed["source"] = "explore_anchors(seed=3)"
    carried = carry_over(old, next_version(), handed_out())
    assert "explore_anchors(seed=3)" in sources(carried.notebook)
    assert not any(source.startswith("explore_anchors(seed=SCENE") for source in sources(carried.notebook))
    assert carried.changed == 1


def test_where_the_course_has_changed_it_too_the_learners_version_is_shown_as_text():
    old = handed_out()
    cell_of(old, EXPERIMENT)["source"] = "print('my experiment')"
    carried = carry_over(old, next_version(), handed_out()).notebook
    place = sources(carried).index("print('another experiment')")
    theirs = carried["cells"][place - 1], carried["cells"][place + 1]
    notes = [cell for cell in theirs if "print('my experiment')" in cell["source"]]
    assert [cell["cell_type"] for cell in notes] == ["markdown"]


def test_an_answer_that_is_written_in_the_new_notebook_stays():
    new = with_answers(next_version(), grid_centers="def grid_centers(rows, cols):\n    return 'newer'")
    carried = carry_over(worked_in(), new)
    assert cell_of(carried.notebook, "grid_centers")["source"].endswith("'newer'")
    assert carried.kept == ("grid_centers",)
    assert carried.answers == ("anchor_sizes",)


@pytest.mark.parametrize("base", [None, handed_out()], ids=["without base", "with base"])
def test_carrying_twice_is_carrying_once(base):
    old = with_answers(worked_in(), linear_scales=right_answers()["linear_scales"])
    cell_of(old, EXPERIMENT)["source"] = "print('my experiment')"
    once = carry_over(old, next_version(), base).notebook
    assert carry_over(old, once, base).notebook == once


def test_from_a_version_into_the_same_one_nothing_is_lost():
    old = worked_in()
    cell_of(old, EXPERIMENT)["source"] = "print('my experiment')"
    assert carry_over(old, handed_out(), handed_out()).notebook == old


def test_neither_notebook_is_changed():
    old, new, base = worked_in(), next_version(), handed_out()
    before = copy.deepcopy((old, new, base))
    carry_over(old, new, base)
    assert (old, new, base) == before


def test_of_two_copies_of_an_answer_the_check_sees_the_same_one_as_before():
    old = with_answers(handed_out(), grid_centers="def grid_centers(rows, cols):\n    return 'first try'")
    second = {**copy.deepcopy(cell_of(old, "grid_centers")), "id": "aaaa0001", "source": ANSWER}
    insert_behind(old, "grid_centers", second)
    carried = carry_over(old, next_version(), handed_out()).notebook
    place = place_of(carried, "grid_centers")
    assert carried["cells"][place]["source"] == ANSWER
    assert carried["cells"][place - 1]["source"].endswith("'first try'")
    assert "nbgrader" not in carried["cells"][place - 1]["metadata"]


def test_a_notebook_without_ids_is_carried_too():
    # Older Jupyters and Colab write none.
    old = worked_in()
    for cell in old["cells"]:
        del cell["id"]
    old["nbformat_minor"] = 4
    carried = carry_over(old, next_version(), handed_out())
    assert str(carried) == "2 answers, 2 cells of your own"


def test_what_comes_out_is_a_valid_notebook_with_an_id_of_its_own_for_each_cell():
    old = worked_in()
    old["cells"][-1:] = [{**new_cell("1 + 1"), "id": "cell-001"}, {**new_cell("2 + 2"), "id": "grid_centers"}]
    cell_of(old, EXPERIMENT)["source"] = "print('my experiment')"
    carried = carry_over(old, next_version(), handed_out()).notebook
    nbformat.validate(nbformat.from_dict(carried))
    ids = [cell["id"] for cell in carried["cells"]]
    assert len(set(ids)) == len(ids)
