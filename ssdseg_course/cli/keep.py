"""`ssdseg start`, `reset` and `update`: where the learner's notebooks come from, and no work lost."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssdseg_course.cli import console
from ssdseg_course.cli.console import print_plain
from ssdseg_course.cli.learn import LessonName
from ssdseg_course.cli.networks import must_be_writable
from ssdseg_course.manifest import LESSONS, find_lesson, version

if TYPE_CHECKING:
    from ssdseg_course.work.versions import Update


def start(
    folder: Annotated[Path, typer.Argument(help="The folder to make; it may be there already if it is empty.")],
) -> None:
    """Make a folder with all lessons in it, to work in.

    \b
    ssdseg start my_course
    """
    from ssdseg_course.work.folder import start

    must_be_writable(folder)
    start(folder)
    print_plain(f"{len(LESSONS)} lessons are in {folder}. Go on with:\n\ncd {shlex.quote(str(folder))}\nssdseg lab")


def reset(lesson: LessonName) -> None:
    """Start a lesson afresh. Your notebook is kept, with the date in its name, in the folder `backups`.

    \b
    ssdseg reset 1
    """
    from ssdseg_course.work import versions
    from ssdseg_course.work.workspace import course_root

    found, root = find_lesson(lesson), course_root()
    with console.output.status(f"making a fresh {found.name}"):
        done = versions.reset(found, root)
    print_plain(done)


def update(
    old: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="An older course, your work in which is carried into this one."),
    ] = None,
) -> None:
    """Get the new version of the course, with your work in it.

    In a git clone this fetches the new version. In a folder that `ssdseg start`
    has made it brings the lessons of the version that is installed. Your
    answers, the cells that you have added, and the cells of the course that
    you have changed are carried into the new notebooks; yours are kept as
    well, in `backups`.

    In any other folder: put the new version into a folder of its own, go
    there, and name the old one, which stays as it is.

    \b
    ssdseg update
    ssdseg update --from ../ssdseg-old
    """
    from ssdseg_course.work import folder, versions
    from ssdseg_course.work.workspace import course_root

    root = course_root()
    if old:
        done = versions.update_from_folder(old, root)
        if not done.moved:
            print_plain(f"{old}: there is no work of yours in it")
    elif folder.is_started(root):
        done = folder.update_from_installation(root)
        none = f"These are the lessons of version {version()}, which is installed. Install a newer one first."
        print_plain(f"new version: {done.news}" if done.news else none)
    else:
        with console.output.status("asking git for a new version"):
            done = versions.update_from_git(root)
        print_plain(f"new version: {done.news}" if done.news else "There is no new version.")
    _report(done)


def _report(update: "Update") -> None:
    for moved in update.moved:
        print_plain(f"{moved.lesson}: {moved.what}")
        if moved.backup:
            print_plain(f"    before: {moved.backup}")
    for name in update.new_lessons:
        print_plain(f"new lesson: {name}")
    if update.needs_setup:
        print_plain("The course needs other libraries now: run `make setup`, or `pip install -e .` without make.")
