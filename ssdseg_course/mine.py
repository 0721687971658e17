"""`mine`: the learner's own function from the notebook of an earlier lesson."""

from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from types import ModuleType

from ssdseg_course.check import CheckFailed, draw_seed, find_exercise, report_on, show
from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.checking.report import Report
from ssdseg_course.manifest import LESSONS
from ssdseg_course.sandboxed.definitions import Source, define, needed_for, statements
from ssdseg_course.work.workspace import Notebook, NotebookError, code_cells, course_root, grade_id, read_lesson


def mine(exercise_id: str) -> Callable:
    """Your own function from another lesson's notebook: checked first, and ready to be called.

    Only the function is taken, and what it uses: imports, constants, other functions of that notebook. Save the
    notebook before; it need not be open.

    Args:
        exercise_id: such as "02.iou".

    Raises:
        CheckFailed: if it is not right yet, with the report.
        NotebookError: if there is no such notebook, or no such function in it.
        ValueError: if there is no such exercise.
    """
    function, report = take(exercise_id)
    if not report.passed:
        show(report)
        raise CheckFailed(report)
    return function


def take(exercise_id: str) -> tuple[Callable, Report]:
    """The learner's own function, right or not, and the report on it, shown to nobody.

    Args:
        exercise_id: such as "02.iou".

    Raises:
        NotebookError: if there is no such notebook, or no such function in it.
        ValueError: if there is no such exercise.
    """
    exercise = find_exercise(exercise_id)
    lesson = next(lesson for lesson in LESSONS if exercise_id.startswith(f"{lesson.number:02d}."))
    root = course_root()
    path = lesson.notebook(root)
    cells = _above_the_check(read_lesson(lesson, root), exercise)
    function, error = define(
        needed_for(statements(cells, path.name), exercise.name), exercise.name, ModuleType(path.stem)
    )
    if error and not callable(function):
        problem = f"defining `{exercise.name}` stopped with {type(error).__name__}: {error}"
        raise NotebookError(f"{path}: {problem}") from error
    if not callable(function):
        raise NotebookError(
            f"{path}: there is no function `{exercise.name}` in it, or its cell cannot be read; "
            f"`ssdseg check {lesson.number}` says more"
        )
    report = report_on(exercise, function, draw_seed())
    if not report.passed:
        where = f"your `{exercise.name}`, taken from {path}, is not right yet:"
        report = replace(report, messages=(where, *report.messages))
    return function, report


def _above_the_check(notebook: Notebook, exercise: Exercise) -> list[Source]:
    """The cells of code above the exercise's check: what stands below it may give its names another meaning."""
    cells = [Source(place, grade_id(cell), cell["source"]) for place, cell in code_cells(notebook)]
    return list(takewhile(lambda cell: cell.name != f"check_{exercise.name}", cells))
