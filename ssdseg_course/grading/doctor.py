"""Looks after a learner's notebook before it is handed in, as grading will."""

from dataclasses import dataclass
from pathlib import Path

from ssdseg_course.grading.plain_files import read_plain
from ssdseg_course.grading.recognition import lesson_of
from ssdseg_course.grading.rehearsal import try_out
from ssdseg_course.grading.repair import repair
from ssdseg_course.manifest import ROOT, Lesson
from ssdseg_course.work.backups import back_up
from ssdseg_course.work.fresh import handed_out
from ssdseg_course.work.workspace import (
    Notebook,
    NotebookError,
    course_root,
    grade_id,
    is_answer,
    is_written,
    notebook_text,
    parse_notebook,
)
from ssdseg_ref.keeping import write_whole


@dataclass(frozen=True)
class Examined:
    """What was found in a notebook.

    Attributes:
        notebook: mended.
        remarks: what had to be mended, a sentence each; none if the file is in order.
        lost: what would be said of the written answers that would get no points, in full; none if all of them would.
        notes: what else to know before it is handed in.
        written: how many answers are no longer the stubs that were handed out.
        answers: how many there are.
    """

    notebook: Notebook
    remarks: tuple[str, ...]
    lost: tuple[str, ...]
    notes: tuple[str, ...]
    written: int
    answers: int


def examine(path: Path, lesson: Lesson | None = None) -> Examined:
    """See what grading would mend in a notebook, and which of its answers would get no points.

    Args:
        path: the file.
        lesson: which lesson it is; found out by its name, or by what is in it, without one.

    Raises:
        NotebookError: if no answer can be found in it.
    """
    content = read_plain(path)
    lesson = lesson or lesson_of(path, content)
    if lesson is None:
        raise NotebookError(f"{path}: it cannot be told which lesson that is; name it with --lesson")
    release = parse_notebook(handed_out(lesson, ROOT), lesson.name)
    try:
        repaired = repair(content, lesson, release)
    except NotebookError as error:
        raise NotebookError(f"{path}: {error}; `ssdseg reset {lesson.number}` writes a fresh one") from None
    remarks = repaired.remarks
    if path.name != f"{lesson.name}.ipynb":
        remarks = (f"it should be called {lesson.name}.ipynb", *remarks)
    answers = [cell for cell in repaired.notebook["cells"] if is_answer(cell)]
    written = {grade_id(cell) for cell in answers if is_written(cell)}
    tried = try_out(path, lesson, release, repaired.notebook) if written else {}
    tried = {name: answer for name, answer in tried.items() if name.split(".")[1] in written}
    lost = tuple(str(answer.report) for answer in tried.values() if not answer.report.passed)
    notes = tuple(f"{name}: {answer.note}" for name, answer in tried.items() if answer.note)
    return Examined(repaired.notebook, remarks, lost, notes, len(written), len(answers))


def mend(path: Path, examined: Examined) -> Path:
    """Write the mended notebook in the place of the learner's, and give the copy that is kept of that."""
    kept = back_up(path, course_root())
    write_whole(path, notebook_text(examined.notebook))
    return kept
