"""A course folder of the learner's own: made from the course that is installed, and brought up to its next version.

How each lesson was handed out is kept in `.ssdseg/handed_out`, so that an update sees what the learner has changed.
"""

import hashlib
from pathlib import Path

from ssdseg_course.manifest import LESSONS, ROOT, Lesson, version
from ssdseg_course.words import count
from ssdseg_course.work.backups import back_up
from ssdseg_course.work.carrying import carry_over
from ssdseg_course.work.fresh import KEPT, hand_out, handed_out, keep, kept
from ssdseg_course.work.record import note, recall
from ssdseg_course.work.versions import DAMAGED, Moved, Update, base_of
from ssdseg_course.work.workspace import NotebookError, holds_course, notebook_text, parse_notebook, read_notebook
from ssdseg_ref.keeping import whole_folder, write_whole

CARRIED = "carried"  # kind of a note: what an update was about to write
CONFIG = "nbgrader_config.py"
README = """# The course, and your work

You write into the notebooks in `lessons`. In this folder:

    ssdseg lab 0      # open the tour in JupyterLab; all lessons without a number
    ssdseg check 1    # points, and what to mend first
    ssdseg progress   # all lessons, and what is next
    ssdseg hint 1     # for what is open in lesson 1
    ssdseg --help     # all commands

After a newer version of the course has been installed, `ssdseg update` brings its lessons here, with your answers in
them. What is replaced is kept in `backups`.
"""


def start(folder: Path) -> None:
    """Make a course folder; all of it or nothing.

    Args:
        folder: that is not there yet, or is empty.

    Raises:
        ValueError: if something else is there.
        OSError: if it cannot be written.
    """
    if holds_course(folder):
        raise ValueError(
            f"{folder}: holds a course already; `ssdseg update`, in that folder, brings the lessons of a new version"
        )
    if folder.resolve() == Path.cwd():
        raise ValueError(f"{folder}: is the folder that you are in; name a new one")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: there is something already; name a new folder")
    with whole_folder(folder.resolve()) as draft:
        (draft / KEPT).mkdir(parents=True)
        for lesson in LESSONS:
            hand_out(lesson, draft, handed_out(lesson))
        write_whole(draft / "README.md", README)
        write_whole(draft / CONFIG, (ROOT / CONFIG).read_bytes())


def is_started(root: Path) -> bool:
    """Whether `ssdseg start` has made that course folder: its lessons come from the course that is installed."""
    return (root / KEPT).is_dir()


def update_from_installation(root: Path) -> Update:
    """Bring the lessons of the course that is installed into a folder that `ssdseg start` has made.

    Each lesson is brought by itself, so an update that was stopped goes on with the rest.

    Raises:
        NotebookError: if the installation is damaged.
    """
    moved, new_lessons = [], []
    fresh = {lesson: handed_out(lesson) for lesson in LESSONS}
    changed = [lesson for lesson in LESSONS if kept(lesson.name, root) != fresh[lesson]]
    for lesson in changed:
        if not lesson.notebook(root).exists():
            if kept(lesson.name, root) is None:
                new_lessons.append(lesson.name)
            hand_out(lesson, root, fresh[lesson])
        elif done := _renew(lesson, root, fresh[lesson]):
            moved.append(done)
    news = f"{version()}, with changes in {count(len(changed), 'lesson')}" if changed else ""
    return Update(tuple(moved), news, tuple(new_lessons))


def _renew(lesson: Lesson, root: Path, fresh: str) -> Moved | None:
    """Carry the work in a notebook into the new version of it; None if there is none."""
    path = lesson.notebook(root)
    content = path.read_bytes()
    if content == (kept(lesson.name, root) or "").encode():
        hand_out(lesson, root, fresh)
        return None
    if recall(root, CARRIED, lesson.name) == _stamp(content, fresh):  # an update was stopped behind its last step
        keep(lesson.name, root, fresh)
        return None
    backup = back_up(path, root)
    try:
        old = read_notebook(path)
    except NotebookError:
        hand_out(lesson, root, fresh)
        return Moved(lesson.name, DAMAGED, backup)
    carried = carry_over(old, parse_notebook(fresh, lesson.name), base_of(lesson.name, root))
    text = notebook_text(carried.notebook)
    note(root, CARRIED, lesson.name, _stamp(text.encode(), fresh))
    write_whole(path, text)
    keep(lesson.name, root, fresh)
    return None if carried.is_empty else Moved(lesson.name, str(carried), backup)


def _stamp(content: bytes, fresh: str) -> str:
    """Stands for a notebook that work was carried into, and the version of it."""
    return hashlib.sha256(content + fresh.encode()).hexdigest()
