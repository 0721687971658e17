"""`check` and `hint`: what a learner calls from a notebook."""

import contextlib
import difflib
import itertools
import secrets
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ssdseg_course.checking.case import Case, case_of
from ssdseg_course.checking.exercise import Exercise, Function, call
from ssdseg_course.checking.helpers import blame, note_right
from ssdseg_course.checking.judge import AnswerKey, again, is_told_in_full, judge
from ssdseg_course.checking.probe import Outcome, describe, probe
from ssdseg_course.checking.report import Report, Verdict
from ssdseg_course.checking.time_limit import SECONDS, TimeIsUp, time_limit
from ssdseg_course.exercises import EXERCISES
from ssdseg_course.quiet import import_keras
from ssdseg_course.work.record import note, recall
from ssdseg_course.work.workspace import NotebookError, being_checked, course_root

SEEDS = 10_000
AN_END = "where there is a loop, does every turn bring it nearer to its end?"

LOOK = "look at it: case = check.last()"

hints_given: dict[str, int] = {}
_last: Callable[[], Case] | None = None  # gives the case that the last check told


class CheckFailed(Exception):
    """Raised by `check` for an answer that is not right yet: nbgrader gives no points to a cell that raises.

    Attributes:
        report: what is wrong.
    """

    def __init__(self, report: Report):
        super().__init__(str(report))
        self.report = report

    def _render_traceback_(self) -> list[str]:
        # IPython asks for this instead of a traceback: the report has said it all, and stands right above.
        return [f"CheckFailed: {self.report.exercise_id} is not right yet, see above"]


class _ShownReport(Report):
    """A report that a notebook has displayed already, also where the call that made it is a cell's last line."""

    def _ipython_display_(self) -> None:
        pass


def check(exercise_id: str, function: Function, seed: int | None = None) -> Report:
    """Try a function on fixed and on random cases, and say what is right or the first thing that is wrong.

    A function that does not come to its end is stopped after 40 seconds of work. `check.last()` gives the case that
    the report tells, with what your function gave and what is right.

    Args:
        exercise_id: such as "01.grid_centers".
        function: the learner's function itself, without brackets.
        seed: of the random cases; without one, others are drawn each time.

    Raises:
        CheckFailed: if the answer is not right yet.
        ValueError: if there is no such exercise.
        TypeError: if what came is no function.
    """
    exercise = find_exercise(exercise_id)
    if not callable(function):
        name, kind = exercise.name, type(function).__name__
        raise TypeError(f'write check("{exercise_id}", {name}): the function itself, no brackets; this is a {kind}')
    key = AnswerKey(exercise, draw_seed() if seed is None else seed)
    report, outcomes = examine(exercise, function, key)
    remember(report, outcomes, key)
    if report.case is not None and not is_told_in_full(key.cases[report.case]):
        report = replace(report, messages=(*report.messages, LOOK))
    show(report)
    if not report.passed:
        raise CheckFailed(report) from None
    return _ShownReport(**vars(report)) if _shell() else report


def remember(report: Report, outcomes: list[Outcome] | None, key: AnswerKey) -> None:
    """Keep the case that a report tells, for `last`.

    Args:
        report: of which.
        outcomes: what the function gave; None if it was stopped.
        key: of the exercise and the seed.
    """
    global _last
    number = report.case or 0
    _last = partial(case_of, key, number, outcomes[number]) if outcomes else None


def last() -> Case:
    """The case that the last check told, to be looked at: `case = check.last()`.

    `case.arguments` is what your function was called with, a dict by name: `my_function(**case.arguments)` tries it
    again. `case.yours` is what your function gave, `case.right` what is right. Where all was right, it is the first
    case.

    Raises:
        LookupError: if nothing has been checked yet, or the answer was stopped before it gave anything.
    """
    if _last is None:
        raise LookupError("there is no case to look at: check an answer first")
    return _last()


check.last = last  # type: ignore[attr-defined]  # a learner finds it under the name that the report says


def report_on(exercise: Exercise, function: Function, seed: int) -> Report:
    """What a check says of a function, shown to nobody; one that does not come to its end is stopped.

    Args:
        exercise: what was asked.
        function: the answer.
        seed: of the random cases.
    """
    return examine(exercise, function, AnswerKey(exercise, seed))[0]


def examine(exercise: Exercise, function: Function, key: AnswerKey) -> tuple[Report, list[Outcome] | None]:
    """What a check says of a function, and what the function gave; None if it was stopped.

    Args:
        exercise: what was asked.
        function: the answer.
        key: of the exercise and a seed.
    """
    if exercise.run is not call:
        import_keras()  # takes seconds, and is no work of the learner's
    try:
        with time_limit(SECONDS):
            outcomes = probe(function, key.cases, exercise.run)
    except KeyboardInterrupt as stop:
        return unfinished(exercise, function, stop, key.seed), None
    report = judge(exercise, outcomes, key.seed, key)
    if report.passed:
        note_right(exercise, function, outcomes)
    else:
        with contextlib.suppress(KeyboardInterrupt), time_limit(SECONDS):
            guilty = blame(exercise, function, earlier_exercises(exercise), key)
            report = judge(exercise, outcomes, key.seed, key, guilty) if guilty else report
    return report, outcomes


def earlier_exercises(exercise: Exercise) -> list[Exercise]:
    """Those of the same lesson that come before."""
    lesson = EXERCISES.of_lesson(int(exercise.lesson))
    return list(itertools.takewhile(lambda other: other.id != exercise.id, lesson))


def unfinished(exercise: Exercise, function: Function, stop: KeyboardInterrupt, seed: int) -> Report:
    """The report on an answer that was stopped, by the learner or by the time limit.

    Args:
        exercise: what was asked.
        function: the answer.
        stop: what stopped it.
        seed: of the random cases.
    """
    place = describe(stop, function)
    too_long = isinstance(stop, TimeIsUp)
    messages = (
        str(stop) if too_long else "it was interrupted",
        *([f"in line {place.line_number} of `{place.function}`: {place.line}"] if place.line else []),
        *([] if isinstance(stop, TimeIsUp) and stop.by_clock else [AN_END]),
        again(exercise, seed),
    )
    verdict = Verdict.TOO_LONG if too_long else Verdict.INTERRUPTED
    return Report(exercise.id, False, exercise.points, messages, seed, verdict=verdict)


def hint(exercise_id: str | None = None) -> None:
    """Print the next stronger hint of an exercise; the last one again when all are known.

    Args:
        exercise_id: such as "01.grid_centers".

    Raises:
        ValueError: if there is no such exercise.
    """
    if exercise_id is None:
        print('write hint("01.grid_centers"), with the id of your exercise: it stands in the check below your answer')
        return
    print(next_hint(find_exercise(exercise_id), course_of_the_learner()))


def next_hint(exercise: Exercise, root: Path | None) -> str:
    """The next stronger hint, and which one it is.

    Args:
        exercise: to which.
        root: the course folder, whose record counts the hints given; None to count for this process only.
    """
    noted = recall(root, "hints", exercise.id) if root else None
    given = max(noted if isinstance(noted, int) else 0, hints_given.get(exercise.id, 0))
    number = min(given + 1, len(exercise.hints))
    if not (root and note(root, "hints", exercise.id, number)):
        hints_given[exercise.id] = number
    last = ", the last one" if number == len(exercise.hints) else ""
    return f"hint {number} of {len(exercise.hints)}{last}: {exercise.hints[number - 1]}"


def course_of_the_learner() -> Path | None:
    """The course folder, if this is one of its lessons and a learner is there to read the hint."""
    try:
        root = course_root()
    except NotebookError:
        return None
    return root if Path.cwd().is_relative_to(root / "lessons") and not being_checked() else None


def draw_seed() -> int:
    """A seed for a check, not from a generator that the learner's code may have seeded."""
    return secrets.randbelow(SEEDS)


def find_exercise(exercise_id: str) -> Exercise:
    """The exercise of that id.

    Raises:
        ValueError: if there is none, with the ids that come nearest.
    """
    if exercise_id in EXERCISES:
        return EXERCISES[exercise_id]
    near = difflib.get_close_matches(str(exercise_id), EXERCISES, n=3, cutoff=0.4) or list(EXERCISES)
    raise ValueError(f"there is no exercise {exercise_id!r}; did you mean {' or '.join(near)}?")


def show(report: Report) -> None:
    """Display a report in a notebook; elsewhere print it, unless the error that follows is going to say the same."""
    shell = _shell()
    if shell:
        from IPython.display import display

        display({"text/plain": str(report), "text/html": report._repr_html_()}, raw=True)
    elif report.passed:  # a failed one is the text of the error
        print(report)


def _shell() -> Any:
    """The running IPython, if this is one; not imported where it is not there already."""
    ipython = sys.modules.get("IPython")
    return ipython and ipython.get_ipython()
