"""`ssdseg lab`, `check`, `progress` and `hint`: what a learner uses every evening."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ssdseg_course.cli import console
from ssdseg_course.cli.console import print_plain
from ssdseg_course.manifest import LESSONS, Lesson, find_lesson

if TYPE_CHECKING:
    from ssdseg_course.checking.exercise import Exercise
    from ssdseg_course.work.results import LessonResult

WATCH_SECONDS = 0.3  # between two looks at the files
BAR_WIDTH = 20  # characters
SIGNS = {
    "passed": ("✓", "green"),
    "not right yet": ("✗", "red"),
    "not written yet": ("-", "dim"),
    "stopped": ("!", "red"),
    "took too long": ("!", "red"),
    "missing": ("?", "red"),
    "lost when graded": ("!", "red"),
}

LAST = LESSONS[-1]

LessonName = Annotated[str, typer.Argument(metavar="LESSON", help="Number or name: 1, 01 or 01_anchors.")]
OptionalLesson = Annotated[
    str | None, typer.Argument(metavar="LESSON", help="Number or name: 1, 01 or 01_anchors.", show_default=False)
]


def course() -> Path:
    """The course folder that the command is for; says so if an update was interrupted there."""
    from ssdseg_course.work.versions import has_interrupted
    from ssdseg_course.work.workspace import course_root

    root = course_root()
    if has_interrupted(root):
        console.errors.print("An update was interrupted. `ssdseg update` puts your answers back in their places.")
    return root


def lab(lesson: OptionalLesson = None) -> None:
    """Open a lesson in JupyterLab, or the folder of all lessons; Ctrl-C stops it.

    \b
    ssdseg lab        # all lessons
    ssdseg lab 1      # lesson 1
    """
    from ssdseg_course.work.workspace import read_lesson

    root = course()
    folder = root / "lessons"
    target = folder
    if lesson:
        found = find_lesson(lesson)
        read_lesson(found, root)  # or say now what is wrong with it
        target = found.notebook(root)
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}", str(target)]
    jupyter = subprocess.Popen(command, cwd=root)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Jupyter gets Ctrl-C as well, and asks whether it is meant
    raise typer.Exit(jupyter.wait())


def check(
    lesson: Annotated[
        str | None,
        typer.Argument(
            metavar="LESSON",
            help="Number or name: 1, 01 or 01_anchors; or one exercise: 1.6 or 01.coverage.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Check again at every save, until Ctrl-C.")] = False,
) -> None:
    """Check your saved notebook in a fresh process: points, and what to mend first.

    The notebook itself is not changed. Without LESSON, all lessons that you
    have begun are checked. A cell that fails costs nothing but itself. The
    exit status is 0 if you have all the points, and 1 if not.

    \b
    ssdseg check              # all that you have begun
    ssdseg check 1            # lesson 1
    ssdseg check 01.coverage  # one exercise alone, at once
    ssdseg check 1 --watch    # again whenever you save it
    """
    root = course()
    if lesson and re.match(r"\d+\.(?!ipynb)", lesson):
        if watch:
            raise ValueError(
                f"--watch is for whole lessons: ssdseg check {lesson.split('.')[0].lstrip('0') or '0'} --watch"
            )
        raise typer.Exit(0 if _check_one(_exercise_named(lesson)) else 1)
    lessons = [find_lesson(lesson)] if lesson else _begun(root)
    if watch:
        _watch(lessons if lesson else list(LESSONS), root, lessons)
        return
    if not lessons:
        console.output.print("You have not begun a lesson yet: `ssdseg lab` opens them.")
        raise typer.Exit(1)
    all_right = [_check_and_show(found, root, alone=bool(lesson)) for found in lessons]
    raise typer.Exit(0 if all(all_right) else 1)


def _check_one(exercise: "Exercise") -> bool:
    """Check one exercise, out of the saved notebook, and print its report."""
    from ssdseg_course.checking.exercise import call
    from ssdseg_course.checking.report import Verdict
    from ssdseg_course.mine import take
    from ssdseg_course.work.results import LessonResult, Result, State
    from ssdseg_course.work.running import as_graded, release_of

    if exercise.run is not call:
        console.import_keras()
    _, report = take(exercise.id)
    found = Result(exercise, State.PASSED if report.passed else State.WRONG, str(report))
    if report.verdict is not Verdict.UNWRITTEN:
        lesson = find_lesson(exercise.id.split(".")[0])
        graded = as_graded(lesson, course(), release_of(lesson), LessonResult((found,), ()))
        found = graded.results[0]
    print_plain(found.text)
    return found.state is State.PASSED


def progress() -> None:
    """Show all lessons: your points, and what is next.

    Lessons 0 to 3 are checked now, if they have changed since their last
    check; for the others, whose checks take longer, the result of the last
    check is shown.
    """
    from ssdseg_course.prose import minutes_of
    from ssdseg_course.work.results import State
    from ssdseg_course.work.workspace import LessonMissingError, NotebookError

    root = course()
    table = Table("", "lesson", title="your course")
    for heading in ("minutes", "points"):
        table.add_column(heading, justify="right")
    table.add_column("")
    troubles, open_ones = [], []
    earned = points = 0
    for lesson in LESSONS:
        about = str(lesson.number), lesson.title, str(minutes_of(lesson))
        try:
            result, remark = _standing(lesson, root)
        except LessonMissingError:
            table.add_row(*about, "", "not here yet", style="dim")
            continue
        except NotebookError as error:
            troubles.append(str(error))
            table.add_row(*about, "?", "cannot be read")
            continue
        troubles += [remark] if remark else []
        earned, points = earned + result.earned, points + result.points
        open_ones += [(lesson, one.exercise) for one in result.results if one.state is not State.PASSED]
        bar = ProgressBar(max(result.points, 1), result.earned, width=BAR_WIDTH)
        table.add_row(*about, f"{result.earned} of {result.points}", bar)
    table.add_section()
    table.add_row("", "together", "", f"{earned} of {points}", "")
    console.output.print(table)
    for trouble in troubles:
        print_plain(trouble)
    if open_ones:
        lesson, exercise = open_ones[0]
        print_plain(
            f"next: {exercise.id}, {exercise.title.lower()} (about {exercise.minutes} minutes): "
            f"`ssdseg lab {lesson.number}`"
        )
    elif not troubles:
        print_plain("All done.")


def hint(
    exercise: Annotated[
        str,
        typer.Argument(
            metavar="EXERCISE",
            help="Its id or its number; or a lesson, for the first of its exercises that is not right yet.",
        ),
    ],
) -> None:
    """Give the next stronger hint; `hint()` in the notebook continues from here.

    \b
    ssdseg hint 01.grid_centers
    ssdseg hint 1.1               # the same
    ssdseg hint 1                 # for what is open in lesson 1
    """
    from ssdseg_course.check import next_hint

    root = course()
    found = _find_exercise(exercise, root)
    console.output.print(f"{found.id}, {found.title.lower()}", markup=False, highlight=False, style="bold")
    print_plain(next_hint(found, root))


def _find_exercise(name: str, root: Path) -> "Exercise":
    """The exercise of that id or number; or the first of a lesson that is not right yet."""
    if re.fullmatch(r"\d+(_\w+)?", name):
        from ssdseg_course.work.results import State

        lesson = find_lesson(name)
        standing, _ = _standing(lesson, root)
        for result in standing.results:
            if result.state is not State.PASSED:
                return result.exercise
        raise ValueError(f"all exercises of lesson {lesson.number} are right: name the one that you mean")
    return _exercise_named(name)


def _exercise_named(name: str) -> "Exercise":
    """The exercise of that id, "01.grid_centers", or number, "1.1"."""
    from ssdseg_course.check import find_exercise
    from ssdseg_course.exercises import exercises_of

    if number := re.fullmatch(r"(\d+)\.(\d+)", name):
        lesson = find_lesson(number[1])
        exercises = exercises_of(lesson)
        if not 1 <= int(number[2]) <= len(exercises):
            raise ValueError(
                f"lesson {lesson.number} has the exercises {lesson.number}.1 to {lesson.number}.{len(exercises)}"
            )
        return exercises[int(number[2]) - 1]
    return find_exercise(name)


def _begun(root: Path) -> list[Lesson]:
    """Lessons that the learner has worked in, or with something wrong that needs saying."""
    from ssdseg_course.work.workspace import NotebookError, has_work, read_lesson

    begun = []
    for lesson in LESSONS:
        if lesson.notebook(root).exists():
            try:
                if has_work(read_lesson(lesson, root)):
                    begun.append(lesson)
            except NotebookError:
                begun.append(lesson)
    return begun


def _standing(lesson: Lesson, root: Path) -> tuple["LessonResult", str]:
    """Where the learner stands, found out within seconds; and a remark, where that may be out of date."""
    from ssdseg_course.checking.exercise import call
    from ssdseg_course.exercises import exercises_of
    from ssdseg_course.work.results import LessonResult, Result, State
    from ssdseg_course.work.standing import check_now, known_result, last_result
    from ssdseg_course.work.workspace import has_work, read_lesson

    notebook = read_lesson(lesson, root)
    exercises = exercises_of(lesson)
    nothing = LessonResult(tuple(Result(exercise, State.UNWRITTEN, "") for exercise in exercises), ())
    if not has_work(notebook):
        return nothing, ""
    if known := known_result(lesson, root):
        return known, ""
    if all(exercise.run is call for exercise in exercises):
        with console.progress(f"checking {lesson.name}") as update:
            return check_now(lesson, root, update), ""
    last = last_result(lesson, root)
    since = "has changed since its last check" if last else "has not been checked yet"
    return last or nothing, f"lesson {lesson.number} {since}: `ssdseg check {lesson.number}`"


def _check_and_show(lesson: Lesson, root: Path, alone: bool) -> bool:
    """Check a lesson and print what came of it; whether all is right.

    Raises:
        NotebookError: if it is the only one and cannot be read; of several, such a one is only named.
    """
    from ssdseg_course.work.standing import check_now
    from ssdseg_course.work.workspace import NotebookError

    try:
        with console.progress(f"checking {lesson.name}") as update:
            result = check_now(lesson, root, update)
    except NotebookError as error:
        if alone:
            raise
        print_plain(str(error), console.errors)
        return False
    _show(lesson, result)
    return result.earned == result.points


def _show(lesson: Lesson, result: "LessonResult") -> None:
    from ssdseg_course.work.results import State

    table = Table(title=f"lesson {lesson.number}: {lesson.title}")
    table.add_column("exercise", no_wrap=True)
    table.add_column("")
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for one in result.results:
        sign, style = SIGNS[one.state]
        points = f"{one.earned} of {one.exercise.points}"
        table.add_row(one.exercise.id, one.exercise.title, points, Text(f"{sign} {one.state}", style))
    table.add_section()
    table.add_row("together", "", f"{result.earned} of {result.points}", "", style="bold")
    console.output.print(table)
    if result.to_mend:
        is_wrong = result.to_mend.state is not State.UNWRITTEN
        console.output.print("\nThe first thing to mend:" if is_wrong else "\nNext:", style="bold")
        print_plain(result.to_mend.text)
    else:
        print_plain(f"\n{_what_comes_after(lesson)}")
    for note in result.notes:
        print_plain(f"\n{note}")
    if result.stops:
        more = f" So did {len(result.stops) - 1} more." if len(result.stops) > 1 else ""
        console.output.print("\nThe notebook does not run to its end:", style="bold")
        print_plain(f"{result.stops[0]}.{more}")


def _what_comes_after(lesson: Lesson) -> str:
    """What to do once a lesson has all its points."""
    from ssdseg_course.prose import minutes_of

    if lesson == LAST:
        return (
            "All of it is right, and this was the last lesson: `ssdseg assemble` builds the network out of your own "
            "functions."
        )
    after = LESSONS[LESSONS.index(lesson) + 1]
    return (
        f"All of it is right. Next: lesson {after.number}, {after.title} (about {minutes_of(after)} minutes): "
        f"`ssdseg lab {after.number}`"
    )


def _watch(lessons: list[Lesson], root: Path, at_once: list[Lesson]) -> None:
    """Check lessons whenever their code has been saved, until Ctrl-C.

    Looking at the files now and then is enough, needs no library, and works on a network drive, which reports no
    changes. Saved outputs alone are no reason to check again.
    """
    from ssdseg_course.work.workspace import NotebookError, code_cells, read_lesson

    waiting = "waiting for you to save; Ctrl-C ends this"
    if not at_once:
        print_plain(waiting)
    stamps: dict[Lesson, str | None] = {}
    checked: dict[Lesson, object] = {}
    try:
        while True:
            for lesson in lessons:
                stamp = _stamp(lesson.notebook(root))
                if stamp == stamps.get(lesson, ""):
                    continue
                first = lesson not in stamps
                stamps[lesson] = stamp
                code: object
                try:
                    code = [cell["source"] for _, cell in code_cells(read_lesson(lesson, root))]
                except NotebookError:
                    code = stamp
                is_new = code != checked.get(lesson)
                checked[lesson] = code
                if is_new and (lesson in at_once or not first):
                    if console.output.is_terminal:
                        console.output.clear()
                    _check_and_show(lesson, root, alone=False)
                    print_plain(f"\n{time.strftime('%H:%M:%S')}, {waiting}")
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return


def _stamp(path: Path) -> str | None:
    """Another value after every save."""
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{status.st_mtime_ns} {status.st_size} {status.st_ino}"
