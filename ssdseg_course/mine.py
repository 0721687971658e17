"""`mine`: the learner's own function from the notebook of an earlier lesson."""

import ast
import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from ssdseg_course.check import CheckFailed, draw_seed, find_exercise, report_on, show
from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.checking.report import Report
from ssdseg_course.manifest import LESSONS, find_lesson
from ssdseg_course.sandboxed.definitions import Source, Statement, define, needed_for, statements
from ssdseg_course.work.record import surroundings
from ssdseg_course.work.workspace import NotebookError, code_cells, course_root, grade_id, read_lesson


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
    own = find(exercise_id)
    report = report_on(find_exercise(exercise_id), own.function, draw_seed())
    if not report.passed:
        where = f"your `{own.function.__name__}`, taken from {own.notebook}, is not right yet:"
        report = replace(report, messages=(where, *report.messages))
    return own.function, report


class Own(NamedTuple):
    """A learner's function, as it stands in a notebook.

    Attributes:
        function: itself, not checked.
        notebook: where it stands.
        digest: another one as soon as anything changes that a check of it depends on.
    """

    function: Callable
    notebook: Path
    digest: str


def find(exercise_id: str) -> Own:
    """The learner's own function, right or not.

    Args:
        exercise_id: such as "02.iou".

    Raises:
        NotebookError: if there is no such notebook, or no such function in it.
        ValueError: if there is no such exercise.
    """
    exercise = find_exercise(exercise_id)
    lesson = next(lesson for lesson in LESSONS if exercise_id.startswith(f"{lesson.number:02d}."))
    path = lesson.notebook(course_root())
    needed = needed_for(_above_the_check(path, _state_of(path), exercise), exercise.name)
    function, error = define(needed, exercise.name, ModuleType(path.stem))
    if error and not callable(function):
        problem = f"defining `{exercise.name}` stopped with {type(error).__name__}: {error}"
        raise NotebookError(f"{path}: {problem}") from error
    if not callable(function):
        raise NotebookError(
            f"{path}: there is no function `{exercise.name}` in it, or its cell cannot be read; "
            f"`ssdseg check {lesson.number}` says more"
        )
    made_of = "\n".join(ast.unparse(it.code) for it in needed)
    known_by = f"{made_of} {surroundings(made_of, lesson, course_root())}"
    return Own(function, path, hashlib.sha256(known_by.encode()).hexdigest())


def _state_of(path: Path) -> tuple[int, int]:
    """Another one when a file was saved."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=len(LESSONS))
def _statements(path: Path, state: tuple[int, int]) -> tuple[list[Statement], dict[str, int]]:
    """All statements of a notebook, read once as long as it is not saved anew; and the places of its checks."""
    lesson = find_lesson(str(path))
    cells = [
        Source(place, grade_id(cell), cell["source"])
        for place, cell in code_cells(read_lesson(lesson, path.parents[2]))
    ]
    return statements(cells, path.name), {cell.name: cell.place for cell in cells if cell.name}


def _above_the_check(path: Path, state: tuple[int, int], exercise: Exercise) -> list[Statement]:
    """The statements above the exercise's check: what stands below it may give its names another meaning."""
    found, places = _statements(path, state)
    check = places.get(f"check_{exercise.name}")
    return [it for it in found if check is None or it.place < check]
