"""`mine`: the learner's own function from the notebook of an earlier lesson."""

import ast
import linecache
import symtable
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from ssdseg_course.check import CheckFailed, draw_seed, find_exercise, report_on, show
from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.checking.report import Report
from ssdseg_course.manifest import LESSONS
from ssdseg_course.work.workspace import NotebookError, code_cells, course_root, grade_id, read_lesson

# What defines a name. Loops and `with` blocks do as well, but those of a lesson draw its figures.
DEFINITIONS = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.If,
    ast.Try,
)


EVERYTHING = "*"  # what `from numpy import *` defines


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
    definitions = list(_definitions(read_lesson(lesson, root), path, exercise))
    function, error = _define(definitions, exercise.name, path)
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


@dataclass(frozen=True)
class _Definition:
    """A statement that defines names.

    Attributes:
        code: the statement.
        file: what a traceback calls its cell.
        names: that it defines.
        uses: names that it needs, now or when what it defines is called.
    """

    code: ast.stmt
    file: str
    names: frozenset[str]
    uses: frozenset[str]


def _definitions(notebook, path: Path, exercise: Exercise) -> Iterator[_Definition]:
    """All definitions above the exercise's check: what stands below it may give its names another meaning."""
    from IPython.core.inputtransformer2 import TransformerManager  # a learner's cell may hold magics

    for place, cell in code_cells(notebook):
        if grade_id(cell) == f"check_{exercise.name}":
            return
        source = TransformerManager().transform_cell(cell["source"])
        try:
            statements = ast.parse(source).body
        except (SyntaxError, ValueError):
            continue
        file = f"{path.name}, cell {place + 1}"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        for statement in statements:
            if isinstance(statement, DEFINITIONS):
                yield _Definition(statement, file, *_names(statement))


def _names(statement: ast.stmt) -> tuple[frozenset[str], frozenset[str]]:
    """Names that a statement defines, and global names that it uses, also inside of functions."""
    top = symtable.symtable(ast.unparse(statement), "<cell>", "exec")
    defined = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    inner = list(top.get_children())
    while inner:
        table = inner.pop()
        inner += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_global():
                used.add(symbol.get_name())
    if isinstance(statement, ast.ImportFrom) and statement.names[0].name == EVERYTHING:
        defined.add(EVERYTHING)
    return frozenset(defined), frozenset(used)


def _define(definitions: list[_Definition], name: str, path: Path) -> tuple[object, Exception | None]:
    """Run the definitions that a name needs, in the notebook's order, in a module of their own.

    Returns:
        what the name stands for then, None if for nothing; and the first error, which stops as little as in a notebook.
    """
    needed, wanted = {EVERYTHING}, {name}
    while wanted:
        needed |= wanted
        wanted = {used for it in definitions if it.names & needed for used in it.uses} - needed
    module = ModuleType(path.stem)
    first_error = None
    for it in definitions:
        if it.names & needed:
            try:
                exec(compile(ast.Module([it.code], []), it.file, "exec"), vars(module))
            except Exception as error:
                first_error = first_error or error
    return vars(module).get(name), first_error
