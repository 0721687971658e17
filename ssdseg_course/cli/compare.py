"""`ssdseg compare`: the learner's functions beside the reference's."""

import inspect
import sys
import textwrap
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from ssdseg_course.cli import console
from ssdseg_course.cli.learn import LessonName, course, print_plain
from ssdseg_course.manifest import find_lesson

if TYPE_CHECKING:
    from ssdseg_course.checking.exercise import Exercise
    from ssdseg_course.work.running import Result
    from ssdseg_course.work.workspace import Notebook

WIDE = 120  # characters: from here on two columns of code stand side by side
ABOUT_THE_SAME = 1.2  # a ratio of times below this is noise
THEME = "ansi_dark"  # the terminal's own colours


def compare(
    lesson: LessonName,
    yes: Annotated[bool, typer.Option("--yes", help="Show the reference of exercises that are not right yet.")] = False,
) -> None:
    """Set your functions of a lesson beside the reference's: the code, the results, and the time that both take.

    Where an exercise is not right yet it asks first: the reference gives the answer away.

    \b
    ssdseg compare 1
    ssdseg compare 1 | less    # skips what is not right yet
    """
    from ssdseg_course.work.running import State, run_lesson
    from ssdseg_course.work.workspace import read_lesson

    found, root = find_lesson(lesson), course()
    notebook = read_lesson(found, root)
    with console.progress(f"running {found.name}") as update:
        result = run_lesson(found, root, update, measure=True)
    skipped = []
    for it in result.results:
        exercise = it.exercise
        if it.state is not State.PASSED and not yes and not _is_wanted(exercise, it.state):
            skipped.append(exercise.id)
            continue
        console.output.rule(Text(f"{exercise.id}, {exercise.title.lower()}", "bold"))
        _show_both(_own_source(notebook, exercise), *_reference_source(exercise))
        print_plain(_in_words(it) + "\n")
    if skipped:
        print_plain(f"not right yet, and skipped (--yes shows them): {', '.join(skipped)}")


def _is_wanted(exercise: "Exercise", state: str) -> bool:
    return _can_ask() and typer.confirm(f"{exercise.id} is {state}. See the reference's answer all the same?")


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


def _reference_source(exercise: "Exercise") -> tuple[str, str]:
    """The reference as a reader should see it, not as the check calls it; and the module that it comes from."""
    function = exercise.reference
    if not function.__module__.startswith("ssdseg_ref"):
        for value in inspect.getclosurevars(function).globals.values():
            inner = getattr(value, exercise.name, None) if isinstance(value, ModuleType) else value
            if inspect.isfunction(inner) and inner.__name__ == exercise.name:
                function = inner
    return textwrap.dedent(inspect.getsource(function)).rstrip(), function.__module__


def _in_words(result: "Result") -> str:
    from ssdseg_course.work.running import State

    if result.state is not State.PASSED:
        return result.text
    inputs = f"all {result.cases} inputs" if result.cases > 1 else "the one input"
    sentence = f"✓ the same results on {inputs}" if result.agrees else "✓ right, with results of your own"
    if not result.seconds:
        return f"{sentence}; too slow to be measured"
    own, reference = result.seconds
    times = f"yours takes {_duration(own)}, the reference {_duration(reference)}"
    if max(own, reference) < ABOUT_THE_SAME * min(own, reference):
        return f"{sentence}; {times}: about the same"
    ratio = f"{own / reference:.1f} times as long" if own > reference else f"{reference / own:.1f} times as fast"
    return f"{sentence}; {times}: {ratio}"


def _duration(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"
