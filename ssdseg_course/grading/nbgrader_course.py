"""nbgrader, run from Python in a course folder of its own."""

import os
import shutil
import sysconfig
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.converters.base import BaseConverter
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import capture_log
from sqlalchemy.exc import SAWarning
from traitlets.config import Config
from traitlets.config.loader import load_pyconfig_files

from ssdseg_course.manifest import ROOT, Lesson

Scores = dict[str, tuple[float, float]]


class GradingError(Exception):
    """nbgrader did not get through; the message is what it says."""


def grade_in_temporary_course(
    lesson: Lesson,
    submissions: Mapping[str, Path],
    progress: Callable[[int, int], None] | None = None,
    root: Path = ROOT,
) -> Scores:
    """Grade notebooks just as an instructor's `nbgrader autograde` would, and leave nothing behind.

    Args:
        lesson: what they were handed in for.
        submissions: the notebook of each learner, by name.
        progress: called with (graded, all) before the first one and after each.
        root: the repository that holds the lesson.

    Returns:
        (score, greatest possible score) of each learner.

    Raises:
        GradingError: if nbgrader fails.
    """
    with tempfile.TemporaryDirectory(prefix="ssdseg-grading-") as folder:
        course = Path(folder)
        config = course_config(course, lesson.name)
        _copy_into(lesson.solution(root), lesson.solution(course))
        run_nbgrader(GenerateAssignment, config)
        for number, (student, notebook) in enumerate(submissions.items()):
            if progress:
                progress(number, len(submissions))
            _copy_into(notebook, course / "submitted" / student / lesson.name / f"{lesson.name}.ipynb")
            config.CourseDirectory.student_id = student
            run_nbgrader(Autograde, config)
        if progress:
            progress(len(submissions), len(submissions))
        return _read_scores(config, lesson, submissions)


def course_config(course: Path, lesson_name: str) -> Config:
    """The settings of `nbgrader_config.py`, for one lesson of a course that stands in another folder."""
    config = load_pyconfig_files(["nbgrader_config.py"], str(ROOT))
    config.CourseDirectory.root = str(course)
    config.CourseDirectory.assignment_id = lesson_name
    return config


def run_nbgrader(converter: type[BaseConverter], config: Config) -> None:
    """Run one of nbgrader's steps, quietly.

    Raises:
        GradingError: if it fails.
    """
    step = converter(coursedir=CourseDirectory(config=config), config=config)
    with scripts_on_path(), warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's own way of filling its database
        result = capture_log(step)
    if not result["success"]:
        raise GradingError(f"{converter.__name__}: {result.get('log', '')}{result['error']}")


@contextmanager
def scripts_on_path() -> Iterator[None]:
    """For nbgrader starts `alembic` by its name, which is not found where the environment is not activated."""
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _copy_into(notebook: Path, target: Path) -> None:
    """Copy a file, making the folders that its new place needs."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(notebook, target)


def _read_scores(config: Config, lesson: Lesson, students: Mapping[str, Path]) -> Scores:
    course = CourseDirectory(config=config)
    with Gradebook(course.db_url, course.course_id) as gradebook:
        graded = {student: gradebook.find_submission(lesson.name, student) for student in students}
        return {student: (submission.score, submission.max_score) for student, submission in graded.items()}
