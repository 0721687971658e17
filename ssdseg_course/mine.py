"""`mine`: the learner's own function from the notebook of an earlier lesson."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from ssdseg_course.check import CheckFailed, draw_seed, find_exercise, report_on, show
from ssdseg_course.checking.exercise import Exercise, Function
from ssdseg_course.checking.report import Report
from ssdseg_course.manifest import LESSONS, find_lesson
from ssdseg_course.sandboxed.definitions import Defined, Source, Statement, define, needed_for, statements
from ssdseg_course.work.record import surroundings
from ssdseg_course.work.workspace import NotebookError, code_cells, course_root, grade_id, read_lesson


def mine(exercise_id: str) -> Function:
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


def take(exercise_id: str) -> tuple[Function, Report]:
    """The learner's own function, right or not, and the report on it, shown to nobody.

    Args:
        exercise_id: such as "02.iou".

    Raises:
        NotebookError: if there is no such notebook, or no such function in it.
        ValueError: if there is no such exercise.
    """
    tried = find(exercise_id).tried()
    report = tried.report
    if not report.passed:
        where = f"your `{tried.function.__name__}`, taken from {tried.notebook}, is not right yet:"
        report = replace(report, messages=(where, *report.messages))
    return tried.function, report


@dataclass(frozen=True)
class Tried:
    """A learner's function, and what a check says of it.

    Attributes:
        function: itself.
        report: on it, as a check gives it.
        notebook: where it stands.
        wider: whether it is made of what stands below its check, too.
    """

    function: Function
    report: Report
    notebook: Path
    wider: bool


@dataclass(frozen=True)
class Written:
    """An answer as it stands in a notebook, nothing of which has been run.

    Attributes:
        exercise: which.
        notebook: where it stands.
        above: the statements above its check that it is made of; what stands below may give names another meaning.
        everywhere: those of the whole notebook, for an answer to which the others are not enough.
        check: place of the cell that checks it, or a place below all others.
        digest: another one as soon as anything changes that a check of it depends on.
    """

    exercise: Exercise
    notebook: Path
    above: tuple[Statement, ...]
    everywhere: tuple[Statement, ...]
    check: int
    digest: str

    def defined(self, wider: bool) -> Defined:
        """The function, made of what stands above its check, or of all that it is made of."""
        module = ModuleType(self.notebook.stem)
        with in_folder(self.notebook.parent):
            if wider:
                return define(self.everywhere, self.exercise.name, module, check=self.check)
            return define(self.above, self.exercise.name, module)

    def tried(self) -> Tried:
        """The function that a check is content with, or else the first that there is.

        Raises:
            NotebookError: if there is none.
        """
        error, first = None, None
        for wider in (False, True) if len(self.everywhere) > len(self.above) else (False,):
            function, problem = self.defined(wider)
            error = error or problem
            if not callable(function):
                continue
            with in_folder(self.notebook.parent):
                tried = Tried(function, report_on(self.exercise, function, draw_seed()), self.notebook, wider)
            if tried.report.passed:
                return tried
            first = first or tried
        if first:
            return first
        if error:
            stopped = f"defining `{self.exercise.name}` stopped with {type(error).__name__}: {error}"
            raise NotebookError(f"{self.notebook}: {stopped}") from error
        raise NotebookError(
            f"{self.notebook}: there is no function `{self.exercise.name}` in it, or its cell cannot be read; "
            f"`ssdseg check {int(self.exercise.id[:2])}` says more"
        )


def find(exercise_id: str) -> Written:
    """The learner's own answer, without running anything of it.

    Args:
        exercise_id: such as "02.iou".

    Raises:
        NotebookError: if there is no such notebook.
        ValueError: if there is no such exercise.
    """
    exercise = find_exercise(exercise_id)
    lesson, root = find_lesson(exercise_id[:2]), course_root()
    path = lesson.notebook(root)
    found, places = _statements(path, _state_of(path))
    check = places.get(f"check_{exercise.name}", sys.maxsize)
    above = needed_for([statement for statement in found if statement.place < check], exercise.name)
    everywhere = needed_for(found, exercise.name)
    made_of = "\n".join(ast.unparse(statement.code) for statement in (*above, *everywhere))
    known_by = f"{made_of} {surroundings(made_of, lesson, root)}"
    digest = hashlib.sha256(known_by.encode(errors="replace")).hexdigest()
    return Written(exercise, path, tuple(above), tuple(everywhere), check, digest)


def _state_of(path: Path) -> tuple[int, int]:
    """Another one when a file was saved."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=len(LESSONS))
def _statements(path: Path, state: tuple[int, int]) -> tuple[list[Statement], dict[str, int]]:
    """All statements of a notebook, read once as long as it is not saved anew; and the places of cells with a name."""
    notebook = read_lesson(find_lesson(str(path)), path.parents[2])
    cells = [Source(place, grade_id(cell), cell["source"]) for place, cell in code_cells(notebook)]
    return statements(cells, path.name), {cell.name: cell.place for cell in cells if cell.name}


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Modules and files that stand beside a notebook are found, as the notebook itself finds them."""
    sys.path.append(str(folder))
    try:
        with chdir(folder):
            yield
    finally:
        sys.path.remove(str(folder))
