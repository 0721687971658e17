"""`ssdseg challenge`: the learner's answer to an open challenge, measured."""

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Annotated

import typer

from ssdseg_course.cli import console
from ssdseg_course.cli.console import print_plain
from ssdseg_course.cli.learn import course
from ssdseg_course.manifest import find_lesson

if TYPE_CHECKING:
    from pathlib import Path

    from ssdseg_course.challenges.challenge import Challenge
    from ssdseg_course.checking.exercise import Function


def challenge(
    number: Annotated[
        str | None, typer.Argument(metavar="LESSON", help="Number of the lesson: 1 or 01.", show_default=False)
    ] = None,
    task: Annotated[bool, typer.Option("--task", help="Say what is asked for, and measure nothing.")] = False,
) -> None:
    """Measure your answer to the open challenge at the end of a lesson.

    It is taken out of your saved notebook, run on scenes and numbers that
    you have not seen, and shown among your earlier attempts and some known
    marks. No points depend on it. Without LESSON, all challenges are listed.

    \b
    ssdseg challenge
    ssdseg challenge 1 --task
    ssdseg challenge 1
    """
    from ssdseg_course.challenges import MODULES, find_challenge
    from ssdseg_course.challenges.attempts import attempts_at, note_attempt
    from ssdseg_course.challenges.challenge import Refused
    from ssdseg_course.challenges.table import text_table

    if number is None:
        for known in MODULES:
            found = find_challenge(known)
            print_plain(f"{int(known):>2}  {found.title}")
        return
    found, root = find_challenge(number), course()
    attempts = attempts_at(root, found.number)
    if task:
        print_plain(f"{found.task}\n\n{text_table(found, attempts)}")
        return
    if found.needs_tensorflow:
        console.import_keras()
    try:
        with console.output.status(f"measuring {found.name}"), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            score = found.score(_answer(found, root))
    except Refused as refusal:
        raise ValueError(f"no score for challenge {int(found.number)}: {refusal}") from None
    note_attempt(root, found.number, score)
    print_plain(text_table(found, attempts, score))


def _answer(challenge: "Challenge", root: "Path") -> "Function":
    """The learner's function, defined in this process by what it is made of.

    Raises:
        NotebookError: if there is none, or none of the learner's own.
    """
    from types import ModuleType

    from ssdseg_course.challenges.answers import is_untouched, made_of
    from ssdseg_course.checking.time_limit import TimeIsUp, time_limit
    from ssdseg_course.mine import in_folder
    from ssdseg_course.sandboxed.definitions import define
    from ssdseg_course.work.running import release_of
    from ssdseg_course.work.workspace import NotebookError, read_lesson

    lesson = find_lesson(challenge.number)
    path, notebook, release = lesson.notebook(root), read_lesson(lesson, root), release_of(lesson)
    found = made_of(notebook, path.name, challenge)
    if not found:
        raise NotebookError(
            f"{path}: there is no function `{challenge.name}` in it; `ssdseg challenge {lesson.number} --task` says "
            "what is asked for"
        )
    if release and is_untouched(notebook, release, challenge):
        raise NotebookError(
            f"{path}: `{challenge.name}` is still as it was handed out; write your own there, save, and try again"
        )
    try:
        with in_folder(path.parent), time_limit(challenge.seconds):
            function, error = define(found, challenge.name, ModuleType(path.stem))
    except TimeIsUp as stop:
        raise NotebookError(f"{path}: defining `{challenge.name}`: {stop}") from None
    if not callable(function):
        why = f"defining it stopped with {type(error).__name__}: {error}" if error else "it is no function"
        raise NotebookError(f"{path}: `{challenge.name}`: {why}")
    return function
