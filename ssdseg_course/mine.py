"""`mine`: the learner's own function from the notebook of an earlier lesson."""

import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from types import ModuleType

from ssdseg_course.check import CheckFailed, draw_seed, find_exercise, report_on, show
from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.checking.report import Report
from ssdseg_course.manifest import LESSONS
from ssdseg_course.sandboxed.definitions import Defined, Source, Statement, define, needed_for, statements
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
    found, check = _statements(read_lesson(lesson, root), exercise, path.name)
    # What stands below the check may give names another meaning, so it counts only where the rest is not enough.
    above = needed_for([it for it in found if it.place < check], exercise.name)
    everywhere = needed_for(found, exercise.name)
    with _in_folder(path.parent):
        defined = define(above, exercise.name, ModuleType(path.stem))
        report = _report_on(exercise, defined)
        if not (report and report.passed) and len(everywhere) > len(above):
            wider = define(everywhere, exercise.name, ModuleType(path.stem), check=check)
            wider_report = _report_on(exercise, wider)
            if wider_report and (wider_report.passed or not report):
                defined, report = wider, wider_report
    if report is None and defined.error:
        problem = f"defining `{exercise.name}` stopped with {type(defined.error).__name__}: {defined.error}"
        raise NotebookError(f"{path}: {problem}") from defined.error
    if report is None:
        raise NotebookError(
            f"{path}: there is no function `{exercise.name}` in it, or its cell cannot be read; "
            f"`ssdseg check {lesson.number}` says more"
        )
    if not report.passed:
        where = f"your `{exercise.name}`, taken from {path}, is not right yet:"
        report = replace(report, messages=(where, *report.messages))
    return defined.function, report


def _statements(notebook: Notebook, exercise: Exercise, name: str) -> tuple[list[Statement], float]:
    """What there is in a notebook, and the place of the cell that checks the exercise."""
    cells = [Source(place, grade_id(cell), cell["source"]) for place, cell in code_cells(notebook)]
    check = next((cell.place for cell in cells if cell.name == f"check_{exercise.name}"), inf)
    return statements(cells, name), check


def _report_on(exercise: Exercise, defined: Defined) -> Report | None:
    return report_on(exercise, defined.function, draw_seed()) if callable(defined.function) else None


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    """Modules and files that stand beside a notebook are found, as the notebook itself finds them."""
    sys.path.append(str(folder))
    try:
        with chdir(folder):
            yield
    finally:
        sys.path.remove(str(folder))
