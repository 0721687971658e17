"""A learner's notebook is run in a process of its own, and no cell in it can cost the others their points."""

import copy

import pytest
from learners import (
    cell_of,
    handed_out,
    insert_behind,
    new_cell,
    place_of,
    right_answers,
    save,
    small,
    with_answers,
)
from sandboxes import why_none
from typer.testing import CliRunner

from ssdseg_course.cli import app
from ssdseg_course.exercises import exercises_of
from ssdseg_course.manifest import find_lesson
from ssdseg_course.work import running
from ssdseg_course.work.results import State
from ssdseg_course.work.running import run_lesson
from ssdseg_course.work.workspace import NotebookError

LESSON = find_lesson("01")
SWALLOWS_INTERRUPTS = """\
def linear_scales(first, last, maps):
    while True:
        try:
            while True:
                pass
        except KeyboardInterrupt:
            pass
"""


def run(notebook, root, **options):
    """Run a notebook; its results by the name of the function, and all of it."""
    path = save(notebook, root)
    before = path.read_bytes()
    result = run_lesson(LESSON, root, **options)
    assert path.read_bytes() == before, "a check has written into the notebook"
    return {one.exercise.name: one for one in result.results}, result


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """The real lesson, all of it, with the right answers, and a cell of the learner's that looks at the course's."""
    steps = []
    notebook = with_answers(handed_out(), **right_answers())
    insert_behind(notebook, "check_grid_centers", new_cell("assert scene.image.shape", "looks-at-the-scene"))
    _, result = run(
        notebook,
        tmp_path_factory.mktemp("solved"),
        progress=lambda *step: steps.append(step),
    )
    return result, steps


def test_the_solved_lesson_gets_all_points_and_runs_to_its_end(solved):
    result, _ = solved
    assert (result.earned, result.points) == (100, 100)
    assert result.stops == ()
    assert result.to_mend is None


def test_progress_is_told_before_the_first_cell_and_up_to_the_last(solved):
    _, steps = solved
    total = steps[0][1]
    assert steps == [(done, total) for done in range(total + 1)]
    assert total >= 2 * len(exercises_of(LESSON))


def test_of_the_courses_own_cells_only_that_is_run_which_the_learners_need():
    """No figure is drawn, no network loaded and no time taken for points."""
    notebook = with_answers(handed_out(), **right_answers())
    insert_behind(notebook, "check_grid_centers", new_cell("print(scene.image.shape)", "looks-at-the-scene"))
    ran = "\n".join(running.shortened(notebook, handed_out()).values())
    assert "import numpy as np" in ran
    assert "scene = " in ran  # for a cell of the learner's needs it
    assert "show(" not in ran
    assert "load_network" not in ran


@pytest.fixture(scope="module")
def clumsy(tmp_path_factory):
    """Half solved, and with every accident that does not end the process."""
    right = right_answers()
    notebook = with_answers(
        small(handed_out()),
        grid_centers=right["grid_centers"],
        anchor_sizes=right["anchor_sizes"].replace("height, width = image_size", "width, height = image_size"),
        map_anchors=right["map_anchors"],
        linear_scales=right["linear_scales"],
        make_anchors="def make_anchors(image_size, feature_maps, scales, aspect_ratios):\n    return np.concat(",
        coverage=right["coverage"],
    )
    cells = notebook["cells"]
    again = {**copy.deepcopy(cell_of(notebook, "check_grid_centers")), "id": "again"}
    cells.insert(place_of(notebook, "grid_centers"), again)  # checked before it is there, and again where it is
    insert_behind(notebook, "cell-imports", new_cell("### A heading", "heading", "markdown"))
    insert_behind(notebook, "heading", new_cell("raise ValueError('a figure\\nthat fails')", "figure"))
    insert_behind(notebook, "figure", new_cell("import sys\nsys.exit(1)", "leaves"))
    insert_behind(notebook, "leaves", new_cell('check("01.grid_centers", lambda rows, cols: 0)', "own-check"))
    insert_behind(notebook, "own-check", new_cell("%no_such_magic", "magic"))
    cells.remove(cell_of(notebook, "check_coverage"))
    cells.remove(cell_of(notebook, "choose_anchors"))
    cells.append(new_cell("print(hint('01.coverage'))", "last"))
    return run(notebook, tmp_path_factory.mktemp("clumsy"))


def test_what_works_gets_its_points_whatever_stands_around_it(clumsy):
    results, result = clumsy
    assert result.earned == 10 + 10 + 15
    for name in ("grid_centers", "linear_scales", "coverage"):
        assert results[name].state is State.PASSED, name


def test_an_exercise_whose_check_is_deleted_is_judged_all_the_same(clumsy):
    assert clumsy[0]["coverage"].state is State.PASSED


def test_a_check_that_stands_there_twice_counts_where_it_passes(clumsy):
    assert clumsy[0]["grid_centers"].state is State.PASSED


def test_a_wrong_answer_is_told_what_the_check_says(clumsy):
    results, result = clumsy
    assert results["anchor_sizes"].state is State.WRONG
    assert "image_size is (height, width)" in results["anchor_sizes"].text
    assert result.to_mend is results["anchor_sizes"]


def test_a_cell_with_a_syntax_error_is_told_so_in_a_line(clumsy):
    answer = clumsy[0]["make_anchors"]
    assert answer.state is State.STOPPED
    assert "its cell stopped: SyntaxError: " in answer.text
    assert answer.text.endswith("(line 2)")


def test_a_function_that_is_not_there_is_named_with_the_way_out(clumsy):
    answer = clumsy[0]["choose_anchors"]
    assert answer.state is State.MISSING
    assert "the notebook has no function `choose_anchors`" in answer.text
    assert "`ssdseg reset 1`" in answer.text


def test_cells_that_stop_are_named_in_a_line_and_failed_checks_are_not_among_them(clumsy):
    stops = clumsy[1].stops
    first = "the cell that begins with `raise ValueError('a figure\\nthat fails')`, under \"A heading\" stopped: "
    assert stops[0] == first + "ValueError: a figure that fails"
    assert "SystemExit: 1" in stops[1]
    assert "UsageError" in stops[2]
    assert "SyntaxError" in stops[3]
    assert len(stops) == 4


@pytest.fixture(scope="module")
def stubborn(tmp_path_factory):
    """With answers that do not end, that cannot be interrupted, and that take the process with them."""
    right = right_answers()
    notebook = with_answers(
        small(handed_out()),
        grid_centers="def grid_centers(rows, cols):\n    while True:\n        pass",
        anchor_sizes=right["anchor_sizes"],
        map_anchors=right["map_anchors"],
        linear_scales=SWALLOWS_INTERRUPTS,
        make_anchors="def make_anchors(*_):\n    import os\n    os._exit(1)",
        coverage=right["coverage"],
    )
    insert_behind(notebook, "cell-imports", new_cell("exit()", "leaves"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "CHECK_SECONDS", 2.0)
        patch.setattr(running, "INTERRUPT_SECONDS", 0.5)
        return run(notebook, tmp_path_factory.mktemp("stubborn"))


def test_an_answer_without_an_end_costs_only_its_own_points(stubborn):
    results, _ = stubborn
    assert results["grid_centers"].state is State.TIMED_OUT
    assert "it did not come to its end within 2 seconds" in results["grid_centers"].text
    assert results["anchor_sizes"].state is State.PASSED


def test_an_answer_that_calls_one_without_an_end_is_told_so_at_once(stubborn):
    assert stubborn[0]["map_anchors"].state is State.WRONG
    assert "your `grid_centers` does not come to an end" in stubborn[0]["map_anchors"].text


def test_an_answer_that_swallows_the_interrupt_is_stopped_all_the_same(stubborn):
    assert stubborn[0]["linear_scales"].state is State.TIMED_OUT


def test_an_answer_that_ends_the_process_costs_only_its_own_points(stubborn):
    results, _ = stubborn
    assert results["make_anchors"].state is State.STOPPED
    assert "it ended the process that runs the notebook" in results["make_anchors"].text
    assert results["coverage"].state is State.PASSED
    assert results["choose_anchors"].state is State.UNWRITTEN


def test_a_cell_that_leaves_is_named(stubborn):
    assert stubborn[1].stops == (
        "the cell that begins with `exit()` stopped: it ended the process that runs the notebook",
    )


def test_a_cell_that_takes_too_long_is_stopped_and_the_rest_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "CELL_SECONDS", 2.0)
    notebook = with_answers(small(handed_out()), linear_scales=right_answers()["linear_scales"])
    insert_behind(notebook, "cell-imports", new_cell("import time\ntime.sleep(60)", "sleeps"))
    results, result = run(notebook, tmp_path)
    assert results["linear_scales"].state is State.PASSED
    assert result.stops == ("the cell that begins with `import time` stopped: it took longer than 2 seconds",)


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        ("", "the file is empty"),
        ("{", "the file is damaged, it is not a notebook"),
        ("[1, 2]", "the file is not a notebook"),
        (b"\x80\xff\x00", "the file is damaged"),
        (
            '{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3, "metadata": {}}]}',
            "the file is not a notebook",
        ),
    ],
)
def test_a_file_that_is_no_notebook_is_named_with_the_way_out(tmp_path, content, trouble):
    path = save(handed_out(), tmp_path)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NotebookError, match=rf"01_anchors\.ipynb: {trouble}.*; `ssdseg reset 1` writes a fresh one"):
        run_lesson(LESSON, tmp_path)


USING_A_HELPER = (
    "def linear_scales(first, last, maps):\n    step = 2 * half((last - first) / (maps - 1))\n"
    "    return [first + step * k for k in range(maps + 1)]\n"
)
HALF = "def half(x):\n    return x / 2\n"


@pytest.mark.parametrize(
    ("code", "behind", "files", "state", "words"),
    [
        ("from helper import half", "cell-imports", {"helper.py": HALF}, State.PASSED, "right in all"),
        (HALF, "check_coverage", {}, State.PASSED, "grading finds it right; run from its first cell to its last"),
        (f"import os\n\nSEEN = os.path.exists('/course')\n\n\n{HALF.replace('2', '(0 if SEEN else 2)')}",
         "cell-imports", {}, State.LOST, "it is right here, and would be lost when it is graded"),
    ],
    ids=["beside", "below", "elsewhere"],
)  # fmt: skip
def test_check_agrees_with_grading_and_says_what_would_be_lost(code, behind, files, state, words, tmp_path):
    notebook = with_answers(small(handed_out()), linear_scales=USING_A_HELPER)
    insert_behind(notebook, behind, new_cell(code))
    for name, text in files.items():
        path = LESSON.notebook(tmp_path).with_name(name)
        path.parent.mkdir(parents=True)
        path.write_text(text)
    if state is State.LOST and why_none():
        pytest.skip(why_none())
    results, result = run(notebook, tmp_path)
    answer = results["linear_scales"]
    assert (answer.state, words in answer.text) == (state, True), answer.text
    assert answer.earned == (answer.exercise.points if state is State.PASSED else 0)
    assert ("hand in helper.py with it" in " ".join(result.notes)) == bool(files)


def test_one_exercise_alone_is_checked_as_grading_will(tmp_path, monkeypatch):
    notebook = with_answers(small(handed_out()), linear_scales=USING_A_HELPER)
    insert_behind(notebook, "cell-imports", new_cell("globals().update(half=lambda x: x / 2)"))
    save(notebook, tmp_path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["check", "01.linear_scales"])
    assert (result.exit_code, "grading finds it right" in result.output) == (0, True), result.output


def test_where_grading_cannot_differ_the_answers_are_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("ssdseg_course.grading.rehearsal.rehearse", None)  # calling it would stop here
    notebook = with_answers(handed_out(), linear_scales=right_answers()["linear_scales"])
    results, _ = run(notebook, tmp_path)
    assert results["linear_scales"].state is State.PASSED


def test_a_follower_of_a_wrong_answer_is_told_that_grading_gives_its_points(clumsy):
    assert clumsy[0]["map_anchors"].state is State.WRONG
    assert "grading gives its points all the same" in clumsy[0]["map_anchors"].text
