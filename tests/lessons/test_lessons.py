"""Every lesson of the manifest: its notebooks come from its source, nbgrader can grade them, and they run."""

import re

import nbformat
import pytest
from length import of_length
from nbgrader import utils
from nbgrader.nbgraderformat import MetadataValidator

from ssdseg_course.authoring import check_drift, read_source
from ssdseg_course.challenges import MODULES
from ssdseg_course.exercises import exercises_of
from ssdseg_course.exercises.anchor_choice import LEAST_COVERAGE, MOST_ANCHORS
from ssdseg_course.manifest import LESSONS, find_lesson
from ssdseg_course.prose import minutes_of

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
every_lesson_is_run = pytest.mark.parametrize(
    "lesson", [pytest.param(lesson, marks=of_length(lesson), id=lesson.name) for lesson in LESSONS]
)

WATCHED = (*range(2, 8), 9)  # numbers of lessons in which something learns while one looks at it
PROCESSOR_SECONDS = 180  # about a minute on two quiet cores, with room for what a busy machine adds


def solution_of(lesson):
    return nbformat.read(lesson.solution(), as_version=4)


def prose_of(lesson) -> str:
    return "\n\n".join(cell.source for cell in read_source(lesson).cells if cell.cell_type == "markdown")


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
    exercises = exercises_of(lesson)
    assert graded == {f'check("{exercise.id}", {exercise.name})': exercise.points for exercise in exercises}


@every_lesson
def test_a_lesson_has_five_to_seven_exercises_and_the_tour_one(lesson):
    assert len(exercises_of(lesson)) in ([1] if lesson.number == 0 else range(5, 8))


@every_lesson
def test_the_heading_of_each_exercise_says_what_the_bank_says(lesson):
    headings = [line for line in prose_of(lesson).splitlines() if line.startswith("### Exercise ")]
    for number, (heading, exercise) in enumerate(zip(headings, exercises_of(lesson), strict=True), start=1):
        name, points, difficulty, minutes = heading.removeprefix("### ").split("  ·  ")
        assert name == f"Exercise {lesson.number}.{number} - {exercise.title}"
        assert points == f"{exercise.points} points"
        assert difficulty == exercise.difficulty
        assert minutes == f"about {exercise.minutes} minutes"


@every_lesson
def test_a_lesson_begins_with_its_goals_its_needs_and_its_time(lesson):
    first = solution_of(lesson).cells[0].source
    assert first.startswith(f"# Lesson {lesson.number} - ")
    assert re.findall(r"^\*\*(You will be able to|You need|It takes)\*\* \w", first, re.M) == [
        "You will be able to",
        "You need",
        "It takes",
    ]


@every_lesson
def test_a_lesson_ends_with_the_reference_what_to_remember_the_papers_and_a_challenge(lesson):
    sections = re.findall(r"^## (?:\d+\. )?(.+)$", prose_of(lesson), re.M)
    challenge = ["An open challenge"] if f"{lesson.number:02d}" in MODULES else []
    end = ["Compare with the reference", "To remember", "The papers", *challenge]
    assert sections[-len(end) :] == end


@every_lesson
def test_the_minutes_of_a_lesson_are_those_of_its_exercises_and_of_its_words(lesson):
    exercises = sum(exercise.minutes for exercise in exercises_of(lesson))
    words = len(prose_of(lesson).split()) / 200
    assert exercises + words <= minutes_of(lesson) < exercises + words + 5.1  # the words of {time} count for nothing
    assert minutes_of(lesson) % 5 == 0


def test_the_solution_runs_to_its_end_in_about_a_minute(run, record_property):
    assert [cell.id for cell in run.cells if _failed(cell)] == []
    record_property("seconds", f"{run.seconds:.1f}")
    assert run.seconds < PROCESSOR_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("number", WATCHED)
def test_what_is_watched_while_it_learns_takes_a_minute_of_two_cores_at_most(number, run_fully, record_property):
    learning = run_fully(find_lesson(str(number))).learning
    record_property("seconds", str(learning))
    assert 0 < max(learning) < 2 * 60


@every_lesson_is_run
def test_where_nothing_is_written_only_the_checks_fail(lesson, run_untouched):
    for cell in run_untouched(lesson).cells:
        if _graded(cell):
            assert [output.ename for output in cell.outputs if output.output_type == "error"] == ["CheckFailed"]
            assert "not written yet" in str(cell.outputs)
        else:
            assert not _failed(cell), f"cell {cell.id} has an error or a warning among its outputs"


@every_lesson_is_run
def test_where_nothing_is_written_the_reference_does_not_give_it_away(lesson, run_untouched):
    given_away = [
        (cell.id, exercise.name)
        for cell in run_untouched(lesson).cells
        for exercise in exercises_of(lesson)
        if cell.cell_type == "code" and f"def {exercise.name}(" in str(cell.outputs)
    ]
    assert given_away == []


@every_lesson
def test_a_lesson_is_found_by_number_and_by_name(lesson):
    assert find_lesson(lesson.name) is find_lesson(str(lesson.number)) is find_lesson(f"{lesson.number:02d}") is lesson


def _graded(cell) -> bool:
    return cell.metadata.get("nbgrader", {}).get("grade", False)


def _failed(cell) -> bool:
    return cell.cell_type == "code" and utils.has_failed(cell)


def test_lesson_1_names_the_limits_that_its_last_check_holds_to():
    text = find_lesson("01").source().read_text(encoding="utf-8")
    assert f"at most {MOST_ANCHORS:,} anchors" in text
    assert f"at least {LEAST_COVERAGE:.2f}" in text
