"""From a lesson's source to its notebooks, tried on a tiny lesson."""

import os

import nbformat
import pytest
from tiny_course import SOURCE, TINY, make_tiny_course

from ssdseg_course import EXERCISES, authoring
from ssdseg_course.authoring import LessonError, build, check_drift, make_learners, read_source
from ssdseg_course.manifest import LESSONS


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A course whose tiny lesson is built; tests leave it as it is."""
    root = make_tiny_course(tmp_path_factory.mktemp("course"))
    build(TINY, root)
    return root


@pytest.fixture
def course(built, tmp_path):
    """The same in a folder of the test's own."""
    for path in (TINY.source, TINY.solution, TINY.notebook):
        path(tmp_path).parent.mkdir(parents=True, exist_ok=True)
        path(tmp_path).write_bytes(path(built).read_bytes())
    return tmp_path


def read(path):
    return nbformat.read(path, as_version=4)


def test_a_second_build_gives_the_same_bytes(built, course):
    build(TINY, course)
    for path in (TINY.solution, TINY.notebook):
        assert path(course).read_bytes() == path(built).read_bytes()


def test_cells_are_called_by_their_grade_id_or_their_place(built):
    ids = ["cell-000", "cell-001", "grid_centers", "check_grid_centers", "linear_scales", "check_linear_scales"]
    assert [cell.id for cell in read(TINY.solution(built)).cells] == ids
    assert [cell.id for cell in read(TINY.notebook(built)).cells] == ids


def test_the_answers_are_in_the_solution_and_never_in_the_lesson(built):
    assert "np.mgrid" in TINY.solution(built).read_text()
    lesson = TINY.notebook(built).read_text()
    assert "np.mgrid" not in lesson
    assert "SOLUTION" not in lesson
    assert lesson.count("raise NotImplementedError") == 2


def test_nothing_but_the_notebook_comes_to_the_learners(built):
    assert [path.name for path in TINY.notebook(built).parent.iterdir()] == ["01_tiny.ipynb"]
    assert sorted(path.name for path in TINY.solution(built).parent.iterdir()) == ["01_tiny.ipynb", "01_tiny.py"]


def test_the_solution_is_executed_and_the_lesson_has_no_outputs(built):
    solution = read(TINY.solution(built))
    assert "✓ 01.grid_centers" in str(solution.cells[3].outputs)
    assert all(cell.outputs == [] for cell in read(TINY.notebook(built)).cells if cell.cell_type == "code")


def test_a_solution_keeps_no_widget_whose_id_is_another_one_in_every_run(built):
    assert "widget" not in TINY.solution(built).read_text().replace("ipywidgets", "")


def test_an_nbgrader_cell_says_only_what_is_special_about_it(built):
    graded = read(TINY.solution(built)).cells[3].metadata.nbgrader
    assert graded.items() >= {"grade": True, "locked": True, "points": 10, "solution": False, "task": False}.items()


def test_fresh_notebooks_have_not_drifted(built):
    assert check_drift(TINY, built) == []


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("+ 0.5", "+ 1 / 2", "cell grid_centers has another source"),
        ('"points": 10', '"points": 11', "cell check_grid_centers has another metadata"),
        ("# # A tiny lesson", "# # A small lesson", "cell cell-000 has another source"),
        ('"grade_id": "linear_scales"', '"grade_id": "scales"', "cell scales is missing"),
    ],
)
def test_a_change_of_the_source_is_found(course, old, new, difference):
    make_tiny_course(course, SOURCE.replace(old, new))
    assert any(difference in found for found in check_drift(TINY, course))


def test_a_change_of_the_lesson_by_hand_is_found(course):
    path = TINY.notebook(course)
    path.write_text(path.read_text().replace("Middles of the cells.", "Middles."))
    assert check_drift(TINY, course) == [f"{path}: cell grid_centers has another source than its source"]


def test_a_lesson_that_was_run_is_found(course):
    path = TINY.notebook(course)
    path.write_text(path.read_text().replace('"execution_count": null', '"execution_count": 1'))
    assert "has it been run?" in check_drift(TINY, course)[0]


def test_a_missing_notebook_is_found(course):
    TINY.notebook(course).unlink()
    assert check_drift(TINY, course) == [f"{TINY.notebook(course)} is missing"]


def test_a_cell_that_fails_is_named_and_nothing_is_written(tmp_path):
    make_tiny_course(tmp_path, SOURCE.replace("x / cols, y / rows", "y / rows, x / cols"))
    with pytest.raises(LessonError, match=r"01_tiny\.py: cell check_grid_centers raises CheckFailed"):
        build(TINY, tmp_path)
    assert not TINY.solution(tmp_path).exists()
    assert not TINY.notebook(tmp_path).exists()


def test_reading_a_source_twice_gives_the_same_notebook(built):
    assert read_source(TINY, built) == read_source(TINY, built)


def test_what_an_exercise_says_of_itself_is_filled_in(tmp_path):
    heading = SOURCE.replace("# # A tiny lesson\n", "# # A tiny lesson\n# ### {01.grid_centers}\n", 1)
    make_tiny_course(tmp_path, heading.replace(', "points": 10', ""))
    first, *_, graded, _, _ = read_source(TINY, tmp_path).cells
    exercise = EXERCISES["01.grid_centers"]
    assert f"### Exercise 1.1 - {exercise.title}  ·  {exercise.points} points" in first.source
    assert graded.metadata.nbgrader["points"] == exercise.points


def test_the_command_line_tells_of_an_unknown_lesson_in_one_sentence(capsys):
    assert authoring.main(["check", "99"]) == 1
    there_are = ", ".join(lesson.name for lesson in LESSONS)
    assert capsys.readouterr().err == f"there is no lesson '99'; there are: {there_are}\n"


def test_a_lesson_that_is_built_leaves_the_environment_of_the_next_one_alone(monkeypatch):
    monkeypatch.delenv("SSDSEG_TRAINING", raising=False)
    make_learners(read_source(LESSONS[1]), LESSONS[1])
    assert "SSDSEG_TRAINING" not in os.environ  # nbgrader_config.py, which has been read, says skip
