"""`ssdseg compare`: the learner's functions beside the reference's."""

import contextlib
import copy
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from ssdseg_course.cli import console
from ssdseg_course.cli.console import print_plain
from ssdseg_course.cli.learn import LessonName, course
from ssdseg_course.manifest import find_lesson

if TYPE_CHECKING:
    from ssdseg_course.checking.exercise import Exercise, Function
    from ssdseg_course.work.timing import Timing
    from ssdseg_course.work.workspace import Notebook

WIDE = 120  # characters: from here on two columns of code stand side by side
THEME = "ansi_dark"  # the terminal's own colours
SEED = 0  # of the inputs: the same in every run, or times could not be compared from run to run


def compare(
    lesson: LessonName,
    yes: Annotated[bool, typer.Option("--yes", help="Show the reference of exercises that are not right yet.")] = False,
) -> None:
    """Set your functions of a lesson beside the reference's: the code, the results, and the time that both take.

    Times are processor time: the median of several rounds, yours and the
    reference's in turn, and where the middle half of the rounds lies.

    Where an exercise is not right yet it asks first: the reference gives the answer away.

    \b
    ssdseg compare 1
    ssdseg compare 1 | less    # skips what is not right yet
    """
    from ssdseg_course.exercises import exercises_of
    from ssdseg_course.work.workspace import read_lesson

    found, root = find_lesson(lesson), course()
    notebook = read_lesson(found, root)
    skipped = []
    for exercise in exercises_of(found):
        function, trouble = _take(exercise)
        if trouble and not yes and not _is_shown_all_the_same(exercise):
            skipped.append(exercise.id)
            continue
        console.output.rule(Text(f"{exercise.id}, {exercise.title.lower()}", "bold"))
        model = exercise.model_answer
        _show_both(_own_source(notebook, exercise), inspect.getsource(model).rstrip(), model.__module__)
        print_plain((_beside_the_reference(function, exercise) if function and not trouble else trouble) + "\n")
    if skipped:
        print_plain(f"not right yet, and skipped (--yes shows them): {', '.join(skipped)}")


def _take(exercise: "Exercise") -> tuple["Function | None", str]:
    """The learner's function, and what is wrong with it; "" where it is right."""
    from ssdseg_course.checking.exercise import call
    from ssdseg_course.mine import take
    from ssdseg_course.work.workspace import NotebookError

    if exercise.run is not call and "keras" not in sys.modules:
        console.import_keras()
    try:
        with _what_it_prints_unseen():
            function, report = take(exercise.id)
    except NotebookError as error:
        return None, str(error)
    return function, "" if report.passed else str(report)


def _is_shown_all_the_same(exercise: "Exercise") -> bool:
    return _can_ask() and typer.confirm(f"{exercise.id} is not right yet. See the reference's answer all the same?")


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _show_both(own: str, reference: str, origin: str) -> None:
    heads = Text("yours", "bold"), Text.assemble(("the reference", "bold"), f"  {origin}")
    if not console.output.is_terminal:  # into a file or another program goes the code as it is written
        for head, code in zip(heads, (own, reference), strict=True):
            print_plain(f"{head}\n{code}\n")
        return
    columns = Table.grid(expand=True, padding=(0, 2))
    for _ in range(2 if console.output.width >= WIDE else 1):
        columns.add_column(ratio=1)
    codes = [
        Syntax(code, "python", theme=THEME, background_color="default", word_wrap=True) for code in (own, reference)
    ]
    if console.output.width >= WIDE:
        columns.add_row(*heads)
        columns.add_row(*codes)
    else:
        for part in (heads[0], codes[0], heads[1], codes[1]):
            columns.add_row(part)
    console.output.print(columns)


def _own_source(notebook: "Notebook", exercise: "Exercise") -> str:
    from ssdseg_course.work.workspace import code_cells, grade_id

    sources = [cell["source"] for _, cell in code_cells(notebook) if grade_id(cell) == exercise.name]
    sources += [cell["source"] for _, cell in code_cells(notebook) if f"def {exercise.name}(" in cell["source"]]
    return sources[0] if sources else "# there is no such function in your notebook"


def _beside_the_reference(own: "Function", exercise: "Exercise") -> str:
    """The results of a right answer and of the reference on the same inputs, and the time that both take."""
    from ssdseg_course.checking.values import same, to_plain
    from ssdseg_course.work.timing import in_turn

    cases = exercise.cases(SEED)
    both = own, exercise.reference
    with console.output.status(f"measuring {exercise.name}"), _what_it_prints_unseen():
        agree = all(
            same(*(to_plain(exercise.run(function, copy.deepcopy(case))) for function in both)) for case in cases
        )
        times = in_turn([partial(_through, exercise, function, cases) for function in both])
    inputs = f"all {len(cases)} inputs" if len(cases) > 1 else "the one input"
    results = f"✓ the same results on {inputs}" if agree else "✓ right, with results of your own"
    return f"{results}\n{_times_in_words(*times)}"


@contextlib.contextmanager
def _what_it_prints_unseen() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _through(exercise: "Exercise", function: "Function", cases: Sequence[tuple[Any, ...]]) -> None:
    for arguments in cases:
        exercise.run(function, arguments)


def _times_in_words(own: "Timing", reference: "Timing") -> str:
    times = f"yours takes {own}, the reference {reference}"
    if own.is_like(reference):
        return f"{times}: about the same"
    slower = own.median > reference.median
    ratio = own.median / reference.median if slower else reference.median / own.median
    return f"{times}: {ratio:.2g} times as {'long' if slower else 'fast'}"
