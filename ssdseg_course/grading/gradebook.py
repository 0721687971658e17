"""Writes grades into nbgrader's gradebook: one writer, one transaction a submission, and nothing graded twice.

Beside nbgrader's tables stands one of ours, written in the same transaction: of each submission what was graded, and
what came of it exercise by exercise.
"""

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import CsvExportPlugin
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy import Column, DateTime, MetaData, String, Table, Text, delete, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SAWarning, SQLAlchemyError
from sqlalchemy.orm import scoped_session, sessionmaker
from traitlets.config import Config

from ssdseg_course.grading.grader import Graded
from ssdseg_course.grading.nbgrader_course import scripts_on_path
from ssdseg_course.work.carrying import CHECK

LOCK_SECONDS = 60  # to wait for somebody who writes into the same SQLite file, such as the formgrader
METADATA = MetaData()
GRADED = Table(
    "ssdseg_graded",
    METADATA,
    Column("assignment", String(128), primary_key=True),
    Column("student", String(128), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("graded_at", DateTime, nullable=False),
    Column("results", Text, nullable=False),
    Column("remarks", Text, nullable=False),
)


class GradebookError(ValueError):
    """A gradebook that cannot be opened or written; the message says why."""


@dataclass(frozen=True)
class Result:
    """What is kept of an exercise of a submission.

    Attributes:
        exercise: its id.
        earned: points.
        points: that there were.
        first: the first line of what is wrong, "" if nothing.
        advice: the sentence that helped, "" without one.
    """

    exercise: str
    earned: int
    points: int
    first: str
    advice: str


@dataclass(frozen=True)
class Record:
    """What is kept of a submission.

    Attributes:
        student: nbgrader's id of the learner.
        lesson: name of the lesson.
        results: of its exercises.
        remarks: what the instructor should know.
    """

    student: str
    lesson: str
    results: tuple[Result, ...]
    remarks: tuple[str, ...]

    @property
    def earned(self) -> int:
        """Points."""
        return sum(result.earned for result in self.results)

    @property
    def points(self) -> int:
        """Points that there were."""
        return sum(result.points for result in self.results)


def gradebook_url(config: Config, given: str | None) -> str:
    """The address of the gradebook.

    Args:
        config: nbgrader's settings.
        given: an address as SQLAlchemy takes it, or the path of an SQLite file; None for that of the settings.

    Raises:
        GradebookError: if it is no address.
    """
    url = given or CourseDirectory(config=config).db_url
    if "://" not in url:
        url = f"sqlite:///{os.path.abspath(url)}"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise GradebookError(
            f"{url}: that is no address of a gradebook; for example postgresql://host/grades"
        ) from None
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and not Path(parsed.database).parent.is_dir():
            raise GradebookError(f"{parsed.database}: the folder for this gradebook does not exist")
        parsed = parsed.update_query_dict({"timeout": str(LOCK_SECONDS)})
    if parsed.drivername == "postgresql":  # whichever driver this version of SQLAlchemy would take
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


@contextmanager
def open_gradebook(url: str, config: Config) -> Iterator["Records"]:
    """The gradebook at an address, closed in the end.

    Raises:
        GradebookError: if it cannot be opened, or written.
    """
    course = CourseDirectory(config=config).course_id
    name = make_url(url).set(query={}).render_as_string(hide_password=True)
    try:
        with scripts_on_path():
            gradebook = Gradebook(url, course)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise GradebookError(f"{name}: {error}; for PostgreSQL: `pip install 'psycopg[binary]'`") from None
    except SQLAlchemyError as error:
        raise GradebookError(f"{name}: {_first_line(error)}") from None
    try:
        METADATA.create_all(gradebook.engine)
        yield Records(gradebook, config)
    except OperationalError as error:
        raise GradebookError(f"{name}: {_first_line(error)}") from None
    finally:
        gradebook.close()


class Records:
    """An open gradebook."""

    def __init__(self, gradebook: Gradebook, config: Config):
        self.gradebook = gradebook
        self._config = config

    def digest(self, student: str, lesson: str) -> str | None:
        """What was graded for a learner, None if nothing or if nbgrader has forgotten it."""
        with self.gradebook.engine.connect() as connection:
            found = connection.execute(select(GRADED.c.digest).where(*_is(student, lesson))).scalar()
        known = {it.student_id for it in self.gradebook.assignment_submissions(lesson)} if found else ()
        self.gradebook.db.rollback()
        return found if student in known else None

    def record(self, graded: Graded, digest: str) -> None:
        """Write one submission's grades, whole or not at all. Grades given by hand stay, and are marked for a look."""
        engine = self.gradebook.engine
        sessions = self.gradebook.db
        with engine.begin() as connection:
            # What nbgrader commits meanwhile stays open until the connection's own transaction ends.
            own = sessionmaker(bind=connection, autoflush=True, join_transaction_mode="rollback_only")
            self.gradebook.db = scoped_session(own)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", SAWarning)  # nbgrader's own way of filling its database
                    self._write_grades(graded)
                    self.gradebook.db.flush()
                connection.execute(delete(GRADED).where(*_is(graded.student, graded.lesson)))
                connection.execute(insert(GRADED).values(_row(graded, digest)))
            finally:
                self.gradebook.db.remove()
                self.gradebook.db = sessions

    def _write_grades(self, graded: Graded) -> None:
        book, lesson = self.gradebook, graded.lesson
        book.update_or_create_student(graded.student)
        when = {"timestamp": graded.timestamp} if graded.timestamp else {}
        submission = book.update_or_create_submission(lesson, graded.student, **when)
        for report in graded.reports:
            name = report.exercise_id.split(".")[1]
            grade = book.find_grade(f"{CHECK}{name}", lesson, lesson, graded.student)
            grade.auto_score = report.earned
            grade.needs_manual_grade = grade.manual_score is not None  # as nbgrader does: somebody should look again
            comment = book.find_comment(name, lesson, lesson, graded.student)
            comment.auto_comment = None if name in graded.written else "No response."
        book.db.commit()
        self._write_penalty(graded, submission)

    def _write_penalty(self, graded: Graded, submission) -> None:
        """What being late costs, as nbgrader's plugin for that says; nothing by default."""
        notebook = self.gradebook.find_submission_notebook(graded.lesson, graded.lesson, graded.student)
        notebook.late_submission_penalty = None
        if submission.total_seconds_late > 0:
            rule = AssignLatePenalties(config=self._config)
            rule.init_plugin()
            seconds = submission.total_seconds_late
            penalty = rule.plugin_inst.late_submission_penalty(graded.student, notebook.score, seconds)
            if penalty is not None:
                notebook.late_submission_penalty = min(max(penalty, 0), notebook.score)
        self.gradebook.db.commit()

    def records(self, lesson: str) -> list[Record]:
        """What is kept of all submissions for a lesson, by learner."""
        columns = (GRADED.c.student, GRADED.c.results, GRADED.c.remarks)
        with self.gradebook.engine.connect() as connection:
            rows = connection.execute(select(*columns).where(GRADED.c.assignment == lesson).order_by(GRADED.c.student))
            return [
                Record(
                    row.student,
                    lesson,
                    tuple(Result(**result) for result in json.loads(row.results)),
                    tuple(json.loads(row.remarks)),
                )
                for row in rows
            ]

    def export(self, path: Path) -> None:
        """Write all grades as `nbgrader export` does, whole or not at all."""
        if path.is_dir():
            raise GradebookError(f"{path}: that is a folder, where the table of grades should be written")
        half = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            CsvExportPlugin(to=str(half)).export(self.gradebook)
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


def _is(student: str, lesson: str) -> tuple:
    return GRADED.c.student == student, GRADED.c.assignment == lesson


def _row(graded: Graded, digest: str) -> dict:
    results = [
        Result(
            report.exercise_id,
            report.earned,
            report.points,
            "" if report.passed else _what_is_wrong(report.messages),
            report.advice,
        )
        for report in graded.reports
    ]
    return {
        "assignment": graded.lesson,
        "student": graded.student,
        "digest": digest,
        "graded_at": datetime.now(UTC).replace(tzinfo=None),
        "results": json.dumps([asdict(result) for result in results]),
        "remarks": json.dumps(list(graded.remarks)),
    }


def _what_is_wrong(messages: tuple[str, ...]) -> str:
    """The first message that does not only say how it was called."""
    return next((it for it in messages if not it.startswith(("called with", "shape is right"))), "")


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
