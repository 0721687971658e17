"""Every lesson of the manifest: its notebooks come from its source, and nbgrader can grade them."""

import nbformat
import pytest
from nbgrader import utils
from nbgrader.nbgraderformat import MetadataValidator

from ssdseg_course import EXERCISES
from ssdseg_course.authoring import check_drift
from ssdseg_course.exercises.anchor_choice import LEAST_COVERAGE, MOST_ANCHORS
from ssdseg_course.manifest import LESSONS, find_lesson

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)


def solution_of(lesson):
    return nbformat.read(lesson.solution(), as_version=4)


@every_lesson
def test_the_notebooks_have_not_drifted_from_their_source(lesson):
    assert check_drift(lesson) == [], "run `make lessons`"


@every_lesson
def test_the_solution_ran_to_its_end_without_an_error(lesson):
    cells = [cell for cell in solution_of(lesson).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    for cell in cells:
        assert not utils.has_failed(cell), f"cell {cell.id} has an error or a warning among its outputs"


@every_lesson
def test_nbgrader_accepts_the_cells(lesson):
    for path in (lesson.solution(), lesson.notebook()):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        MetadataValidator().validate_nb(notebook)
        grade_ids = [cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata]
        assert len(set(grade_ids)) == len(grade_ids)


@every_lesson
def test_each_exercise_is_checked_once_for_its_points(lesson):
    graded = {cell.source.strip(): cell.metadata.nbgrader.points for cell in solution_of(lesson).cells if _graded(cell)}
    exercises = [exercise for exercise in EXERCISES.values() if exercise.id.startswith(f"{lesson.number:02d}.")]
    assert graded == {f'check("{exercise.id}", {exercise.name})': exercise.points for exercise in exercises}
    assert sum(graded.values()) == 100


@every_lesson
def test_the_heading_of_each_exercise_says_what_the_bank_says(lesson):
    prose = "\n".join(cell.source for cell in solution_of(lesson).cells if cell.cell_type == "markdown")
    for number, exercise in enumerate(
        (exercise for exercise in EXERCISES.values() if exercise.id.startswith(f"{lesson.number:02d}.")), start=1
    ):
        heading = next(
            line for line in prose.splitlines() if line.startswith(f"### Exercise {lesson.number}.{number} ")
        )
        assert exercise.title.lower() in heading.lower()
        assert f"{exercise.points} points" in heading
        assert exercise.difficulty in heading
        assert f"about {exercise.minutes} minutes" in heading


@every_lesson
def test_a_lesson_is_found_by_number_and_by_name(lesson):
    assert find_lesson(lesson.name) is find_lesson(str(lesson.number)) is find_lesson(f"{lesson.number:02d}") is lesson


def _graded(cell) -> bool:
    return cell.metadata.get("nbgrader", {}).get("grade", False)


def test_lesson_1_names_the_limits_that_its_last_check_holds_to():
    text = find_lesson("01").source().read_text(encoding="utf-8")
    assert f"at most {MOST_ANCHORS:,} anchors" in text
    assert f"at least {LEAST_COVERAGE:.2f}" in text
