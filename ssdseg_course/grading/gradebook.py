"""Writes grades into nbgrader's gradebook: one writer, one transaction per submission, and nothing graded twice.

Beside nbgrader's tables stands one of ours, written in the same transaction: of each submission what was graded, and
what came of it exercise by exercise.
"""

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    MissingEntry,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
)
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy import Column, ColumnElement, DateTime, MetaData, String, Table, Text, delete, insert, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SAWarning, SQLAlchemyError
from sqlalchemy.orm import scoped_session, sessionmaker
from traitlets.config import Config

from ssdseg_course.checking.report import Report
from ssdseg_course.grading.due_dates import DueDates, Late
from ssdseg_course.grading.export import GradesExport
from ssdseg_course.grading.grader import Graded
from ssdseg_course.grading.names import Learner
from ssdseg_course.grading.nbgrader_course import scripts_on_path
from ssdseg_course.grading.text import LONGEST_SENTENCE, shown, shown_lines
from ssdseg_course.work.carrying import CHECK
from ssdseg_course.work.workspace import grade_id

LOCK_SECONDS = 60  # to wait for somebody who writes into the same SQLite file, such as the formgrader
LONGEST_COLUMN = 128  # characters of a name in nbgrader's database
NO_MARKUP = str.maketrans("<>", "‹›")
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
class ExerciseRecord:
    """What is kept of an exercise of a submission.

    Attributes:
        exercise: its id.
        earned: points.
        points: that there were.
        first: the first line of what is wrong, "" if nothing.
        advice: the sentence that helped, "" without one.
        passed: whether it is right.
        said: all of what the learner is told.
        code: of the answer.
    """

    exercise: str
    earned: float
    points: float
    first: str
    advice: str
    passed: bool = False
    said: str = ""
    code: str = ""


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
    results: tuple[ExerciseRecord, ...]
    remarks: tuple[str, ...]

    @property
    def earned(self) -> float:
        """Points."""
        return sum(result.earned for result in self.results)

    @property
    def points(self) -> float:
        """Points that there were."""
        return sum(result.points for result in self.results)


@dataclass(frozen=True)
class Mark:
    """What nbgrader has of an exercise of a submission.

    Attributes:
        points: that count.
        by_hand: whether somebody has given them, or more of them, by hand.
        comment: of the instructor's, "" without one.
    """

    points: float
    by_hand: bool
    comment: str


@dataclass(frozen=True)
class Standing:
    """What nbgrader has of a submission, with all that was changed by hand.

    Attributes:
        marks: of the exercises, by the names of their functions.
        penalty: points that being late costs.
        timestamp: when it was handed in, where that is known.
        late: how late that was, in words; "" where it was not, or no table of due dates says so.
    """

    marks: dict[str, Mark]
    penalty: float
    timestamp: datetime | None
    late: str = ""

    @property
    def points(self) -> float:
        """Points that count."""
        return max(0.0, sum(mark.points for mark in self.marks.values()) - self.penalty)


def gradebook_url(config: Config, address: str | None) -> str:
    """The address of the gradebook.

    Args:
        config: nbgrader's settings.
        address: as SQLAlchemy takes it, or the path of an SQLite file; None for that of the settings.

    Raises:
        GradebookError: if it is not an address.
    """
    url = address or CourseDirectory(config=config).db_url
    if "://" not in url:
        url = f"sqlite:///{os.path.abspath(url)}"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise GradebookError(
            f"{url}: that is not the address of a gradebook, such as postgresql://host/grades"
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
    """The gradebook at an address, closed at the end.

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

    def digests(self, lesson: str) -> dict[str, str]:
        """What was graded for a lesson, by learner, but for what nbgrader has forgotten."""
        with self.gradebook.engine.connect() as connection:
            rows = connection.execute(select(GRADED.c.student, GRADED.c.digest).where(GRADED.c.assignment == lesson))
            found = {row.student: row.digest for row in rows}
        submissions = self.gradebook.assignment_submissions(lesson) if found else ()
        known = {submission.student_id for submission in submissions}
        self.gradebook.db.rollback()
        return {student: digest for student, digest in found.items() if student in known}

    def record(self, graded: Graded, digest: str, learner: Learner) -> None:
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
                    results = self._write_grades(graded, learner)
                    self.gradebook.db.flush()
                connection.execute(delete(GRADED).where(*_is(graded.student, graded.lesson)))
                connection.execute(insert(GRADED).values(_row(graded, digest, results)))
            finally:
                self.gradebook.db.remove()
                self.gradebook.db = sessions

    def _write_grades(self, graded: Graded, learner: Learner) -> list[ExerciseRecord]:
        """Write them, and give them as they are: with the points that nbgrader has for each exercise."""
        book, lesson = self.gradebook, graded.lesson
        student = book.update_or_create_student(graded.student)
        _write_names(student, learner)
        submission = book.update_or_create_submission(lesson, graded.student, timestamp=graded.timestamp)
        sources = {grade_id(cell): cell["source"] for cell in graded.notebook["cells"]}
        results = []
        for report in graded.reports:
            name = report.exercise_id.split(".")[1]
            grade = book.find_grade(f"{CHECK}{name}", lesson, lesson, graded.student)
            results.append(_write_grade(grade, report, sources.get(name, "")))
            comment = book.find_comment(name, lesson, lesson, graded.student)
            comment.auto_comment = None if name in graded.written else "No response."
        book.db.commit()
        self._write_penalty(submission, self._late_rule())
        book.db.commit()
        return results

    def _late_rule(self) -> LateSubmissionPlugin:
        """What says what being late costs: nbgrader's plugin for that, by default nothing."""
        rule = AssignLatePenalties(config=self._config)
        rule.init_plugin()
        return rule.plugin_inst

    def _write_penalty(self, submission: SubmittedAssignment, rule: LateSubmissionPlugin) -> bool:
        """Write what being late costs, and say whether that has changed."""
        late = submission.total_seconds_late if submission.assignment.duedate is not None else 0
        changed = False
        for notebook in submission.notebooks:
            try:
                penalty = (
                    rule.late_submission_penalty(submission.student.id, notebook.score, late) if late > 0 else None
                )
            except Exception as error:
                why = f"{type(error).__name__}: {_first_line(error)}"
                raise GradebookError(f"nbgrader's plugin for what being late costs stopped with {why}") from error
            if penalty is not None:
                penalty = min(max(penalty, 0), notebook.score)
            changed |= (notebook.late_submission_penalty or 0) != (penalty or 0)
            notebook.late_submission_penalty = penalty
        return changed

    def look_at_due_dates(self, lesson: str) -> int:
        """Work out again what being late costs: a due date may have been set, or extended, since the grades were given.

        Returns:
            for how many submissions that has changed.
        """
        rule = self._late_rule()
        changed = sum(
            self._write_penalty(submission, rule) for submission in self.gradebook.assignment_submissions(lesson)
        )
        self.gradebook.db.commit()
        return changed

    def apply_due_dates(
        self, due_dates: DueDates, times: Mapping[tuple[str, str], datetime]
    ) -> tuple[dict[tuple[str, str], Late], set[tuple[str, str]]]:
        """Write due dates and extensions of a table, and what being late costs by it: free days reach across lessons.

        Args:
            due_dates: the table.
            times: when files were last changed, by (learner, lesson): taken where nobody has noted a time.

        Returns:
            what being late comes to, and for whom it now costs something else, by (learner, lesson).
        """
        submissions: dict[str, dict[str, SubmittedAssignment]] = {}
        for lesson, due in due_dates.due.items():
            with suppress(MissingEntry):
                self.gradebook.find_assignment(lesson).duedate = due.replace(tzinfo=None)
            for submission in self.gradebook.assignment_submissions(lesson):
                student = submission.student.id
                submissions.setdefault(student, {})[lesson] = submission
                until = due_dates.until(student, lesson)
                submission.extension = until - due if until and until != due else None
                if submission.timestamp is None and (student, lesson) in times:
                    submission.timestamp = times[student, lesson].replace(tzinfo=None)
        found, changed = {}, set()
        for student, of_lessons in submissions.items():
            handed_in = {
                lesson: submission.timestamp.replace(tzinfo=UTC)
                for lesson, submission in of_lessons.items()
                if submission.timestamp
            }
            late = due_dates.late(student, handed_in)
            for lesson, submission in of_lessons.items():
                percent = late[lesson].percent if lesson in late else 0
                if lesson in late:
                    found[student, lesson] = late[lesson]
                for notebook in submission.notebooks:
                    penalty = min(notebook.max_score * percent / 100, notebook.score)
                    if (notebook.late_submission_penalty or 0) != penalty:
                        changed.add((student, lesson))
                    notebook.late_submission_penalty = penalty or None
        self.gradebook.db.commit()
        return found, changed

    def regrade(self, graded: Graded, digest: str, kept: Record) -> tuple[float, float]:
        """Write one exercise's grade anew, whole or not at all; all else of the submission stays.

        Args:
            graded: with the report on that exercise alone.
            digest: of what it was graded for.
            kept: what was recorded of the submission before.

        Returns:
            points that counted for the exercise before, and that count now.
        """
        (report,) = graded.reports
        book, lesson = self.gradebook, graded.lesson
        name = report.exercise_id.split(".")[1]
        sources = {grade_id(cell): cell["source"] for cell in graded.notebook["cells"]}
        try:
            grade = book.find_grade(f"{CHECK}{name}", lesson, lesson, graded.student)
            before = grade.score
            result = _write_grade(grade, report, sources.get(name, ""))
            book.db.flush()
            book.db.refresh(grade)
            after = grade.score
            results = [result if one.exercise == report.exercise_id else one for one in kept.results]
            values = {"digest": digest, "results": json.dumps([asdict(one) for one in results])}
            book.db.execute(update(GRADED).where(*_is(graded.student, lesson)).values(values))
            book.db.commit()
        except BaseException:
            book.db.rollback()
            raise
        return before, after

    def students(self) -> set[str]:
        """All of whom something was graded."""
        with self.gradebook.engine.connect() as connection:
            return set(connection.execute(select(GRADED.c.student).distinct()).scalars())

    def names(self) -> dict[str, tuple[str, str]]:
        """What nbgrader knows of learners, by id: name and e-mail address."""
        found = {}
        for student in self.gradebook.students:
            name = f"{student.first_name or ''} {student.last_name or ''}".strip()
            found[student.id] = (shown(name) or student.id, student.email or "")
        self.gradebook.db.rollback()
        return found

    def write_names(self, learners: Iterable[Learner]) -> None:
        """Let nbgrader know what learners are called, of whom something was graded."""
        for learner in learners:
            with suppress(MissingEntry):
                _write_names(self.gradebook.find_student(learner.id), learner)
        self.gradebook.db.commit()

    def standings(self, lesson: str) -> dict[str, Standing]:
        """What nbgrader has of the submissions for a lesson, by learner."""
        marks: dict[str, dict[str, Mark]] = {}
        comments = {
            (student, name): comment
            for student, name, comment in self._of_cells(lesson, Comment, Comment.manual_comment)
        }
        columns = (Grade.score, Grade.manual_score, Grade.extra_credit)
        for student, name, points, manual, extra in self._of_cells(lesson, Grade, *columns):
            exercise = name.removeprefix(CHECK)
            by_hand = manual is not None or bool(extra)
            comment = comments.get((student, exercise)) or ""
            marks.setdefault(student, {})[exercise] = Mark(points, by_hand, shown_lines(comment))
        standings = {}
        for submission in self.gradebook.assignment_submissions(lesson):
            student = submission.student.id
            standings[student] = Standing(
                marks.get(student, {}), submission.late_submission_penalty or 0.0, submission.timestamp
            )
        self.gradebook.db.rollback()
        return standings

    def _of_cells(self, lesson: str, kind: Any, *columns: Any) -> Any:
        """Rows of (learner, name of a cell, columns) for all submissions for a lesson."""
        return (
            self.gradebook.db.query(SubmittedAssignment.student_id, BaseCell.name, *columns)
            .select_from(kind)
            .join(BaseCell, kind.cell_id == BaseCell.id)
            .join(SubmittedNotebook, kind.notebook_id == SubmittedNotebook.id)
            .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
            .join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
            .filter(Assignment.name == lesson)
            .all()
        )

    def records(self, lesson: str) -> list[Record]:
        """What is kept of all submissions for a lesson, by learner."""
        columns = (GRADED.c.student, GRADED.c.results, GRADED.c.remarks)
        with self.gradebook.engine.connect() as connection:
            rows = connection.execute(select(*columns).where(GRADED.c.assignment == lesson).order_by(GRADED.c.student))
            return [
                Record(
                    row.student,
                    lesson,
                    tuple(ExerciseRecord(**result) for result in json.loads(row.results)),
                    tuple(json.loads(row.remarks)),
                )
                for row in rows
            ]

    def export(self, path: Path) -> None:
        """Write the table of all grades, whole or not at all."""
        if path.is_dir():
            raise GradebookError(f"{path}: that is a folder, where the table of grades should be written")
        half = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            GradesExport(to=str(half)).export(self.gradebook)
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


def _write_grade(grade: Grade, report: Report, source: str) -> ExerciseRecord:
    """Write an exercise's points, and give what is kept of it."""
    points = grade.cell.max_score  # an instructor may have changed what an exercise is worth
    grade.auto_score = points if report.passed else 0
    grade.needs_manual_grade = grade.manual_score is not None  # as nbgrader does: somebody should look again
    first = "" if report.passed else _what_is_wrong(report.messages)
    said, code = shown_lines("\n".join(report.messages)), shown_lines(source)
    return ExerciseRecord(report.exercise_id, grade.auto_score, points, first, report.advice, report.passed, said, code)


def _is(student: str, lesson: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return GRADED.c.student == student, GRADED.c.assignment == lesson


def _write_names(student: Student, learner: Learner) -> None:
    """What a table of students says of a name counts; without one, nbgrader's own does."""
    if learner.listed:
        for name in ("first_name", "last_name", "email"):
            setattr(student, name, _as_name(getattr(learner, name)) or getattr(student, name))
    elif learner.name != student.id and not (student.first_name or student.last_name):
        student.last_name = _as_name(learner.name)


def _as_name(text: str) -> str:
    """A name for nbgrader's database, whose pages do not tell it from markup everywhere."""
    return text[:LONGEST_COLUMN].translate(NO_MARKUP)


def _row(graded: Graded, digest: str, results: list[ExerciseRecord]) -> dict[str, object]:
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
    return next((message for message in messages if not message.startswith(("called with", "shape is right"))), "")


def _first_line(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return shown(lines[0] if lines else type(error).__name__, LONGEST_SENTENCE)
